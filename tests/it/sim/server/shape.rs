//! What a record looks like in a page.

use lumo_bridge::model::record::{Deposit, Reject, Wallet};

use crate::sim::model::{Row, State};

/// A record as a listing shows it.
pub(super) trait Shaped: Sized {
    fn shaped(row: &Row, state: &State) -> Self;
    fn garbled(self) -> Reject;
    fn invented(self) -> Self;
    /// As a server shows it whose deposits name the wallet in place of the user.
    fn without_user(self, row: &Row) -> Self;
}

impl Shaped for Wallet {
    fn shaped(row: &Row, state: &State) -> Self {
        row.wallet(state)
    }

    fn garbled(self) -> Reject {
        reject(self.id.as_str())
    }

    fn invented(mut self) -> Self {
        self.fingerprint ^= 1;
        self
    }

    fn without_user(self, _: &Row) -> Self {
        self
    }
}

impl Shaped for Deposit {
    fn shaped(row: &Row, state: &State) -> Self {
        row.deposit(state)
    }

    fn garbled(self) -> Reject {
        reject(self.id.as_str())
    }

    fn invented(mut self) -> Self {
        self.fingerprint ^= 1;
        self
    }

    fn without_user(self, row: &Row) -> Self {
        Self { wallet_id: Some(format!("w{}", row.user).parse().unwrap()), external_id: None, ..self }
    }
}

fn reject(id: &str) -> Reject {
    let raw = format!(r#"{{"id":"{id}","status":{{}}}}"#);
    Reject::new(0, Some(id.to_owned()), &raw, "status".to_owned(), "is an object".to_owned())
}

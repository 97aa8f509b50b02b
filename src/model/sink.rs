//! A sink: a statement of the merchant's own that is run with an event where another endpoint would be called. The record that
//! it ran is written in the same transaction.

pub(in crate::model) mod statement;

use std::time::Duration;

use serde::Deserialize;

use crate::model::Amount;

pub use statement::{Parameter, Statement, StatementError};

/// What is run.
#[derive(Clone, Debug)]
pub struct Sink {
    pub statement: Statement,
    /// Longest time for one run.
    pub timeout: Duration,
}

/// What the parameters of a statement stand for, as the event's body says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Arguments {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub stream: String,
    pub sequence: i64,
    data: Data,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Data {
    object: Object,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Object {
    id: Option<String>,
    external_id: Option<String>,
    status: Option<String>,
    amount: Option<Amount>,
    currency: Option<String>,
    tx_hash: Option<String>,
    address: Option<String>,
}

impl Arguments {
    /// Reads a stored body.
    ///
    /// # Errors
    /// If it is none.
    pub fn of(body: &str) -> serde_json::Result<Self> {
        serde_json::from_str(body)
    }

    #[must_use]
    pub fn object_id(&self) -> Option<&str> {
        self.data.object.id.as_deref()
    }

    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        self.data.object.external_id.as_deref()
    }

    /// A deposit's.
    #[must_use]
    pub fn status(&self) -> Option<&str> {
        self.data.object.status.as_deref()
    }

    /// A deposit's.
    #[must_use]
    pub fn currency(&self) -> Option<&str> {
        self.data.object.currency.as_deref()
    }

    /// A deposit's.
    #[must_use]
    pub fn tx_hash(&self) -> Option<&str> {
        self.data.object.tx_hash.as_deref()
    }

    /// A deposit's, or a wallet's.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.data.object.address.as_deref()
    }

    /// A deposit's.
    #[must_use]
    pub const fn amount(&self) -> Option<&Amount> {
        self.data.object.amount.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_what_the_body_says() {
        let body = r#"{"id":"evt_1","type":"deposit.created","stream":"user:42","sequence":17,
            "data":{"object":{"kind":"deposit","id":"d","external_id":"42","status":"new",
            "amount":"123456789012345678.000000001","currency":"USDT","tx_hash":"9a","address":"T1"}}}"#;
        let arguments = Arguments::of(body).unwrap();
        assert_eq!((arguments.id.as_str(), arguments.kind.as_str()), ("evt_1", "deposit.created"));
        assert_eq!((arguments.stream.as_str(), arguments.sequence), ("user:42", 17));
        assert_eq!((arguments.object_id(), arguments.external_id()), (Some("d"), Some("42")));
        assert_eq!(arguments.amount().unwrap().as_str(), "123456789012345678.000000001");
        assert_eq!((arguments.status(), arguments.currency()), (Some("new"), Some("USDT")));
        assert_eq!((arguments.tx_hash(), arguments.address()), (Some("9a"), Some("T1")));
        let bare = r#"{"id":"evt_1","type":"sync.stalled","stream":"sync:wallets","sequence":1,"data":{"object":{}}}"#;
        let arguments = Arguments::of(bare).unwrap();
        assert_eq!((arguments.object_id(), arguments.external_id(), arguments.amount()), (None, None, None));
    }
}

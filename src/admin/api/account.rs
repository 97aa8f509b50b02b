//! Whose data the tables hold.

use crate::admin::route::{Nothing, Route};
use crate::admin::{Admin, Problem};
use crate::view::Account;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::list("/api/account", "The company and the server that the tables are filled from", account)]
}

async fn account(admin: Admin, _: Nothing) -> Result<Account, Problem> {
    let account = admin
        .store
        .account()
        .await?
        .ok_or_else(|| Problem::absent("account", "it is known once the first key has read"))?;
    Ok(account.into())
}

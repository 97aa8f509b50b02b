//! The deposits that are known.

use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{Limit, Page};
use crate::admin::route::{Nothing, Route};
use crate::admin::{Admin, Problem};
use crate::model::id::{DepositId, ExternalId};
use crate::setting::Since;
use crate::store::query::DepositFilter;
use crate::view::{Deposit, Statuses};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::list(
            "/api/deposits",
            "List deposits, the newest first, and last those of which the API does not say when they were made",
            list,
        ),
        Route::list(
            "/api/deposits/statuses",
            "The statuses that deposits have, which follows which, and which count as settled",
            statuses,
        ),
        Route::one("/api/deposits/{id}", "One deposit, with the item as the API listed it", show),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    limit: Limit,
    /// The id of the last deposit of the page before.
    #[schemars(with = "Option<String>")]
    after: Option<DepositId>,
    /// Only of the user with this id in your own system.
    #[schemars(with = "Option<String>")]
    external_id: Option<ExternalId>,
    /// Only those paid to this address.
    address: Option<String>,
    /// Only those of this transaction.
    tx_hash: Option<String>,
    /// Only in this status, as Lumo spells it.
    status: Option<String>,
    /// Only those that are settled, by `lumo.settled_statuses`.
    #[serde(default)]
    settled: bool,
    /// Only those made from then on: a time, a date, or how long ago, such as `2h`.
    since: Option<Since>,
    /// Only those made before then.
    until: Option<Since>,
}

async fn list(admin: Admin, which: Which) -> Result<Page<Deposit>, Problem> {
    let after = match which.after {
        Some(id) => match admin.store.deposit(&id).await? {
            Some(row) => Some((row.created_at, row.id)),
            None => return Err(Problem::bad_request(format!("after: no such deposit: {id}"))),
        },
        None => None,
    };
    let now = admin.clock.now();
    let filter = DepositFilter {
        external_id: which.external_id,
        address: which.address,
        tx_hash: which.tx_hash,
        status: which.status,
        settled: which.settled.then(|| admin.settled_statuses.to_vec()),
        since: which.since.map(|since| since.before(now)),
        until: which.until.map(|until| until.before(now)),
        after,
        limit: which.limit.probe(),
    };
    let rows = admin.store.list_deposits(&filter).await?;
    Ok(which.limit.page(rows, Deposit::brief, |row| row.id.to_string()))
}

async fn statuses(admin: Admin, _: Nothing) -> Result<Statuses, Problem> {
    Ok(Statuses::load(&admin.store, &admin.settled_statuses).await?)
}

async fn show(admin: Admin, id: DepositId) -> Result<Deposit, Problem> {
    let row = admin.store.deposit(&id).await?;
    row.as_ref().map(Deposit::full).ok_or_else(|| {
        Problem::absent("deposit", id).with_hint("/api/deposits lists those that are known; a sync fetches the rest")
    })
}

//! The wallets that are known; and the writes of the API of Lumo.

use lumo_bridge_entity::wallet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{Limit, Page};
use crate::admin::route::Route;
use crate::admin::{Admin, Problem};
use crate::model::actor::Actor;
use crate::model::id::{ExternalId, WalletId};
use crate::setting::Since;
use crate::store::query::WalletFilter;
use crate::view::Wallet;
use crate::wallets::{self, Interface};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::list("/api/wallets", "List wallets, the newest first", list),
        Route::one("/api/wallets/{id}", "One wallet, with the item as the API listed it", show),
        Route::act("/api/wallets", "Create a user's wallet at Lumo, or fetch the one that there is", create),
        Route::act_on("/api/wallets/{id}/block", "Block a wallet at Lumo", block),
        Route::act_on("/api/wallets/{id}/replace", "Give a wallet's user another wallet at Lumo", replace),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    limit: Limit,
    /// The id of the last wallet of the page before.
    #[schemars(with = "Option<String>")]
    after: Option<WalletId>,
    /// Only of the user with this id in your own system.
    #[schemars(with = "Option<String>")]
    external_id: Option<ExternalId>,
    /// Only the one with this address.
    address: Option<String>,
    /// Only those that are blocked, or that are not.
    blocked: Option<bool>,
    /// Only those created from then on: a time, a date, or how long ago, such as `2h`.
    since: Option<Since>,
    /// Only those created before then.
    until: Option<Since>,
}

/// Who gets a wallet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// The user's id in your own system.
    #[serde(rename = "externalId", alias = "external_id")]
    #[schemars(with = "String", length(min = 1, max = 700))]
    external_id: ExternalId,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Because {
    /// Why; Lumo keeps it.
    reason: String,
}

async fn list(admin: Admin, which: Which) -> Result<Page<Wallet>, Problem> {
    let after = match which.after {
        Some(id) => match admin.store.wallet(&id).await? {
            Some(row) => Some((row.created_at, row.id)),
            None => return Err(Problem::bad_request(format!("after: no such wallet: {id}"))),
        },
        None => None,
    };
    let now = admin.clock.now();
    let filter = WalletFilter {
        external_id: which.external_id,
        address: which.address,
        blocked: which.blocked,
        since: which.since.map(|since| since.before(now)),
        until: which.until.map(|until| until.before(now)),
        after,
        limit: which.limit.probe(),
    };
    let rows = admin.store.list_wallets(&filter).await?;
    Ok(which.limit.page(rows, Wallet::brief, |row| row.id.to_string()))
}

async fn show(admin: Admin, id: WalletId) -> Result<Wallet, Problem> {
    let row = admin.store.wallet(&id).await?;
    row.as_ref().map(Wallet::full).ok_or_else(|| {
        Problem::absent("wallet", id).with_hint("/api/wallets lists those that are known; a sync fetches the rest")
    })
}

async fn create(admin: Admin, by: Actor, create: Create) -> Result<Wallet, Problem> {
    answer(&admin, admin.wallets().create(&create.external_id, &by).await).await
}

async fn block(admin: Admin, by: Actor, id: WalletId, because: Because) -> Result<Wallet, Problem> {
    answer(&admin, admin.wallets().block(&id, &because.reason, &by).await).await
}

async fn replace(admin: Admin, by: Actor, id: WalletId, because: Because) -> Result<Wallet, Problem> {
    answer(&admin, admin.wallets().replace(&id, &because.reason, &by).await).await
}

/// The wallet that came of a write, or why none did and what to do about it.
async fn answer(admin: &Admin, written: Result<wallet::Model, wallets::Error>) -> Result<Wallet, Problem> {
    let error = match written {
        Ok(wallet) => return Ok(Wallet::full(&wallet)),
        Err(error) => error,
    };
    let hint = admin.wallets().hint(&error, Interface::Http).await;
    let problem = Problem::from(error);
    Err(match hint {
        Some(hint) => problem.with_hint(hint),
        None => problem,
    })
}

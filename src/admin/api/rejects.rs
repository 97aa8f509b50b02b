//! Items of the lists that could not be read.

use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{Limit, Page};
use crate::admin::route::Route;
use crate::admin::{Admin, Problem};
use crate::model::Listing;
use crate::store::RejectFilter;
use crate::view::Reject;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::list("/api/rejects", "Items of the lists that could not be read, by listing and id", list)]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    limit: Limit,
    /// `next` of the page before.
    after: Option<String>,
    /// Only of this listing: `wallets`, `blocked` or `deposits`.
    listing: Option<String>,
}

async fn list(admin: Admin, which: Which) -> Result<Page<Reject>, Problem> {
    let listing = |name: &str| name.parse::<Listing>().map_err(Problem::bad_request);
    let after = match &which.after {
        Some(after) => {
            let (name, item) = after.split_once('/').unwrap_or((after, ""));
            Some((listing(name)?, item.to_owned()))
        }
        None => None,
    };
    let listing = which.listing.as_deref().map(listing).transpose()?;
    let rows = admin.store.list_rejects(&RejectFilter { listing, after, limit: which.limit.probe() }).await?;
    Ok(which.limit.page(rows, Reject::of, |row| format!("{}/{}", row.listing, row.item)))
}

//! What operators did, by command, over HTTP or on the dashboard.

use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{Limit, Page};
use crate::admin::route::Route;
use crate::admin::{Admin, Problem};
use crate::view::Action;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::list("/api/actions", "What operators did and who it was, the newest first", list)]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    limit: Limit,
    /// The id of the last action of the page before.
    after: Option<i64>,
}

async fn list(admin: Admin, which: Which) -> Result<Page<Action>, Problem> {
    let rows = admin.store.list_actions(which.after, which.limit.probe()).await?;
    Ok(which.limit.page(rows, Action::of, |row| row.id.to_string()))
}

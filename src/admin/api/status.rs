//! Everything at a glance.

use crate::admin::route::{Nothing, Route};
use crate::admin::{Admin, Problem, health};
use crate::view::Status;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::list("/api/status", "What is wrong, if anything is; each listing and each endpoint", status)]
}

async fn status(admin: Admin, _: Nothing) -> Result<Status, Problem> {
    health::database_answers(&admin).await?;
    let endpoints = admin.endpoint_views().await?;
    let fields = admin.client.deposit_fields();
    Ok(Status::load(&admin.store, endpoints, admin.overdue_after, fields, admin.watch, admin.clock.now()).await?)
}

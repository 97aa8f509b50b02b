//! Everything at a glance.

use crate::admin::route::{Nothing, Route};
use crate::admin::{Admin, Problem};
use crate::view::{Standing, Status};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::list("/api/status", "How far each listing is synced, and how each endpoint fares", status)]
}

async fn status(admin: Admin, _: Nothing) -> Result<Status, Problem> {
    Ok(Status { listings: Standing::load(&admin.store).await?, endpoints: admin.endpoint_views().await? })
}

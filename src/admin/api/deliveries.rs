//! What was sent, what waits, what failed; trying again, and giving up.

use lumo_bridge_entity::delivery::State;
use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{Limit, Page};
use crate::admin::route::{Nothing, Route};
use crate::admin::{Admin, Problem};
use crate::model::id::{DeliveryId, EndpointName, EventId};
use crate::store::query::DeliveryFilter;
use crate::view::{Delivery, Done};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::list("/api/deliveries", "List deliveries, the newest first", list),
        Route::one("/api/deliveries/{id}", "One delivery, with its attempts", show),
        Route::act_on("/api/deliveries/{id}/retry", "Make a delivery due now; a dead one gets one more attempt", retry),
        Route::act_on(
            "/api/deliveries/{id}/skip",
            "Give a delivery up that is not finished; what waits behind it goes on",
            skip,
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    limit: Limit,
    /// The id of the last delivery of the page before.
    #[schemars(with = "Option<String>")]
    after: Option<DeliveryId>,
    /// Only in this state.
    state: Option<StateName>,
    /// Only to this endpoint.
    #[schemars(with = "Option<String>")]
    endpoint: Option<EndpointName>,
    /// Only of this event.
    #[schemars(with = "Option<String>")]
    event: Option<EventId>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum StateName {
    Pending,
    Sending,
    Delivered,
    Retrying,
    Held,
    Dead,
    Skipped,
}

impl From<StateName> for State {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Pending => Self::Pending,
            StateName::Sending => Self::Sending,
            StateName::Delivered => Self::Delivered,
            StateName::Retrying => Self::Retrying,
            StateName::Held => Self::Held,
            StateName::Dead => Self::Dead,
            StateName::Skipped => Self::Skipped,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Skip {
    /// Why; kept as the delivery's last error.
    #[schemars(length(min = 1))]
    reason: String,
}

async fn list(admin: Admin, which: Which) -> Result<Page<Delivery>, Problem> {
    let filter = DeliveryFilter {
        state: which.state.map(State::from),
        endpoint: which.endpoint,
        event: which.event,
        before: which.after,
        limit: which.limit.probe(),
    };
    let rows = admin.store.list_deliveries(&filter).await?;
    Ok(which.limit.page(rows, Delivery::brief, |row| row.id.to_string()))
}

async fn show(admin: Admin, id: DeliveryId) -> Result<Delivery, Problem> {
    match admin.store.delivery(&id).await? {
        Some(row) => Ok(Delivery::full(&row, &admin.store.attempts(&id).await?)),
        None => Err(Problem::absent("delivery", id).with_hint("/api/deliveries lists the newest")),
    }
}

async fn retry(admin: Admin, id: DeliveryId, _: Nothing) -> Result<Done, Problem> {
    let retried = admin.store.retry_delivery(&id, admin.clock.now()).await?;
    as_wanted(Done::retried(&id, retried))
}

async fn skip(admin: Admin, id: DeliveryId, skip: Skip) -> Result<Done, Problem> {
    if skip.reason.is_empty() {
        return Err(Problem::bad_request("body: `reason` is empty; say why"));
    }
    let skipped = admin.store.skip_delivery(&id, &skip.reason, admin.clock.now()).await?;
    as_wanted(Done::skipped(&id, skipped))
}

fn as_wanted(done: Done) -> Result<Done, Problem> {
    match done {
        Done { is_as_wanted: true, .. } => Ok(done),
        Done { result: "unknown", id, .. } => Err(Problem::absent("delivery", id)),
        Done { words, .. } => Err(Problem::conflict(words)),
    }
}

//! What was sent, what waits, what failed; trying again, and giving up.

use std::collections::HashMap;

use lumo_bridge_entity::event;
use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{Limit, Page};
use crate::admin::route::{Nothing, Route};
use crate::admin::{Admin, Problem};
use crate::deliver::retry::{self, Ended, RetryFilter};
use crate::model::actor::Actor;
use crate::model::delivery::State;
use crate::model::id::{DeliveryId, EndpointName, EventId, ExternalId};
use crate::setting::Since;
use crate::store::Ending;
use crate::store::query::{DeliveryFilter, DeliveryRow};
use crate::view::{Delivery, Done, RetriedAll};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::list("/api/deliveries", "List deliveries, those of the newest event first", list),
        Route::one("/api/deliveries/{id}", "One delivery, `evt_…@endpoint`, with its attempts", show),
        Route::act(
            "/api/deliveries/retry",
            "Make deliveries due that died or were given up, with the whole schedule before them",
            retry_all,
        ),
        Route::act_on(
            "/api/deliveries/{id}/retry",
            "Make a delivery due that failed, died or was given up, with the whole schedule before it",
            retry,
        ),
        Route::act_on(
            "/api/deliveries/{id}/skip",
            "Give a delivery up that is not delivered, a dead one too; what waits behind it goes on",
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
    /// Only what is not delivered: dead ones too, but none that were skipped.
    #[serde(default)]
    undelivered: bool,
    /// Only what is not finished: neither delivered, dead, given up nor left out.
    #[serde(default)]
    waiting: bool,
    /// Only to this endpoint.
    #[schemars(with = "Option<String>")]
    endpoint: Option<EndpointName>,
    /// Only of events of this type, for example `deposit.created`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Only of the user with this id in your own system.
    #[schemars(with = "Option<String>")]
    external_id: Option<ExternalId>,
    /// Only of this event.
    #[schemars(with = "Option<String>")]
    event: Option<EventId>,
    /// Only of events noticed from then on: a time, a date, or how long ago, such as `2h`.
    since: Option<Since>,
    /// Only of events noticed before then.
    until: Option<Since>,
}

/// The states of a delivery.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum StateName {
    Pending,
    Sending,
    Delivered,
    Retrying,
    AwaitingAck,
    Held,
    Dead,
    Skipped,
    Filtered,
    Superseded,
}

impl From<StateName> for State {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Pending => Self::Pending,
            StateName::Sending => Self::Sending,
            StateName::Delivered => Self::Delivered,
            StateName::Retrying => Self::Retrying,
            StateName::AwaitingAck => Self::AwaitingAck,
            StateName::Held => Self::Held,
            StateName::Dead => Self::Dead,
            StateName::Skipped => Self::Skipped,
            StateName::Filtered => Self::Filtered,
            StateName::Superseded => Self::Superseded,
        }
    }
}

/// Which deliveries to try again: those that everything given here holds for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Again {
    /// Those in this state; left out, dead ones.
    state: Option<EndedName>,
    /// Those to this endpoint.
    #[schemars(with = "Option<String>")]
    endpoint: Option<EndpointName>,
    /// Those of events of this type, for example `deposit.created`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Those of the user with this id in your own system.
    #[schemars(with = "Option<String>")]
    external_id: Option<ExternalId>,
    /// Those of events noticed from then on: a time, a date, or how long ago, such as `2h`.
    since: Option<Since>,
    /// Say how many it would be, and change none.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum EndedName {
    Dead,
    Skipped,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Skip {
    /// Why; kept as the delivery's last error.
    #[schemars(length(min = 1))]
    reason: String,
}

async fn list(admin: Admin, which: Which) -> Result<Page<Delivery>, Problem> {
    let now = admin.clock.now();
    let chosen = [which.state.is_some(), which.undelivered, which.waiting];
    if chosen.into_iter().filter(|is_chosen| *is_chosen).count() > 1 {
        return Err(Problem::bad_request("take one of `state`, `undelivered` and `waiting`"));
    }
    let before = match which.after {
        Some(id) => match admin.store.event(&id.event).await? {
            Some(event) => Some((event.seq, id.endpoint)),
            None => return Err(Problem::bad_request(format!("after: no such delivery: {id}"))),
        },
        None => None,
    };
    let filter = DeliveryFilter {
        state: which.state.map(State::from),
        undelivered: which.undelivered,
        waiting: which.waiting,
        endpoint: which.endpoint,
        kind: which.kind,
        external_id: which.external_id,
        event: which.event,
        since: which.since.map(|since| since.before(now)),
        until: which.until.map(|until| until.before(now)),
        before,
        limit: which.limit.probe(),
        ..DeliveryFilter::default()
    };
    let rows = admin.store.list_deliveries(&filter).await?;
    let events = admin.store.events_numbered(rows.iter().map(|row| row.seq).collect()).await?;
    let events: HashMap<i64, event::Model> = events.into_iter().map(|event| (event.seq, event)).collect();
    let show = |row: &DeliveryRow| Delivery::listed(row, events.get(&row.seq), now);
    Ok(which.limit.page(rows, show, |row| row.id.to_string()))
}

async fn show(admin: Admin, id: DeliveryId) -> Result<Delivery, Problem> {
    match admin.store.delivery(&id).await? {
        Some(row) => Ok(Delivery::full(&row, &admin.store.attempts(&row).await?, admin.clock.now())),
        None => Err(Problem::absent("delivery", id).with_hint("/api/deliveries lists the newest")),
    }
}

async fn retry(admin: Admin, by: Actor, id: DeliveryId, _: Nothing) -> Result<Done, Problem> {
    let retried =
        admin.store.retry_deliveries(std::slice::from_ref(&id), &admin.statements(), &by, admin.clock.now()).await?;
    as_wanted(id, retried.first().copied(), Done::retried)
}

async fn skip(admin: Admin, by: Actor, id: DeliveryId, skip: Skip) -> Result<Done, Problem> {
    if skip.reason.is_empty() {
        return Err(Problem::bad_request("body: `reason` is empty; say why"));
    }
    if skip.reason.contains('\0') {
        return Err(Problem::bad_request("body: `reason` has a NUL character; leave it out"));
    }
    let ids = std::slice::from_ref(&id);
    let skipped = admin.store.skip_deliveries(ids, &skip.reason, &by, admin.clock.now()).await?;
    as_wanted(id, skipped.first().copied(), Done::skipped)
}

async fn retry_all(admin: Admin, by: Actor, again: Again) -> Result<RetriedAll, Problem> {
    let ended = |name| match name {
        EndedName::Dead => Ended::Dead,
        EndedName::Skipped => Ended::Skipped,
    };
    let filter = RetryFilter {
        state: again.state.map(ended),
        endpoint: again.endpoint,
        kind: again.kind,
        external_id: again.external_id,
        since: again.since.map(|since| since.before(admin.clock.now())),
    };
    if filter.is_empty() {
        let hint = "choose with `state`, `endpoint`, `type`, `external_id` and `since`";
        return Err(Problem::bad_request("it is not said which deliveries to retry").with_hint(hint));
    }
    let ending = if again.dry_run { Ending::RollBack } else { Ending::Commit };
    let statements = admin.statements();
    let made = retry::to_the_end(&admin.store, &filter, &statements, ending, &by, &admin.clock, &admin.stop).await?;
    Ok(RetriedAll::load(&admin.store, made, again.dry_run, admin.clock.now()).await?)
}

/// The answer to a request about one delivery.
fn as_wanted<T>(id: DeliveryId, came: Option<T>, show: fn(&DeliveryId, T) -> Done) -> Result<Done, Problem> {
    match came.map(|came| show(&id, came)) {
        Some(done @ Done { is_as_wanted: true, .. }) => Ok(done),
        None | Some(Done { result: "unknown", .. }) => Err(Problem::absent("delivery", id)),
        Some(Done { message, .. }) => Err(Problem::conflict(message)),
    }
}

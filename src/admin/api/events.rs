//! What happened; and telling it again.

use std::sync::Arc;

use lumo_bridge_entity::{attempt, event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::deliveries::StateName;
use super::page::{Limit, Page};
use crate::admin::route::Route;
use crate::admin::{Admin, Problem};
use crate::callback::Endpoint;
use crate::deliver::replay;
use crate::model::actor::Actor;
use crate::model::delivery::State;
use crate::model::event::EventType;
use crate::model::id::{EndpointName, EventId, ExternalId};
use crate::model::pattern::Patterns;
use crate::setting::Since;
use crate::store::Ending;
use crate::store::query::{DeliveryFilter, DeliveryRow, EventFilter};
use crate::store::replay::{ReplayFilter, Types};
use crate::view::{Delivery, Event};

/// More deliveries than this of one event are not shown.
const DELIVERIES: u64 = 100;
/// Nor are more actions.
const ACTIONS: u64 = 100;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::list("/api/events", "List events, the newest first", list),
        Route::one(
            "/api/events/{id}",
            "One event, with its body, its deliveries and their attempts, and what operators did to those",
            show,
        ),
        Route::act("/api/events/replay", "Send stored events to an endpoint once more, with the same ids", again),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    limit: Limit,
    /// The id of the last event of the page before.
    #[schemars(with = "Option<String>")]
    after: Option<EventId>,
    /// Only of this type, for example `deposit.created`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Only of the user with this id in your own system.
    #[schemars(with = "Option<String>")]
    external_id: Option<ExternalId>,
    /// Only about the wallet, deposit or endpoint with this id.
    object_id: Option<String>,
    /// Only those that have a delivery to this endpoint, or are to have one.
    #[schemars(with = "Option<String>")]
    endpoint: Option<EndpointName>,
    /// Only those that have a delivery in this state.
    state: Option<StateName>,
    /// Only those noticed from then on: a time, a date, or how long ago, such as `2h`.
    since: Option<Since>,
    /// Only those noticed before then.
    until: Option<Since>,
}

/// Which events to send again, and to whom: those that everything given here holds for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Again {
    /// To this endpoint: those of the types that its `events` name.
    #[schemars(with = "String")]
    endpoint: EndpointName,
    /// These.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    ids: Vec<EventId>,
    /// Those noticed from then on: a time, a date, or how long ago, such as `2h`.
    since: Option<Since>,
    /// Those noticed before then.
    until: Option<Since>,
    /// Those of these types: names or patterns, as in an endpoint's `events`.
    #[serde(default)]
    types: Vec<String>,
    /// Those of the user with this id in your own system.
    #[schemars(with = "Option<String>")]
    external_id: Option<ExternalId>,
    /// Those of all other types, too. Refused for a statement, which would take them for what it is written for.
    #[serde(default)]
    any_type: bool,
    /// Say how many it would be, and queue none.
    #[serde(default)]
    dry_run: bool,
}

/// What a replay did.
#[derive(Debug, Serialize, JsonSchema)]
struct Replay {
    endpoint: String,
    queued: u64,
    /// Left out, as the event is on its way to the endpoint.
    unfinished: u64,
    /// Left out, as `events` of the endpoint do not name the event's type.
    unwanted: u64,
    is_dry_run: bool,
    /// False if the daemon was told to stop before the last event.
    is_complete: bool,
}

async fn list(admin: Admin, which: Which) -> Result<Page<Event>, Problem> {
    let before = match which.after {
        Some(id) => match admin.store.event(&id).await? {
            Some(row) => Some(row.seq),
            None => return Err(Problem::bad_request(format!("after: no such event: {id}"))),
        },
        None => None,
    };
    let now = admin.clock.now();
    let filter = EventFilter {
        external_id: which.external_id,
        kind: which.kind,
        object_id: which.object_id,
        endpoint: which.endpoint,
        state: which.state.map(State::from),
        since: which.since.map(|since| since.before(now)),
        until: which.until.map(|until| until.before(now)),
        before,
        limit: which.limit.probe(),
    };
    let rows = admin.store.list_events(&filter).await?;
    Ok(which.limit.page(rows, Event::brief, |row| row.id.to_string()))
}

async fn show(admin: Admin, id: EventId) -> Result<Event, Problem> {
    let Some(event) = admin.store.event(&id).await? else {
        return Err(Problem::absent("event", id).with_hint("/api/events lists the newest"));
    };
    let actions = admin.store.actions_on(&id, ACTIONS).await?;
    let filter = DeliveryFilter { event: Some(id), limit: DELIVERIES, ..DeliveryFilter::default() };
    let rows = admin.store.list_deliveries(&filter).await?;
    let endpoints: Vec<EndpointName> = rows.iter().map(|row| row.id.endpoint.clone()).collect();
    let attempts = admin.store.attempts_of(event.seq, &endpoints).await?;
    let of =
        |name: &EndpointName| attempts.iter().filter(|row| row.endpoint == *name).collect::<Vec<&attempt::Model>>();
    let now = admin.clock.now();
    let deliveries = rows.iter().map(|row| Delivery::full(row, of(&row.id.endpoint), now)).collect();
    let wanted_by = Some(wanted_by(&admin, &event, &rows));
    Ok(Event { wanted_by, ..Event::full(&event, deliveries, &actions) })
}

/// The configured endpoints that want an event; first those that lack it, last those that have it.
fn wanted_by(admin: &Admin, event: &event::Model, deliveries: &[DeliveryRow]) -> Vec<String> {
    let Ok(kind) = event.kind.parse::<EventType>() else { return Vec::new() };
    let wants = |endpoint: &&Arc<Endpoint>| {
        let is_about_itself = event.audience.as_deref().and_then(|audience| audience.strip_prefix('!'));
        endpoint.wants(kind) && is_about_itself != Some(endpoint.name().as_str())
    };
    let lacks = |name: &EndpointName| match deliveries.iter().find(|row| row.id.endpoint == *name) {
        None => 0,
        Some(row) if row.state == State::Delivered => 2,
        Some(row) if row.state.is_final() => 0,
        Some(_) => 1,
    };
    let mut names: Vec<&EndpointName> = admin.endpoints.iter().filter(wants).map(|one| one.name()).collect();
    names.sort_by_key(|name| (lacks(name), *name));
    names.into_iter().map(ToString::to_string).collect()
}

async fn again(admin: Admin, by: Actor, again: Again) -> Result<Replay, Problem> {
    let endpoint = admin.endpoint(&again.endpoint)?;
    let types = match again.any_type {
        false => Types::Wanted(endpoint.patterns().clone()),
        true if endpoint.sink().is_some() => {
            let hint = "leave `any_type` out";
            return Err(Problem::bad_request(replay::only_named_types(&again.endpoint)).with_hint(hint));
        }
        true => Types::Any,
    };
    let now = admin.clock.now();
    let kinds = match again.types.as_slice() {
        [] => None,
        texts => Some(Patterns::parse(texts.iter().map(String::as_str)).map_err(|problems| {
            let problems: Vec<_> = problems.iter().map(|problem| format!("types: {problem}")).collect();
            Problem::bad_request(problems.join("\n"))
        })?),
    };
    let filter = ReplayFilter {
        ids: again.ids,
        kinds,
        external_id: again.external_id,
        since: again.since.map(|since| since.before(now)),
        until: again.until.map(|until| until.before(now)),
    };
    if filter.is_boundless() {
        let hint = "name them with `ids`, or choose with `since`, `until`, `types` and `external_id`";
        return Err(Problem::bad_request("it is not said which events to replay").with_hint(hint));
    }
    if filter.is_void() {
        return Err(Problem::bad_request("no event is left over: `since` is not before `until`"));
    }
    if let Some(id) = admin.store.unknown_events(&filter.ids).await?.first() {
        return Err(Problem::absent("event", id).with_hint("/api/events lists the newest; nothing was queued"));
    }
    let replay = admin.store.begin_replay(filter, again.endpoint.clone(), types, by).await?;
    let ending = if again.dry_run { Ending::RollBack } else { Ending::Commit };
    let (replayed, is_complete) = replay::to_the_end(&admin.store, replay, ending, &admin.clock, &admin.stop).await?;
    Ok(Replay {
        endpoint: again.endpoint.to_string(),
        queued: replayed.queued,
        unfinished: replayed.unfinished,
        unwanted: replayed.unwanted,
        is_dry_run: again.dry_run,
        is_complete,
    })
}

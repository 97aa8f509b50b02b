//! How the endpoints fare; pausing, resuming and testing them.

use std::collections::BTreeMap;

use lumo_bridge_entity::endpoint::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::page::{Limit, Page};
use crate::admin::route::{Nothing, Route};
use crate::admin::{Admin, Problem};
use crate::deliver::trial::{Trial, test_event};
use crate::model::actor::Actor;
use crate::model::event::{EventType, UnknownEvent};
use crate::model::id::EndpointName;
use crate::model::sample::{Refused, Setting};
use crate::view::{Endpoint, Test};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::list("/api/endpoints", "List the endpoints by name, those that are no longer configured too", list),
        Route::act_on("/api/endpoints/{name}/pause", "Stop calling an endpoint; what is for it waits", pause),
        Route::act_on(
            "/api/endpoints/{name}/resume",
            "Call an endpoint again that is paused, suspended, failing or held; what waits goes out, in order",
            resume,
        ),
        Route::act_on(
            "/api/endpoints/{name}/test",
            "Send an endpoint a signed test event now, past the queue: a sample whose objects do not exist",
            test,
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    limit: Limit,
    /// The name of the last endpoint of the page before.
    after: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resume {
    /// Give up everything that waits for it, before it is called again.
    #[serde(default)]
    skip_held: bool,
    /// Confirms `skip_held`. Without it, and if anything waits, nothing is changed and the answer is 409 with the count.
    #[serde(default)]
    yes: bool,
}

/// What an endpoint is tested with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// The type of the event. Left out, `bridge.test`, or, where the server has a `token`, a sample of the first wanted type
    /// that suits, if a statement needs one, or a template in the address or a header of an endpoint without a `body`.
    /// Other types only with a `token`.
    event: Option<String>,
    /// Members of its data that get another value, such as `"object.amount": "5"`.
    #[serde(default)]
    set: BTreeMap<String, String>,
}

/// An endpoint's new state.
#[derive(Debug, Serialize, JsonSchema)]
struct Changed {
    name: String,
    state: &'static str,
    /// How many deliveries were given up, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u64>,
    /// Whether it is certain that nothing more is on its way to it, where it was paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_certain: Option<bool>,
}

async fn list(admin: Admin, which: Which) -> Result<Page<Endpoint>, Problem> {
    let mut endpoints = admin.endpoint_views().await?;
    endpoints.retain(|endpoint| which.after.as_ref().is_none_or(|after| endpoint.name > *after));
    Ok(which.limit.page(endpoints, Endpoint::clone, |endpoint| endpoint.name.clone()))
}

async fn pause(admin: Admin, by: Actor, name: EndpointName, _: Nothing) -> Result<Changed, Problem> {
    set(&admin, &name, State::Paused, &by).await
}

async fn resume(admin: Admin, by: Actor, name: EndpointName, how: Resume) -> Result<Changed, Problem> {
    if how.skip_held
        && !how.yes
        && let Some(cost) = Endpoint::cost_of_skipping(&name, &admin.store.undelivered().await?)
    {
        let hint = if admin.endpoint(&name).is_ok() {
            r#"send {"skip_held": true, "yes": true} to give them up, or leave `skip_held` out to send them"#
        } else {
            r#"send {"skip_held": true, "yes": true} to give them up, or put it back into the configuration to send them"#
        };
        return Err(Problem::unconfirmed(cost).with_hint(hint));
    }
    let skipped = match how.skip_held {
        false => None,
        true => Some(admin.store.skip_all_waiting(&name, &by, admin.clock.now()).await?),
    };
    Ok(Changed { skipped, ..set(&admin, &name, State::Active, &by).await? })
}

async fn set(admin: &Admin, name: &EndpointName, state: State, by: &Actor) -> Result<Changed, Problem> {
    let Some(position) = admin.store.set_endpoint_state(name, state, by, admin.clock.now()).await? else {
        // A configured one has a row since the daemon started.
        admin.endpoint(name)?;
        return Err(Problem::absent("endpoint", name));
    };
    let is_certain = match state {
        State::Paused => Some(admin.store.until_seen(name, position.revision).await?),
        _ => None,
    };
    Ok(Changed { name: name.to_string(), state: state.as_str(), skipped: None, is_certain })
}

async fn test(admin: Admin, by: Actor, name: EndpointName, ask: Ask) -> Result<Test, Problem> {
    let endpoint = admin.endpoint(&name)?;
    let by_itself = || if admin.0.access.has_token() { endpoint.test_kind() } else { EventType::BridgeTest };
    let kind = ask.event.as_deref().map_or_else(|| Ok(by_itself()), str::parse);
    let kind = kind.map_err(|error: UnknownEvent| Problem::bad_request(format!("body: event: {error}")))?;
    if (kind != EventType::BridgeTest || !ask.set.is_empty()) && !admin.0.access.has_token() {
        return Err(Problem::token_required());
    }
    let settings = ask.set.iter().map(|(member, value)| Setting::new(member, value)).collect::<Result<Vec<_>, _>>();
    let refused = |refused: Refused| Problem::bad_request(format!("body: set: {refused}"));
    let settings = settings.map_err(refused)?;
    let test = test_event(Some(&admin.store), endpoint, kind, &settings, admin.clock.now()).await.map_err(refused)?;
    let trial = match endpoint.sink() {
        Some(sink) => Trial::of_sink(&admin.store, endpoint, sink, test).await?,
        None => Trial::make(&admin.clock, &admin.sender, endpoint, test).await,
    };
    admin.store.record_test(&name, &by, admin.clock.now()).await?;
    Ok(Test::of(endpoint, &trial))
}

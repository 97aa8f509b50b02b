//! Endpoints: what the configuration says of each, how it fares, and what waits for it.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::endpoint::{self, Model};
use schemars::JsonSchema;
use serde::Serialize;
use url::Url;

use crate::callback::config::EndpointConfig;
use crate::model::delivery::State;
use crate::model::draft::rfc3339;
use crate::model::id::EndpointName;
use crate::store::delivery::reached;
use crate::store::query::Count;
use crate::store::{Error, Store};
use crate::view::delivery::hold;

/// No probe of a failing endpoint is made later than this after the last, unless the endpoint has asked for quiet.
const LONGEST_PROBE_WAIT: TimeDelta = TimeDelta::seconds(60);

/// An endpoint that is configured, or once was.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Endpoint {
    pub name: String,
    pub is_configured: bool,
    /// Scheme, host and port: the rest of an address may be a password.
    pub origin: Option<String>,
    pub events: Option<Vec<String>>,
    /// Null if nobody has delivered anything yet.
    pub state: Option<&'static str>,
    /// Since when it is not configured, as far as a daemon has noticed.
    pub removed_at: Option<DateTime<Utc>>,
    pub since: Option<DateTime<Utc>>,
    pub consecutive_failures: Option<i32>,
    pub last_success_at: Option<DateTime<Utc>>,
    /// Why the last attempt or probe failed; null after a success.
    pub last_error: Option<String>,
    /// Whether a process is on record as delivering to it that is not known to be dead.
    pub is_led: bool,
    /// Until when it is not called: by its own `Retry-After`, or, while it fails, until the next probe.
    pub hold_until: Option<DateTime<Utc>>,
    /// Deliveries that are not finished.
    pub waiting: i64,
    pub oldest_waiting_at: Option<DateTime<Utc>>,
    /// Those of them that failed and are due again.
    #[serde(skip)]
    pub retrying: i64,
    pub dead: i64,
    /// The history that it asked for when it was new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
}

/// How far the history has come that an endpoint is being given.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Backfill {
    pub since: DateTime<Utc>,
    /// Up to which time of creation it is queued.
    pub reached: Option<DateTime<Utc>>,
    pub done_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    has_begun: bool,
}

impl Endpoint {
    /// Every endpoint that is configured, or once was.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load(store: &Store, configs: &BTreeMap<String, EndpointConfig>) -> Result<Vec<Self>, Error> {
        let (rows, living) = (store.endpoints().await?, store.living_processes().await?);
        Ok(Self::gather(configs, &rows, &living, &store.undelivered().await?))
    }

    /// Puts together what is known of each, by name. `living` are the processes that are not known to be dead.
    #[must_use]
    pub fn gather(
        configs: &BTreeMap<String, EndpointConfig>,
        rows: &[Model],
        living: &HashSet<i64>,
        counts: &[Count],
    ) -> Vec<Self> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        let mut known = |name: &str, change: &dyn Fn(&mut Self)| {
            change(all.entry(name.to_owned()).or_insert_with(|| Self { name: name.to_owned(), ..Self::default() }));
        };
        for (name, config) in configs {
            known(name, &|endpoint| endpoint.configured(config));
        }
        for row in rows {
            known(row.name.as_str(), &|endpoint| endpoint.stored(row, living));
        }
        for count in counts {
            known(count.endpoint.as_str(), &|endpoint| endpoint.count(count));
        }
        all.into_values().collect()
    }

    fn configured(&mut self, config: &EndpointConfig) {
        self.is_configured = true;
        self.origin = Url::parse(&config.url).ok().map(|url| url.origin().ascii_serialization());
        self.events = Some(config.events.iter().map(|event| event.as_str().to_owned()).collect());
    }

    fn stored(&mut self, row: &Model, living: &HashSet<i64>) {
        self.state = Some(row.state.as_str());
        self.since = Some(row.since);
        self.consecutive_failures = Some(row.consecutive_failures);
        self.last_success_at = row.last_success_at;
        self.last_error = row.last_error.clone();
        self.is_led = row.process.is_some_and(|process| living.contains(&process));
        self.hold_until = row.hold_until;
        self.removed_at = row.removed_at;
        self.backfill = row.backfill_since.map(|since| Backfill {
            since,
            reached: reached(row),
            done_at: row.backfill_done_at,
            has_begun: row.backfill_place.is_some(),
        });
    }

    /// How far the history has come that it is being given.
    #[must_use]
    pub fn history(&self) -> Option<String> {
        let backfill = self.backfill.as_ref().filter(|backfill| backfill.done_at.is_none() && self.is_configured)?;
        Some(match backfill.reached {
            Some(reached) => format!("{}: history is queued up to {}", self.name, rfc3339(reached)),
            None if backfill.has_begun => format!("{}: history has begun, with stored events", self.name),
            None => format!("{}: history has yet to begin", self.name),
        })
    }

    /// What giving up everything that waits for an endpoint would cost, for whoever has not confirmed it; none if nothing waits
    /// that can be given up.
    #[must_use]
    pub fn cost_of_skipping(name: &EndpointName, counts: &[Count]) -> Option<String> {
        let waits = |count: &&Count| count.endpoint == *name && is_skippable(count.state) && count.deliveries > 0;
        let callbacks: i64 = counts.iter().filter(waits).map(|count| count.deliveries).sum();
        let oldest = counts.iter().filter(waits).filter_map(|count| count.oldest).min()?;
        let noun = if callbacks == 1 { "callback" } else { "callbacks" };
        Some(format!(
            "this gives up {callbacks} {noun} for {name}, the oldest of {}; nothing was changed",
            rfc3339(oldest)
        ))
    }

    fn count(&mut self, count: &Count) {
        match count.state {
            State::Dead => self.dead += count.deliveries,
            state if state.is_final() => {}
            _ => {
                self.waiting += count.deliveries;
                self.retrying += if count.state == State::Retrying { count.deliveries } else { 0 };
                self.oldest_waiting_at = self.oldest_waiting_at.into_iter().chain(count.oldest).min();
            }
        }
    }
}

/// That nothing else is sent to an endpoint, although a test is, and what ends that; none if it is called.
#[must_use]
pub fn kept_back(row: &Model, now: DateTime<Utc>) -> Option<String> {
    let name = &row.name;
    let is = match row.state {
        endpoint::State::Active => {
            let hold = hold(row.state, row.hold_until, now)?;
            return Some(format!("{name} is {hold}: nothing else is sent until then; {} ends that", resume(name)));
        }
        endpoint::State::Failing => {
            let tried = format!("{name} fails: one delivery at a time is tried");
            return Some(match row.hold_until.filter(|next| *next > now) {
                Some(next) if is_long_wait(next, now) => {
                    format!("{tried}, next at {}, as it has asked for quiet; {} ends that", rfc3339(next), resume(name))
                }
                _ => format!("{tried}, and the rest follows in order"),
            });
        }
        endpoint::State::Suspended => "suspended",
        endpoint::State::Paused => "paused",
    };
    Some(format!("{name} is {is}: nothing else is sent until {}", resume(name)))
}

fn resume(name: &EndpointName) -> String {
    format!("`lumo-bridge endpoint resume {name}`")
}

/// Whether a failing endpoint is tried so late because it has asked for that.
#[must_use]
pub fn is_long_wait(next: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    next - now > LONGEST_PROBE_WAIT
}

/// Whether what is in this state goes when an endpoint is resumed without what waits.
const fn is_skippable(state: State) -> bool {
    matches!(state, State::Pending | State::Retrying | State::Held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_counted_with_what_has_failed_of_it() {
        let count = |state, deliveries| Count { endpoint: "shop".parse().unwrap(), state, deliveries, oldest: None };
        let counts =
            [count(State::Pending, 3), count(State::Retrying, 2), count(State::Held, 4), count(State::Dead, 5)];
        let [shop] = Endpoint::gather(&BTreeMap::new(), &[], &HashSet::new(), &counts).try_into().unwrap();
        assert_eq!((shop.waiting, shop.retrying, shop.dead), (9, 2, 5));
    }

    #[test]
    fn what_keeps_the_real_ones_back_is_said_with_what_ends_it() {
        let now: DateTime<Utc> = "2026-05-04T10:00:00Z".parse().unwrap();
        let said = |state, seconds: i64| {
            let row = Model {
                name: "shop".parse().unwrap(),
                state,
                since: now,
                consecutive_failures: 0,
                last_success_at: None,
                last_error: None,
                hold_until: Some(now + TimeDelta::seconds(seconds)),
                removed_at: None,
                ordering: "user".to_owned(),
                fingerprint: 0,
                process: None,
                lease_ms: 0,
                backfill_since: None,
                backfill_place: None,
                backfill_done_at: None,
            };
            kept_back(&row, now)
        };
        let resume = "`lumo-bridge endpoint resume shop`";
        let held = format!(
            "shop is held until 2026-05-04T10:10:00Z (Retry-After): nothing else is sent until then; {resume} ends that"
        );
        assert_eq!(said(endpoint::State::Active, 600), Some(held));
        assert_eq!(said(endpoint::State::Active, 0), None, "the hold is over");
        let tried = "shop fails: one delivery at a time is tried";
        for soon in [0, 60] {
            let follows = format!("{tried}, and the rest follows in order");
            assert_eq!(said(endpoint::State::Failing, soon), Some(follows));
        }
        let asked = said(endpoint::State::Failing, 600).unwrap();
        assert!(asked.starts_with(&format!("{tried}, next at 2026-05-04T10:10:00")), "{asked}");
        assert!(asked.ends_with(&format!(", as it has asked for quiet; {resume} ends that")), "{asked}");
        let paused = format!("shop is paused: nothing else is sent until {resume}");
        assert_eq!(said(endpoint::State::Paused, 600), Some(paused));
    }

    #[test]
    fn what_skipping_costs_is_counted() {
        let count = |endpoint: &str, state, deliveries, second: u32| Count {
            endpoint: endpoint.parse().unwrap(),
            state,
            deliveries,
            oldest: format!("2026-05-04T10:00:{second:02}Z").parse().ok(),
        };
        let cost = |counts: &[Count]| Endpoint::cost_of_skipping(&"shop".parse().unwrap(), counts);
        assert_eq!(cost(&[]), None);
        assert_eq!(cost(&[count("crm", State::Pending, 9, 1), count("shop", State::Dead, 9, 1)]), None);
        assert_eq!(cost(&[count("shop", State::Sending, 2, 1)]), None, "what is under way is left alone");
        assert_eq!(
            cost(&[count("shop", State::Pending, 1_690, 7), count("shop", State::Retrying, 6, 5)]).as_deref(),
            Some("this gives up 1696 callbacks for shop, the oldest of 2026-05-04T10:00:05Z; nothing was changed")
        );
        assert_eq!(
            cost(&[count("shop", State::Held, 1, 7)]).as_deref(),
            Some("this gives up 1 callback for shop, the oldest of 2026-05-04T10:00:07Z; nothing was changed")
        );
    }
}

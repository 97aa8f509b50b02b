//! Sends one signed test event to an endpoint, and suggests what to do about the answer.
//!
//! Nothing is stored. For a sink, the statement is run and rolled back.

use std::time::Instant;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::Reason;
use serde_json::Value;

use crate::callback::{Attempt, Callback, Endpoint, Sender};
use crate::clock::Clock;
use crate::model::draft::{Account, Origin};
use crate::model::event::EventType;
use crate::model::id::EventId;
use crate::model::insecure::NO_TLS;
use crate::model::retry::{Outcome, Unreachable};
use crate::model::sample::{self, Refused, Setting, Test};
use crate::model::sink::Sink;
use crate::store::{self, Store};

/// What to do about a network that callbacks may not go to.
pub const ALLOW: &str = "take the network out of `callbacks.egress.deny`, if this is meant";
/// What to do about a receiver that refuses a signed request.
pub const COMPARE_SECRET: &str = "compare the secret of the receiver; `lumo-bridge callback verify` says what is wrong with a \
                                  captured request";
/// What to do about a receiver that is not reached.
pub const REACH: &str = "check that the receiver runs, can be reached from here, and answers in time";

/// A test that was made.
#[derive(Debug)]
pub struct Trial {
    /// The event id that the receiver got.
    pub event: EventId,
    pub kind: EventType,
    pub attempt: Attempt,
    /// Whether it was a sink's statement, which has no status and was rolled back.
    pub is_undone: bool,
    /// Why the endpoint would not receive a real event like it; none if it would.
    pub left_out: Option<String>,
    /// A test that suits the endpoint, if this one does not.
    better: Option<Better>,
}

/// A test that has what the endpoint asks for.
#[derive(Debug)]
struct Better {
    hint: String,
    /// Whether the first one was not sent.
    is_unsent: bool,
}

/// Makes a test event. It names the company whose events the endpoint receives, if the tables can be read and contain
/// it.
///
/// # Errors
/// If a member cannot be set, or not to this.
pub async fn test_event(
    store: Option<&Store>,
    endpoint: &Endpoint,
    kind: EventType,
    settings: &[Setting],
    now: DateTime<Utc>,
) -> Result<Test, Refused> {
    let account = match store {
        Some(store) => store.account().await.ok().flatten(),
        None => None,
    };
    sample::test(kind, endpoint.name(), account.as_ref().map(Account::from), settings, now)
}

impl Trial {
    /// Sends the test like a delivery: with the endpoint's template, headers, secrets and timeout. Every result is an
    /// attempt, not an error.
    pub async fn make(clock: &Clock, sender: &Sender, endpoint: &Endpoint, test: Test) -> Self {
        let callback = Callback {
            event_id: &test.id,
            event_type: test.kind.as_str(),
            attempt: 1,
            reason: Reason::Test.as_str(),
            body: &test.body,
        };
        let attempt = sender.send(endpoint, &callback, clock.now()).await;
        Self::of(endpoint, test, attempt, false)
    }

    /// Runs the statement of a sink with the test, in a transaction that is rolled back.
    ///
    /// # Errors
    /// If the database fails otherwise; what it says to the statement is an attempt.
    pub async fn of_sink(store: &Store, endpoint: &Endpoint, sink: &Sink, test: Test) -> Result<Self, store::Error> {
        let started = Instant::now();
        let ran = store.try_sink(sink, &test.body).await?;
        let duration = started.elapsed();
        let (outcome, error) = match ran {
            Ok(()) => (Outcome::Accepted { status: 200 }, None),
            Err(failure) => (failure.outcome(), Some(failure.text)),
        };
        Ok(Self::of(endpoint, test, Attempt { outcome, duration, error, response_body: None }, true))
    }

    fn of(endpoint: &Endpoint, test: Test, attempt: Attempt, is_undone: bool) -> Self {
        let left_out = if test.kind == EventType::BridgeTest { None } else { left_out(endpoint, &test) };
        let better = if test.kind == EventType::BridgeTest { better(endpoint, &attempt.outcome) } else { None };
        Self { event: test.id, kind: test.kind, attempt, is_undone, left_out, better }
    }

    /// Whether nothing was sent, as `bridge.test` does not have what the templates ask for and other types do.
    #[must_use]
    pub fn is_unsuited(&self) -> bool {
        self.better.as_ref().is_some_and(|better| better.is_unsent)
    }

    /// The status that was answered, if anything was.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.attempt.outcome {
            _ if self.is_undone => None,
            Outcome::Accepted { status } | Outcome::Refused { status, .. } => Some(status),
            Outcome::Unreachable(_) => None,
        }
    }

    /// A suggestion for the operator; none if the test was accepted.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        if let Some(Better { hint, .. }) = &self.better {
            return Some(hint);
        }
        Some(match self.attempt.outcome {
            Outcome::Accepted { .. } => return None,
            Outcome::Refused { status: 401 | 403, .. } => COMPARE_SECRET,
            Outcome::Refused { status: 404 | 405, .. } => "compare the path and the method of the receiver",
            Outcome::Refused { status: 410, .. } => {
                "410 asks for no more callbacks; a real one would suspend the endpoint"
            }
            Outcome::Refused { status: 300..=399, .. } => "name the address that the redirect leads to",
            Outcome::Refused { .. } => {
                "the log of the receiver may tell more; it must answer 2xx to events that it does not know"
            }
            Outcome::Unreachable(Unreachable::Statement) => "try the statement in the database",
            Outcome::Unreachable(Unreachable::Timeout) if self.is_undone => {
                "make the statement quicker, or give it more time in `sink.timeout`"
            }
            Outcome::Unreachable(Unreachable::Denied) => ALLOW,
            Outcome::Unreachable(Unreachable::Request) => "what the endpoint makes of this event does not fit it",
            Outcome::Unreachable(Unreachable::Tls) if self.problem().contains(NO_TLS) => {
                "correct the url of the endpoint: callbacks over plain http are signed as well"
            }
            Outcome::Unreachable(Unreachable::Tls) => "compare the name in the certificate, its end, and who issued it",
            Outcome::Unreachable(_) => REACH,
        })
    }

    /// What went wrong, in a line.
    #[must_use]
    pub fn problem(&self) -> &str {
        self.attempt.error.as_deref().unwrap_or("no success")
    }

    /// The beginning of the answer's body, on one line.
    #[must_use]
    pub fn answer(&self) -> Option<String> {
        const MAX_CHARACTERS: usize = 200;
        let line = self.attempt.response_body.as_deref()?.split_whitespace().collect::<Vec<_>>().join(" ");
        let beginning: String = line.chars().take(MAX_CHARACTERS).collect();
        let more = if beginning.len() < line.len() { "…" } else { "" };
        Some(format!("{beginning}{more}"))
    }
}

/// The test to try instead, if `bridge.test` failed because it lacks members that the endpoint needs.
fn better(endpoint: &Endpoint, outcome: &Outcome) -> Option<Better> {
    let Outcome::Unreachable(why) = *outcome else { return None };
    let (name, kind) = (endpoint.name(), endpoint.first_suiting().filter(|kind| *kind != EventType::BridgeTest)?);
    let command = format!("`lumo-bridge endpoint test {name} --event {kind}`");
    match why {
        Unreachable::Request if !endpoint.suits(EventType::BridgeTest) => Some(Better {
            hint: format!(
                "`bridge.test` does not have all that its templates ask for; {command} sends a sample that has"
            ),
            is_unsent: true,
        }),
        Unreachable::Statement => Some(Better {
            hint: format!(
                "`bridge.test` has no `:external_id`, `:amount` and the like; {command} runs the statement with a sample \
                 that has"
            ),
            is_unsent: false,
        }),
        _ => None,
    }
}

/// Why the endpoint would not receive a real event of this type; none if it would.
fn left_out(endpoint: &Endpoint, test: &Test) -> Option<String> {
    if !endpoint.wants(test.kind) {
        return Some(format!("a real one would be left out, as `events` do not name {}", test.kind));
    }
    match endpoint.when()?.holds(&as_live(&test.body)) {
        Ok(true) => None,
        Ok(false) => Some("a real one would be left out, as `when` is false for it".to_owned()),
        Err(failure) => Some(format!("a real one would fail, as `when` has no value for it: {failure}")),
    }
}

/// The body with the origin of a real event, so that a `when` that rejects tests is evaluated as for real events.
fn as_live(body: &str) -> String {
    let Ok(mut event) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    event["origin"] = Origin::Live.as_str().into();
    event.to_string()
}

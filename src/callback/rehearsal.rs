//! Tries an endpoint's templates and its `when` on a sample event of each type that it wants.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use crate::callback::endpoint::Endpoint;
use crate::callback::problem::{ConfigError, Problem};
use crate::callback::request::{RequestError, render};
use crate::chain::Chain;
use crate::model::condition::{Condition, Failure};
use crate::model::event::EventType;
use crate::model::sample;

/// A problem of a template or of `when`, with the event types that it occurs for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Which of them failed, and how.
    pub problem: String,
    /// What to write instead, where that can be told.
    pub hint: Option<&'static str>,
    /// The event types for which it failed.
    pub events: Vec<EventType>,
}

const ABSENT: &str = "ask for what an event may not have with `x is defined` or `x | default(…)`";

/// Longest time for all templates of an endpoint and all samples.
const LONGEST_TRIAL: Duration = Duration::from_secs(10);

/// What is wrong, and what to write instead.
type Slip = (String, Option<&'static str>);

impl Endpoint {
    /// Checks with samples that the templates stay within their time and memory limits. [`Endpoint::rehearse`] reports
    /// members that an event may lack.
    ///
    /// # Errors
    /// A template that is wrong whatever the event.
    pub fn try_templates(&self) -> Result<(), ConfigError> {
        let Some(http) = self.http().filter(|http| http.has_templates()) else { return Ok(()) };
        let (http, wanted) = (http.clone(), self.patterns().wanted().collect::<Vec<_>>());
        let (tell, told) = mpsc::channel();
        // A rendering that takes too long is abandoned; its step limit ends it.
        std::thread::spawn(move || {
            let tried = wanted.into_iter().filter_map(|event| render(&http, &sample::body(event)).err());
            tell.send(tried.filter(RequestError::is_refused).map(|error| Chain(&error).to_string()).next())
        });
        let problem = match told.recv_timeout(LONGEST_TRIAL) {
            Ok(None) => return Ok(()),
            Ok(Some(problem)) => problem,
            Err(_) => "the templates do not end in time; make them simpler".to_owned(),
        };
        Err(Problem::Invalid { key: format!("callbacks.endpoints.{}", self.name()), problem }.into())
    }

    /// Evaluates `when` and renders every template with a sample of each event type that the endpoint receives. Nothing
    /// is sent.
    #[must_use]
    pub fn rehearse(&self) -> Vec<Misfit> {
        let mut found: BTreeMap<Slip, Vec<EventType>> = BTreeMap::new();
        for event in self.patterns().wanted() {
            let body = sample::body(event);
            for problem in self.when().map(|when| misjudged(when, &body)).unwrap_or_default() {
                found.entry(problem).or_default().push(event);
            }
            if let Some(Err(error)) = self.http().map(|http| render(http, &body)) {
                let problem = Chain(&error).to_string();
                let hint = problem.ends_with("undefined value").then_some(ABSENT);
                found.entry((problem, hint)).or_default().push(event);
            }
        }
        found.into_iter().map(|((problem, hint), events)| Misfit { problem, hint, events }).collect()
    }
}

impl Endpoint {
    /// The type of the test event, unless the operator names one: `bridge.test` if it suits. A statement is tried with
    /// the first type that is wanted, and so is an address or a header that needs what `bridge.test` does not have. An
    /// endpoint with a body of its own is not: nothing in that may tell the receiver that it is a test.
    #[must_use]
    pub fn test_kind(&self) -> EventType {
        let is_tried_with_sample = match self.http() {
            None => true,
            Some(http) => http.template.is_none() && !self.suits(EventType::BridgeTest),
        };
        let sample = if is_tried_with_sample { self.first_suiting() } else { None };
        sample.unwrap_or(EventType::BridgeTest)
    }

    /// The first type that is wanted and has all that the templates ask for.
    #[must_use]
    pub fn first_suiting(&self) -> Option<EventType> {
        self.patterns().wanted().find(|kind| self.suits(*kind))
    }

    /// Whether an event of this type has all that the templates ask for.
    #[must_use]
    pub fn suits(&self, kind: EventType) -> bool {
        self.http().is_none_or(|http| render(http, &sample::body(kind)).is_ok())
    }
}

/// The members that `when` uses and the sample lacks. If there are none, why `when` cannot be evaluated.
fn misjudged(when: &Condition, sample: &str) -> Vec<Slip> {
    let slip = |failure: Failure| (format!("`when`: {}", Chain(&failure)), failure.hint());
    match when.lacking(sample) {
        Ok(lacking) if lacking.is_empty() => when.holds(sample).err().map(slip).into_iter().collect(),
        Ok(lacking) => {
            lacking.into_iter().map(|path| (format!("`when`: `{path}` is not there"), Some(ABSENT))).collect()
        }
        Err(failure) => vec![slip(failure)],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::callback::fixture::endpoint;

    #[test]
    fn what_some_events_have_not_is_found_with_their_names() {
        let more = json!({
            "events": ["deposit.created", "wallet.blocked", "wallet.missing"],
            "headers": { "X-Amount": "{{ data.object.amount }}", "X-User": "{{ data.object.external_id }}" },
        });
        let expected = Misfit {
            problem: "`headers.x-amount`: the template failed in line 1: undefined value".to_owned(),
            hint: Some(ABSENT),
            events: vec![EventType::WalletBlocked, EventType::WalletMissing],
        };
        assert_eq!(endpoint("https://x/{{ data.object.external_id }}", more).rehearse(), [expected]);
    }

    #[test]
    fn a_test_has_what_the_endpoint_asks_for_unless_it_could_look_real() {
        let kind = |url: &str, more| endpoint(url, more).test_kind();
        let events = json!(["wallet.*", "deposit.settled"]);
        assert_eq!(kind("https://x/", json!({ "events": events })), EventType::BridgeTest);
        assert_eq!(kind("https://x/{{ data.object.kind }}", json!({ "events": events })), EventType::BridgeTest);
        let of_deposits = "https://x/{{ data.object.amount }}";
        assert_eq!(
            kind(of_deposits, json!({ "events": events })),
            EventType::DepositSettled,
            "no wallet has an amount"
        );
        assert_eq!(kind(of_deposits, json!({ "events": ["wallet.created"] })), EventType::BridgeTest, "nothing suits");
        let own = endpoint("https://x/", json!({ "events": events, "body": "{{ data.object.amount }}" }));
        assert_eq!((own.test_kind(), own.suits(EventType::BridgeTest)), (EventType::BridgeTest, false));
        assert_eq!(own.first_suiting(), Some(EventType::DepositSettled));
    }

    #[test]
    fn what_when_asks_for_and_some_events_have_not_is_found_with_their_names() {
        let more = json!({
            "events": ["deposit.created", "deposit.settled", "wallet.blocked"],
            "when": "data.object.status == 'never' and data.object.amount >= 10",
        });
        let misfit = |member: &str| Misfit {
            problem: format!("`when`: `data.object.{member}` is not there"),
            hint: Some(ABSENT),
            events: vec![EventType::WalletBlocked],
        };
        assert_eq!(endpoint("https://x/", more).rehearse(), [misfit("amount"), misfit("status")]);

        let guarded = "type == 'wallet.blocked' or data.object.amount >= 10";
        let more = json!({ "events": ["deposit.created", "wallet.blocked"], "when": guarded });
        assert_eq!(endpoint("https://x/", more).rehearse(), []);

        let more = json!({ "events": ["deposit.created"], "when": "data.object.amount > '10'" });
        let expected = Misfit {
            problem: "`when`: a number and a text cannot be compared".to_owned(),
            hint: Some("write a number without quotes, and a text in quotes"),
            events: vec![EventType::DepositCreated],
        };
        assert_eq!(endpoint("https://x/", more).rehearse(), [expected]);
    }

    #[test]
    fn what_fits_every_event_is_found_fit() {
        let names: Vec<_> = EventType::ALL.iter().map(|event| event.as_str()).collect();
        let more = json!({
            "events": names,
            "when": "origin != 'test' and sequence >= 1 and data.object.external_id is not defined or true",
            "body": r#"{"user": {{ data.object.external_id | default(none) }}, "type": {{ type }}, "all": {{ data }}}"#,
            "headers": { "X-Stream": "{{ stream }}/{{ sequence }}" },
        });
        let endpoint = endpoint("https://x/{{ type }}/{{ data.object.id }}", more);
        assert_eq!(endpoint.patterns().wanted().count(), EventType::ALL.len());
        assert_eq!(endpoint.rehearse(), []);
    }

    #[test]
    fn a_value_that_no_header_can_carry_is_found() {
        let more = json!({ "events": ["deposit.created"], "headers": { "X-A": "{{ stream }}\u{e9}" } });
        let [misfit] = endpoint("https://x/", more).rehearse().try_into().unwrap();
        assert!(misfit.problem.starts_with("`x-a` would have a value that no header can carry"), "{misfit:?}");
        assert_eq!(misfit.hint, None, "the member is there");
    }
}

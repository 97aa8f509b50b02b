//! Trying an endpoint's templates on an event of each type that it wants, before there is one.

use std::collections::BTreeMap;

use crate::callback::endpoint::Endpoint;
use crate::callback::request::render;
use crate::callback::sample;
use crate::chain::Chain;
use crate::model::event::EventType;

/// What a template does not fit, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Which template failed, and how.
    pub problem: String,
    /// With which events.
    pub events: Vec<EventType>,
}

impl Endpoint {
    /// Renders every template with a sample of each type of event that is wanted. Nothing is sent.
    #[must_use]
    pub fn rehearse(&self) -> Vec<Misfit> {
        let mut found: BTreeMap<String, Vec<EventType>> = BTreeMap::new();
        let Some(http) = self.http() else { return Vec::new() };
        for event in self.patterns().wanted() {
            if let Err(error) = render(http, &sample::body(event)) {
                found.entry(Chain(&error).to_string()).or_default().push(event);
            }
        }
        found.into_iter().map(|(problem, events)| Misfit { problem, events }).collect()
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
            events: vec![EventType::WalletBlocked, EventType::WalletMissing],
        };
        assert_eq!(endpoint("https://x/{{ data.object.external_id }}", more).rehearse(), [expected]);
    }

    #[test]
    fn what_fits_every_event_is_found_fit() {
        let names: Vec<_> = EventType::ALL.iter().map(|event| event.as_str()).collect();
        let more = json!({
            "events": names,
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
    }
}

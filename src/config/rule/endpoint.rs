//! The rules of one endpoint.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Rules;
use crate::callback::config::{EndpointConfig, Method, SinkConfig};
use crate::model::condition::Condition;
use crate::model::pattern::{PatternError, Patterns};
use crate::model::sink::Statement;
use crate::setting::Text;

/// Headers that the bridge or the protocol sets by itself.
const RESERVED: [&str; 9] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Nothing else is published while a statement runs, and its transaction has an end.
const LONGEST_STATEMENT: Duration = Duration::from_secs(5);
const LONGEST_NAME: usize = 64;

impl Rules {
    pub(super) fn endpoint(&mut self, name: &str, endpoint: &EndpointConfig) {
        let base = format!("callbacks.endpoints.{name}");
        if !is_name(name) {
            self.add(
                base.as_str(),
                format!(
                    "`{name}` is no name of an endpoint; begin with a-z or 0-9, go on with these, _ and -, at most 64"
                ),
            );
        }
        self.events(&format!("{base}.events"), &endpoint.events);
        match &endpoint.sink {
            Some(sink) => self.sink(&base, sink, endpoint),
            None => self.receiver(&base, endpoint),
        }
        if let Some(Err(error)) = endpoint.when.as_ref().map(|source| Condition::parse(source)) {
            self.add(format!("{base}.when"), error.to_string());
        }
        for (header, value) in &endpoint.headers {
            self.header(&format!("{base}.headers.{header}"), header, value);
        }
        for (at, signature) in endpoint.extra_signatures.iter().enumerate() {
            if let Some(header) = &signature.header {
                self.header(&format!("{base}.extra_signatures[{at}].header"), header, "");
            }
        }
        if endpoint.auth.as_ref().is_some_and(|auth| auth.bearer.is_some() == auth.basic.is_some()) {
            self.add(format!("{base}.auth"), "is not exactly one of the two; write either bearer or basic");
        }
        if let Some(timeout) = endpoint.timeout {
            self.above_zero(&format!("{base}.timeout"), timeout);
        }
        if let Some(ack) = &endpoint.ack {
            self.above_zero(&format!("{base}.ack.within"), ack.within);
        }
        if let Some(concurrency) = endpoint.concurrency {
            self.within(&format!("{base}.concurrency"), concurrency, 1..=1_000);
        }
        if let Some(max_hold) = endpoint.ordering.as_ref().and_then(|ordering| ordering.max_hold) {
            self.above_zero(&format!("{base}.ordering.max_hold"), max_hold);
        }
        if let Some(retry) = &endpoint.retry {
            if retry.schedule.as_ref().is_some_and(Vec::is_empty) {
                self.add(format!("{base}.retry.schedule"), "is empty; give at least one wait, for example [5s]");
            }
            if let Some(jitter) = retry.jitter {
                self.within(&format!("{base}.retry.jitter"), jitter, 0.0..=1.0);
            }
        }
    }

    fn receiver(&mut self, base: &str, endpoint: &EndpointConfig) {
        let url = format!("{base}.url");
        match endpoint.url_template() {
            None => self.web_address(&url, &endpoint.url),
            Some(Ok(())) => {}
            Some(Err(problem)) => self.add(url, problem),
        }
        for (key, problem) in endpoint.wrong_templates() {
            self.add(format!("{base}.{key}"), problem);
        }
        if endpoint.secrets.is_empty() {
            self.add(format!("{base}.secrets"), "is empty; name at least one signing secret");
        }
    }

    fn sink(&mut self, base: &str, sink: &SinkConfig, endpoint: &EndpointConfig) {
        if let Err(error) = Statement::parse(&sink.sql) {
            self.add(format!("{base}.sink.sql"), error.to_string());
        }
        if sink.timeout.0.is_zero() || sink.timeout.0 > LONGEST_STATEMENT {
            self.add(format!("{base}.sink.timeout"), "is out of range; write more than 0s and at most 5s");
        }
        for (is_there, key) in [
            (!endpoint.url.is_empty(), "url"),
            (!endpoint.secrets.is_empty(), "secrets"),
            (!endpoint.extra_signatures.is_empty(), "extra_signatures"),
            (!endpoint.headers.is_empty(), "headers"),
            (endpoint.auth.is_some(), "auth"),
            (endpoint.method != Method::default(), "method"),
            (endpoint.body.is_some(), "body"),
            (endpoint.tls.is_some(), "tls"),
            (endpoint.http2, "http2"),
            (endpoint.ack.is_some(), "ack"),
            (endpoint.timeout.is_some(), "timeout"),
        ] {
            if is_there {
                self.add(
                    format!("{base}.{key}"),
                    "is for endpoints that are called, and this one has a sink; take it out",
                );
            }
        }
    }

    fn events(&mut self, key: &str, events: &[Text]) {
        let mut seen = BTreeSet::new();
        for (at, event) in events.iter().enumerate() {
            if !seen.insert(event.as_str()) {
                self.add(format!("{key}[{at}]"), format!("`{event}` stands here twice; take one out"));
            }
        }
        let Err(problems) = Patterns::parse(events.iter().map(Text::as_str)) else { return };
        for problem in problems {
            let at = match &problem {
                PatternError::Unknown { pattern, .. } => events.iter().position(|event| event.as_str() == pattern),
                PatternError::Empty | PatternError::NothingLeft => None,
            };
            self.add(at.map_or_else(|| key.to_owned(), |at| format!("{key}[{at}]")), problem.to_string());
        }
    }

    fn header(&mut self, key: &str, name: &str, value: &str) {
        let lower = name.to_ascii_lowercase();
        if !is_token(name) {
            self.add(key, "is no name of a header; use letters, digits and hyphens");
        } else if lower == "authorization" {
            self.add(key, "is set by the bridge; use the key `auth` of the endpoint");
        } else if RESERVED.contains(&lower.as_str()) || lower.starts_with("webhook-") || lower.starts_with("lumo-") {
            self.add(key, "is set by the bridge; take it out");
        } else if !value.chars().all(|letter| letter == ' ' || letter == '\t' || letter.is_ascii_graphic()) {
            self.add(key, "has a value that no header can have; use printable ASCII");
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '_' | '-'))
}

/// A token of RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

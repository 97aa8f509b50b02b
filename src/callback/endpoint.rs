//! A receiver, compiled from its configuration: everything parsed, every secret at hand, all limits decided.
//!
//! Compiling finds every problem at once and names its key. What was compiled does not change; a new configuration
//! makes new endpoints.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderMap;
use url::Url;

use crate::callback::config::{Defaults, EndpointConfig, Method, Ordering};
use crate::callback::headers;
use crate::callback::problem::{ConfigError, Problems};
use crate::callback::template::Template;
use crate::model::event::EventType;
use crate::model::id::EndpointName;
use crate::model::pattern::{PatternError, Patterns};
use crate::model::retry::Policy;
use crate::model::sign::SigningSecret;
use crate::setting::{Rate, SecretSource, Span, Text};

/// Longest time that one attempt may be given.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Where callbacks go, and how.
#[derive(Clone)]
pub struct Endpoint {
    name: EndpointName,
    pub(super) url: Url,
    pub(super) method: reqwest::Method,
    pub(super) headers: HeaderMap,
    pub(super) secrets: Vec<SigningSecret>,
    pub(super) template: Option<Template>,
    patterns: Patterns,
    timeout: Duration,
    concurrency: usize,
    rate: Option<Rate>,
    ordering: Ordering,
    policy: Policy,
}

impl Endpoint {
    /// Reads the endpoint `name`, with what it leaves out taken from `defaults`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each under its key.
    pub fn compile(name: &str, config: &EndpointConfig, defaults: &Defaults) -> Result<Self, ConfigError> {
        let mut problems = Problems::under(format!("callbacks.endpoints.{name}"));
        if !is_plain(name) {
            let text =
                format!("`{name}` is no name; take up to 64 of `a-z`, `0-9`, `_` and `-`, a letter or digit first");
            problems.add_elsewhere("callbacks.endpoints".to_owned(), text);
        }
        let limits = defaults.overridden_by(config);
        check_limits(config, &limits, &mut problems);

        let parsed_name = name.parse().ok();
        let url = problems.take("url", address(&config.url));
        let headers = headers::compile(config, &mut problems);
        let secrets = signing_secrets(&config.secrets, &mut problems);
        let template = config
            .body
            .as_ref()
            .and_then(|source| problems.take("body", Template::compile(source, headers::declare_json(&headers))));
        let patterns = patterns(&config.events, &mut problems);

        let endpoint = parsed_name.zip(url).zip(patterns).map(|((name, url), patterns)| Self {
            name,
            url,
            method: match config.method {
                Method::Post => reqwest::Method::POST,
                Method::Put => reqwest::Method::PUT,
                Method::Patch => reqwest::Method::PATCH,
            },
            headers,
            secrets,
            template,
            patterns,
            timeout: limits.timeout.get(),
            concurrency: usize::try_from(limits.concurrency).unwrap_or(usize::MAX),
            rate: limits.rate,
            ordering: limits.ordering,
            policy: Policy {
                schedule: limits.retry.schedule.into_iter().map(Span::get).collect(),
                jitter: limits.retry.jitter,
                retry_after_cap: limits.retry.retry_after_cap.get(),
            },
        });
        problems.finish(endpoint)
    }

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &EndpointName {
        &self.name
    }

    /// Scheme, host and port: as much of the address as may be shown.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether it is to be told of such an event.
    #[must_use]
    pub fn wants(&self, event: EventType) -> bool {
        self.patterns.wants(event)
    }

    /// What it is to be told of.
    #[must_use]
    pub const fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// Longest time for one attempt: connection, headers and body.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Most attempts at once, at least one.
    #[must_use]
    pub const fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Most attempts per time, if limited.
    #[must_use]
    pub const fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// What waits for what.
    #[must_use]
    pub const fn ordering(&self) -> &Ordering {
        &self.ordering
    }

    /// When to try again, and when to give up.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// A path or a query may be a receiver's password, so only the origin shows; of headers, no values.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("origin", &self.origin())
            .field("method", &self.method)
            .field("headers", &self.headers.keys().map(AsRef::<str>::as_ref).collect::<Vec<_>>())
            .field("secrets", &self.secrets.len())
            .field("patterns", &self.patterns)
            .field("template", &self.template.is_some())
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("rate", &self.rate)
            .field("ordering", &self.ordering)
            .field("policy", &self.policy)
            .finish()
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 64
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b'_' | b'-'))
}

/// The errors do not quote the address: it may carry a password.
fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a url; write for example `https://example.com/hooks`")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither an http:// nor an https:// url; write for example `https://example.com/hooks`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has credentials in the url; take them out and use `auth.basic`");
    }
    if url.fragment().is_some() {
        return Err("has a fragment, which is never sent; end the url before `#`");
    }
    Ok(url)
}

/// A pattern's problem is told under its position, a problem of the whole list under the list.
fn patterns(texts: &[Text], problems: &mut Problems) -> Option<Patterns> {
    let parsed = Patterns::parse(texts.iter().map(Text::as_str));
    let report = |error: &PatternError| {
        let at = match error {
            PatternError::Unknown { pattern, .. } => texts.iter().position(|text| text.as_str() == pattern),
            PatternError::Empty | PatternError::NothingLeft => None,
        };
        problems.add(&at.map_or_else(|| "events".to_owned(), |at| format!("events[{at}]")), error);
    };
    parsed.map_err(|errors| errors.iter().for_each(report)).ok()
}

fn signing_secrets(sources: &[SecretSource], problems: &mut Problems) -> Vec<SigningSecret> {
    if sources.is_empty() {
        problems.add("secrets", "is empty; every callback is signed, so name at least one secret");
    }
    let mut secrets = Vec::with_capacity(sources.len());
    for (position, source) in sources.iter().enumerate() {
        let key = format!("secrets[{position}]");
        let secret = problems.take_secret(source.resolve(&problems.key(&key)));
        let secret = secret.and_then(|text| problems.take(&key, text.expose().parse::<SigningSecret>()));
        match secret {
            Some(secret) if secrets.contains(&secret) => {
                problems.add(&key, "is the same secret once more; take one out")
            }
            Some(secret) => secrets.push(secret),
            None => {}
        }
    }
    secrets
}

/// The problem is told under the key that holds the value: the endpoint's own or the default's.
fn check_limits(config: &EndpointConfig, limits: &Defaults, problems: &mut Problems) {
    let mut check = |is_right: bool, is_own: bool, key: &str, problem: &str| match (is_right, is_own) {
        (true, _) => {}
        (false, true) => problems.add(key, problem),
        (false, false) => problems.add_elsewhere(format!("callbacks.defaults.{key}"), problem),
    };
    let timeout = limits.timeout.get();
    let in_range = !timeout.is_zero() && timeout <= LONGEST_TIMEOUT;
    check(in_range, config.timeout.is_some(), "timeout", "must be more than 0s and at most 5m");
    check(limits.concurrency > 0, config.concurrency.is_some(), "concurrency", "must be at least 1");
    let own_jitter = config.retry.as_ref().is_some_and(|retry| retry.jitter.is_some());
    check((0.0..=1.0).contains(&limits.retry.jitter), own_jitter, "retry.jitter", "must be from 0 to 1");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::callback::config::OrderBy;
    use crate::callback::fixture::{OTHER_SECRET, SECRET, config, defaults, endpoint};

    const URL: &str = "https://example.com/hooks";

    fn problems(name: &str, config: &EndpointConfig) -> Vec<String> {
        let error = Endpoint::compile(name, config, &defaults()).unwrap_err();
        error.to_string().lines().map(str::to_owned).collect()
    }

    fn keys(more: Value) -> Vec<String> {
        let lines = problems("shop", &config(URL, more));
        lines.iter().map(|line| line.split(": ").next().unwrap().replace("callbacks.endpoints.shop.", "")).collect()
    }

    #[test]
    fn what_an_endpoint_leaves_out_is_the_default() {
        let endpoint = endpoint(URL, json!({ "concurrency": 2, "retry": { "schedule": ["1m"] } }));
        assert_eq!(endpoint.name().as_str(), "shop");
        assert_eq!(endpoint.origin(), "https://example.com");
        assert_eq!((endpoint.timeout(), endpoint.concurrency()), (Duration::from_secs(5), 2));
        assert_eq!((endpoint.ordering().by, endpoint.rate()), (OrderBy::User, None));
        assert_eq!(endpoint.policy().schedule, [Duration::from_secs(60)]);
        assert_eq!(endpoint.policy().retry_after_cap, Duration::from_secs(12 * 3600));
        assert!(endpoint.wants(EventType::DepositCreated) && !endpoint.wants(EventType::SyncStalled));
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_key() {
        let more = json!({
            "events": ["deposit.create", "invoice.*"],
            "secrets": [{ "value": "hidden" }, { "env": "LUMO_BRIDGE_TEST_NEVER_SET" }],
            "headers": { "webhook-id": "1", "Host": "a", "a b": "c", "X-A": "line\nbreak" },
            "auth": { "bearer": { "value": "a" }, "basic": { "username": "a", "password": { "value": "b" } } },
            "body": "{{ nope",
            "timeout": "0s",
            "concurrency": 0,
            "retry": { "jitter": 1.5 },
        });
        let mut found = keys(more);
        found.sort();
        let expected = [
            "auth",
            "body",
            "concurrency",
            "events[0]",
            "events[1]",
            "headers.Host",
            "headers.X-A",
            "headers.a b",
            "headers.webhook-id",
            "retry.jitter",
            "secrets[0]",
            "secrets[1]",
            "timeout",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_problem_says_what_to_do_and_shows_no_secret() {
        let example = |url: &str| problems("shop", &config(url, json!({})));
        for (url, expected) in [
            ("hidden", "url: is not a url; write for example `https://example.com/hooks`"),
            ("ftp://hidden/", "url: is neither an http:// nor an https:// url"),
            ("https://user:hidden@example.com/", "url: has credentials in the url; take them out and use `auth.basic`"),
            ("https://example.com/#hidden", "url: has a fragment"),
        ] {
            let [line] = example(url).try_into().unwrap();
            assert!(line.starts_with(&format!("callbacks.endpoints.shop.{expected}")), "{line}");
            assert!(!line.contains("hidden"), "{line}");
        }
        let misspelled = problems("shop", &config(URL, json!({ "events": ["wallet.block"] })));
        let expected =
            "callbacks.endpoints.shop.events[0]: `wallet.block` matches no event; did you mean `wallet.blocked`?";
        assert_eq!(misspelled, [expected]);
    }

    #[test]
    fn contradictions_are_refused() {
        for (more, key) in [
            (json!({ "secrets": [] }), "secrets"),
            (json!({ "secrets": [{ "value": SECRET }, { "value": OTHER_SECRET }, { "value": SECRET }] }), "secrets[2]"),
            (json!({ "auth": {} }), "auth"),
            (json!({ "headers": { "Authorization": "b" } }), "headers.Authorization"),
            (json!({ "auth": { "bearer": { "value": "a\nb" } } }), "auth.bearer"),
            (json!({ "headers": { "X-A": "1", "x-a": "2" } }), "headers.x-a"),
            (json!({ "events": ["deposit.*", "!*"] }), "events"),
            (json!({ "timeout": "10m" }), "timeout"),
        ] {
            assert_eq!(keys(more), [key]);
        }
        let colon = json!({ "auth": { "basic": { "username": "a:b", "password": { "value": "c" } } } });
        assert_eq!(keys(colon), ["auth.basic.username"]);
    }

    #[test]
    fn a_default_that_is_wrong_is_named_as_such() {
        let defaults = Defaults { timeout: Span(Duration::ZERO), ..defaults() };
        let error = Endpoint::compile("shop", &config(URL, json!({})), &defaults).unwrap_err();
        assert_eq!(error.to_string(), "callbacks.defaults.timeout: must be more than 0s and at most 5m");
        assert!(Endpoint::compile("shop", &config(URL, json!({ "timeout": "1s" })), &defaults).is_ok());
    }

    #[test]
    fn a_name_is_plain() {
        for name in ["", "-a", "Shop", "a b", "a.b", "é", &"a".repeat(65)] {
            let [line] = problems(name, &config(URL, json!({}))).try_into().unwrap();
            assert!(line.starts_with(&format!("callbacks.endpoints: `{name}` is no name; ")), "{line}");
        }
        for name in ["a", "0", "shop_eu-1", &"a".repeat(64)] {
            assert!(Endpoint::compile(name, &config(URL, json!({})), &defaults()).is_ok(), "{name}");
        }
    }
}

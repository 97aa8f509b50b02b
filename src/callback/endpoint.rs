//! A receiver, compiled from its configuration: everything is parsed, every secret is loaded, and all limits are set.
//!
//! Compiling reports all problems at once, each with its key. A compiled endpoint does not change; a new configuration
//! makes new endpoints.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use twox_hash::XxHash3_64;

use crate::callback::address::Address;
use crate::callback::config::{Backfill, Defaults, EndpointConfig, Method, Ordering};
use crate::callback::headers::{self, Headers};
use crate::callback::problem::{ConfigError, Problems};
use crate::callback::signing::Signing;
use crate::callback::template::Template;
use crate::callback::transport::Transport;
use crate::model::condition::Condition;
use crate::model::event::EventType;
use crate::model::id::EndpointName;
use crate::model::pattern::{PatternError, Patterns};
use crate::model::retry::Policy;
use crate::model::sink::{Sink, Statement};
use crate::model::subscriber::Subscriber;
use crate::setting::{Rate, Span, Text};

/// The most attempts of a sink at once. Each takes a connection from the shared pool.
const SINK_CONCURRENCY: u32 = 2;

/// How much longer than two attempts a lease lasts.
const LEASE_MARGIN: Duration = Duration::from_secs(15);

/// Longest time that one attempt may be given.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Where callbacks go, and how.
#[derive(Clone)]
pub struct Endpoint {
    subscriber: Subscriber,
    way: Way,
    timeout: Duration,
    concurrency: usize,
    rate: Option<Rate>,
    ordering: Ordering,
    policy: Policy,
    ack_within: Option<Duration>,
    when: Option<Arc<Condition>>,
}

/// How an event is delivered.
#[derive(Clone)]
enum Way {
    Http(Box<Http>),
    Sink(Arc<Sink>),
}

/// A receiver that is called.
#[derive(Clone)]
pub(super) struct Http {
    pub(super) address: Address,
    pub(super) method: reqwest::Method,
    pub(super) headers: Headers,
    pub(super) signing: Signing,
    pub(super) transport: Transport,
    pub(super) template: Option<Template>,
}

impl Http {
    pub(super) fn has_templates(&self) -> bool {
        self.address.is_template() || !self.headers.templates.is_empty() || self.template.is_some()
    }
}

impl Endpoint {
    /// Reads the endpoint `name`, with what it leaves out taken from `defaults`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each under its key.
    pub fn compile(name: &str, config: &EndpointConfig, defaults: &Defaults) -> Result<Self, ConfigError> {
        let mut problems = Problems::under(format!("callbacks.endpoints.{name}"));
        let limits = defaults.overridden_by(config);
        let subscriber = subscriber(name, config, defaults, &limits, &mut problems);
        let timeout = timeout(config, &limits);
        let policy = Policy {
            schedule: limits.retry.schedule.into_iter().map(Span::get).collect(),
            jitter: limits.retry.jitter,
            retry_after_cap: limits.retry.retry_after_cap.get(),
        };
        let way = match &config.sink {
            None => Http::compile(config, &mut problems).map(|http| Way::Http(Box::new(http))),
            Some(sink) => problems
                .take("sink.sql", Statement::parse(&sink.sql))
                .map(|statement| Way::Sink(Arc::new(Sink { statement, timeout: sink.timeout.get() }))),
        };
        let concurrency = match way {
            Some(Way::Sink(_)) => config.concurrency.unwrap_or(SINK_CONCURRENCY),
            _ => limits.concurrency,
        };
        let when = config.when.as_ref().and_then(|source| problems.take("when", Condition::parse(source)));

        let endpoint = subscriber.zip(way).map(|(subscriber, way)| Self {
            subscriber,
            way,
            timeout,
            concurrency: usize::try_from(concurrency).unwrap_or(usize::MAX),
            rate: limits.rate,
            ordering: limits.ordering,
            policy,
            ack_within: config.ack.as_ref().map(|ack| ack.within.get()),
            when: when.map(Arc::new),
        });
        problems.finish(endpoint)
    }

    /// Reads what the log sees of the endpoint `name`, for what publishes and sends nothing: no secret is loaded.
    ///
    /// # Errors
    /// Everything that is wrong with that, each under its key.
    pub fn read_subscriber(
        name: &str,
        config: &EndpointConfig,
        defaults: &Defaults,
    ) -> Result<Subscriber, ConfigError> {
        let mut problems = Problems::under(format!("callbacks.endpoints.{name}"));
        let subscriber = subscriber(name, config, defaults, &defaults.overridden_by(config), &mut problems);
        problems.finish(subscriber)
    }

    /// The endpoint as the log sees it.
    #[must_use]
    pub const fn subscriber(&self) -> &Subscriber {
        &self.subscriber
    }

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &EndpointName {
        &self.subscriber.endpoint
    }

    /// Scheme, host and port: the part of the address that may be shown. For a sink, a description.
    #[must_use]
    pub fn origin(&self) -> String {
        match &self.way {
            Way::Http(http) => http.address.constant().origin().ascii_serialization(),
            Way::Sink(_) => "a statement in the database".to_owned(),
        }
    }

    /// The HTTP receiver; none for a sink.
    pub(super) fn http(&self) -> Option<&Http> {
        match &self.way {
            Way::Http(http) => Some(http),
            Way::Sink(_) => None,
        }
    }

    /// The sink; none for an HTTP receiver.
    #[must_use]
    pub const fn sink(&self) -> Option<&Arc<Sink>> {
        match &self.way {
            Way::Http(_) => None,
            Way::Sink(sink) => Some(sink),
        }
    }

    /// When the last signing secret ends; none if one has no end.
    #[must_use]
    pub fn signs_until(&self) -> Option<DateTime<Utc>> {
        self.http().and_then(|http| http.signing.keys.end())
    }

    /// Whether an attempt at this moment could be signed.
    ///
    /// # Errors
    /// If every signing secret has ended, under the key of the secrets.
    pub fn check_signing(&self, now: DateTime<Utc>) -> Result<(), ConfigError> {
        let mut problems = Problems::under(format!("callbacks.endpoints.{}", self.name()));
        let Some(http) = self.http() else { return Ok(()) };
        let signing = http.signing.keys.at(now);
        let signing = signing.map_err(|ended| format!("{ended}; add the next secret"));
        let signing = problems.take("secrets", signing).map(drop);
        problems.finish(signing)
    }

    /// Whether the endpoint receives events of this type.
    #[must_use]
    pub fn wants(&self, event: EventType) -> bool {
        self.subscriber.wants(event)
    }

    /// The event types that the endpoint receives.
    #[must_use]
    pub const fn patterns(&self) -> &Patterns {
        &self.subscriber.patterns
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

    /// Which callbacks keep their order, and for how long one may delay the next.
    #[must_use]
    pub const fn ordering(&self) -> &Ordering {
        &self.ordering
    }

    /// When to try again, and when to give up.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Identifies these settings of the endpoint: processes with the same fingerprint may deliver for each other.
    #[must_use]
    pub const fn fingerprint(&self) -> i64 {
        self.subscriber.fingerprint
    }

    /// How long the leader's heartbeat may be missing before another process takes over: longer than two attempts, one
    /// that was in flight and one of the new leader.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.subscriber.lease
    }

    /// The condition that an event must meet to be sent; none for all events.
    #[must_use]
    pub const fn when(&self) -> Option<&Arc<Condition>> {
        self.when.as_ref()
    }

    /// How long after an answer the receiver must acknowledge the event by row; none if it need not.
    #[must_use]
    pub const fn ack_within(&self) -> Option<Duration> {
        self.ack_within
    }
}

impl Http {
    /// None only if something was found to be wrong.
    fn compile(config: &EndpointConfig, problems: &mut Problems) -> Option<Self> {
        let address = problems.take("url", Address::compile(&config.url));
        // If the address is invalid, its transport is not reported as well.
        let is_secure = address.as_ref().is_none_or(|address| address.constant().scheme() == "https");
        let transport = Transport::load(config, is_secure, problems);
        let headers = headers::compile(config, problems);
        let signing = Signing::compile(config, &headers, problems);
        let form = headers::form_of_body(&headers.constant);
        let template = config.body.as_ref().and_then(|source| problems.take("body", Template::compile(source, form)));
        let method = match config.method {
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
        };
        Some(Self { address: address?, method, headers, signing, transport, template })
    }
}

/// A path or a query may be a receiver's password, so only the origin is shown; of headers, no values. A statement may
/// contain anything, so it is not shown.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Endpoint");
        debug.field("name", self.name()).field("origin", &self.origin());
        if let Some(Http { method, headers, signing, transport, template, .. }) = self.http() {
            debug
                .field("method", method)
                .field("headers", &headers.names().map(AsRef::<str>::as_ref).collect::<Vec<_>>())
                .field("signing", signing)
                .field("transport", transport)
                .field("template", &template.is_some());
        }
        debug
            .field("patterns", self.patterns())
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("rate", &self.rate)
            .field("ordering", &self.ordering)
            .field("policy", &self.policy)
            .field("history", &self.subscriber.history)
            .field("ack_within", &self.ack_within)
            .field("when", &self.when)
            .finish()
    }
}

/// Loads no secret and reads no template. None only if something was found to be wrong.
fn subscriber(
    name: &str,
    config: &EndpointConfig,
    defaults: &Defaults,
    limits: &Defaults,
    problems: &mut Problems,
) -> Option<Subscriber> {
    if !is_plain(name) {
        let text = format!("`{name}` is no name; take up to 64 of `a-z`, `0-9`, `_` and `-`, a letter or digit first");
        problems.add_elsewhere("callbacks.endpoints".to_owned(), text);
    }
    check_limits(config, limits, problems);
    let patterns = patterns(&config.events, problems);
    Some(Subscriber {
        endpoint: name.parse().ok()?,
        patterns: patterns?,
        order: limits.ordering.by.into(),
        history: config.backfill.map(Backfill::since),
        fingerprint: fingerprint(config, defaults),
        lease: timeout(config, limits).saturating_mul(2).saturating_add(LEASE_MARGIN),
    })
}

fn timeout(config: &EndpointConfig, limits: &Defaults) -> Duration {
    config.sink.as_ref().map_or(limits.timeout, |sink| sink.timeout).get()
}

/// Covers all settings of the endpoint; of a secret, its source and not its value.
fn fingerprint(config: &EndpointConfig, defaults: &Defaults) -> i64 {
    let text = serde_json::to_string(&(config, defaults)).unwrap_or_default();
    XxHash3_64::oneshot(text.as_bytes()).cast_signed()
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 64
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b'_' | b'-'))
}

/// Reports a problem of a pattern under its position, and a problem of the whole list under the list.
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

/// Reports a problem under the key that has the value: the endpoint's own or the default's.
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
mod tests;

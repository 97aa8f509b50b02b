//! Section `callbacks`: which endpoints receive which events, how, and with which retries.
//!
//! An endpoint takes every setting that it does not name from `defaults`. [`Defaults::overridden_by`] is the only place
//! that merges the two.

mod templates;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::callback::backfill::Backfill;
use crate::callback::guard::Guard;
use crate::model::subscriber::Order;
use crate::setting::{self, REDACTED, Rate, RotatingSource, SecretSource, Span, Text, UrlSource, shown_url};

/// The callbacks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// How long the past is kept.
    pub retention: Retention,
    /// Where callbacks may go, and how they get there.
    pub egress: Egress,
    /// What holds for every endpoint that does not say otherwise.
    pub defaults: Defaults,
    /// The receivers, by name: `[a-z0-9][a-z0-9_-]{0,63}`.
    pub endpoints: BTreeMap<String, EndpointConfig>,
}

/// How long the past is kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Retention {
    /// Events, from when they were noticed, with what was delivered or skipped of them. What can happen once stays for good.
    pub events: Span,
    /// Events with a dead delivery, from when it died.
    pub dead: Span,
    /// The record of each attempt; an event stays as long.
    pub attempts: Span,
}

/// Where callbacks may go, and how they get there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Egress {
    /// Networks that no callback is sent to, whatever a name resolves to.
    #[serde(deserialize_with = "read_networks", serialize_with = "write_networks")]
    #[schemars(with = "Vec<String>")]
    pub deny: Vec<IpNet>,
    /// An HTTP proxy for every callback: its address, which may carry a user and a password, or `{ env: NAME }` or
    /// `{ file: PATH }`, which hold it.
    pub proxy: Option<UrlSource>,
}

/// What holds for every endpoint that does not say otherwise.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Defaults {
    /// Longest wait for one answer: connection, headers and body.
    pub timeout: Span,
    /// Callbacks in flight at once.
    #[serde(deserialize_with = "setting::whole")]
    #[schemars(range(min = 1))]
    pub concurrency: u32,
    /// Most callbacks; null for no limit.
    pub rate: Option<Rate>,
    /// What waits for what.
    pub ordering: Ordering,
    /// When to try again, and when to give up.
    pub retry: Retry,
}

/// What waits for what.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ordering {
    /// Whose callbacks keep their order.
    #[serde(deserialize_with = "setting::word")]
    pub by: OrderBy,
    /// Longest time that a callback waits for the one before it.
    pub max_hold: Span,
}

/// Whose callbacks keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderBy {
    /// Those about one user.
    User,
    /// All of the endpoint.
    Endpoint,
    /// None.
    None,
}

/// What waits for what, as the log sees it.
impl From<OrderBy> for Order {
    fn from(by: OrderBy) -> Self {
        match by {
            OrderBy::User => Self::User,
            OrderBy::Endpoint => Self::Endpoint,
            OrderBy::None => Self::None,
        }
    }
}

/// When to try again, and when to give up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Retry {
    /// The wait after the first, second, … failed attempt; after the last of them the delivery is dead.
    pub schedule: Vec<Span>,
    /// Share of a wait that may be added to it at random, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub jitter: f64,
    /// Longest `Retry-After` that is believed.
    pub retry_after_cap: Span,
}

/// A receiver. What it leaves out is taken from `callbacks.defaults`.
///
/// What it needs is not asked for by serde, which would stop at the first thing that is missing; the rules of the whole
/// configuration do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EndpointConfig {
    /// Where callbacks are sent: an `http://` or `https://` address, which may be a MiniJinja template after its host.
    /// Needed, unless there is a sink.
    #[serde(default, serialize_with = "show_url")]
    pub url: Text,
    /// What is run in the database instead of a call, in one transaction with the record that it ran.
    #[serde(default)]
    pub sink: Option<SinkConfig>,
    /// The events it wants: names or patterns such as `deposit.*`; a leading `!` excludes. Needed.
    #[serde(default)]
    pub events: Vec<Text>,
    /// The signing secrets (`whsec_` and base64), several while rotating; the first signs first. From its `not_after`
    /// on a secret no longer signs. Needed, unless there is a sink.
    #[serde(default)]
    pub secrets: Vec<RotatingSource>,
    /// Signatures in other senders' styles beside the bridge's own, for receivers that verify those already.
    #[serde(default, deserialize_with = "list")]
    pub extra_signatures: Vec<ExtraSignature>,
    /// Headers to add to each request; a value may be a MiniJinja template.
    #[serde(default, deserialize_with = "headers", serialize_with = "show_headers")]
    pub headers: BTreeMap<String, Text>,
    /// How the bridge proves itself to the receiver, beside the signature.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// The HTTP method.
    #[serde(default, deserialize_with = "method")]
    pub method: Method,
    /// A MiniJinja template of the body, for receivers that want a shape of their own; null for the body as stored.
    #[serde(default)]
    pub body: Option<Text>,
    /// Which of the events it wants are sent: an expression over the stored body in MiniJinja's grammar, in which amounts and
    /// numbers are exact, such as `data.object.status == "confirmed" and data.object.amount >= 10`; null for all.
    #[serde(default)]
    pub when: Option<Text>,
    /// Whom to trust and what to prove, for an `https://` address.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Whether to speak HTTP/2 with a receiver that does, for an `https://` address.
    #[serde(default, deserialize_with = "flag")]
    pub http2: bool,
    /// What an endpoint is told of the time before it, once, when it is new: `all`, or `{ since: 2026-01-01T00:00:00Z }`.
    #[serde(default)]
    pub backfill: Option<Backfill>,
    /// What finishes a delivery, if an answer is not enough.
    #[serde(default)]
    pub ack: Option<Ack>,
    /// Overrides `callbacks.defaults.timeout`.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// Overrides `callbacks.defaults.concurrency`.
    #[serde(default, deserialize_with = "setting::optional_whole")]
    #[schemars(range(min = 1))]
    pub concurrency: Option<u32>,
    /// Overrides `callbacks.defaults.rate`.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// Overrides parts of `callbacks.defaults.ordering`.
    #[serde(default)]
    pub ordering: Option<OrderingOverride>,
    /// Overrides parts of `callbacks.defaults.retry`.
    #[serde(default)]
    pub retry: Option<RetryOverride>,
}

/// A statement that takes the place of a call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SinkConfig {
    /// One statement, for example `CALL on_deposit(:event_id, :body)`. The parameters are `:event_id`, `:type`, `:stream`,
    /// `:sequence`, `:object_id`, `:external_id`, `:status`, `:amount`, `:currency`, `:tx_hash`, `:address` and `:body`.
    pub sql: Text,
    /// Longest time for one run; on SQLite everything else that writes waits for it.
    pub timeout: Span,
}

/// What finishes a delivery, beside a 2xx.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ack {
    /// What the receiver does.
    #[serde(deserialize_with = "setting::word")]
    pub mode: AckMode,
    /// How long after its answer; then the delivery has failed, and is sent again by the schedule.
    pub within: Span,
}

/// How a receiver acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AckMode {
    /// It inserts `event_id` and `endpoint` into `lumo_acks`, in its own transaction.
    Row,
}

/// A signature in another sender's style.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ExtraSignature {
    /// Whose style.
    #[serde(deserialize_with = "setting::word")]
    pub style: SignatureStyle,
    /// The header that carries it; the style's own unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Text>,
    /// The key: the text as it stands.
    pub secret: SecretSource,
}

/// Whose style of signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureStyle {
    /// `X-Hub-Signature-256: sha256=…`, over the body.
    Github,
    /// `Stripe-Signature: t=…,v1=…`, over the time and the body.
    Stripe,
}

/// Parts of [`Ordering`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OrderingOverride {
    /// Whose callbacks keep their order.
    #[serde(deserialize_with = "setting::optional_word")]
    pub by: Option<OrderBy>,
    /// Longest time that a callback waits for the one before it.
    pub max_hold: Option<Span>,
}

/// Parts of [`Retry`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RetryOverride {
    /// The wait after the first, second, … failed attempt; replaces the whole list.
    pub schedule: Option<Vec<Span>>,
    /// Share of a wait that may be added to it at random, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub jitter: Option<f64>,
    /// Longest `Retry-After` that is believed.
    pub retry_after_cap: Option<Span>,
}

/// Whom to trust and what to prove. The files are read at the start.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tls {
    /// A file of the certificates, as PEM, of the only authorities to trust; otherwise the system's are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<Text>,
    /// A file of the certificate to show, as PEM, with those between it and its authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<Text>,
    /// The file of its private key, as PEM without a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<Text>,
}

/// How the bridge proves itself: exactly one of the two.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Auth {
    /// `Authorization: Bearer …`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretSource>,
    /// `Authorization: Basic …`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
}

/// A user name and a password.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Basic {
    /// The user name.
    pub username: Text,
    /// The password.
    pub password: SecretSource,
}

/// The HTTP method of a callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Post,
    Put,
    Patch,
}

impl Egress {
    /// Whether a connection to this address is refused.
    #[must_use]
    pub fn denies(&self, address: IpAddr) -> bool {
        Guard::new(&self.deny).admit(address).is_err()
    }
}

impl Defaults {
    /// The settings of one endpoint, merged with these defaults.
    #[must_use]
    pub fn overridden_by(&self, endpoint: &EndpointConfig) -> Self {
        let ordering = endpoint.ordering.clone().unwrap_or_default();
        let retry = endpoint.retry.clone().unwrap_or_default();
        Self {
            timeout: endpoint.timeout.unwrap_or(self.timeout),
            concurrency: endpoint.concurrency.unwrap_or(self.concurrency),
            rate: endpoint.rate.or(self.rate),
            ordering: Ordering {
                by: ordering.by.unwrap_or(self.ordering.by),
                max_hold: ordering.max_hold.unwrap_or(self.ordering.max_hold),
            },
            retry: Retry {
                schedule: retry.schedule.unwrap_or_else(|| self.retry.schedule.clone()),
                jitter: retry.jitter.unwrap_or(self.retry.jitter),
                retry_after_cap: retry.retry_after_cap.unwrap_or(self.retry.retry_after_cap),
            },
        }
    }
}

/// An empty key counts as a missing key.
fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Text>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Hides what follows the host: a chat has its key in the path, and a parameter may be the receiver's password.
fn show_url<S: Serializer>(url: &Text, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = shown_url(url);
    let (scheme, rest) = shown.split_once("://").unwrap_or(("", shown.as_str()));
    match rest.split_once('/') {
        Some((host, behind)) if !behind.is_empty() => serializer.collect_str(&format_args!("{scheme}://{host}/***")),
        _ => serializer.serialize_str(&shown),
    }
}

/// Hides the values of headers, for the same reason.
fn show_headers<S: Serializer>(headers: &BTreeMap<String, Text>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.keys().map(|name| (name, REDACTED)))
}

/// An empty key counts as a missing key.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn method<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
    Ok(setting::optional_word(deserializer)?.unwrap_or_default())
}

fn read_networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<Text>::deserialize(deserializer)?
        .into_iter()
        .map(|text| {
            text.parse().map_err(|_| {
                serde::de::Error::custom(format_args!("`{text}` is not a network; write for example `10.0.0.0/8`"))
            })
        })
        .collect()
}

fn write_networks<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(networks.iter().map(ToString::to_string))
}

//! An event on its way into the log, and the document that its callbacks carry.
//!
//! A [`Draft`] is everything about an event but its place in the order, which only the log can give. Its id is derived
//! from the fact and not from the emission: whoever notices the same fact again, after a rebuilt table or in a second
//! process, arrives at the same id, and the log's key makes the race harmless.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::BASE32_NOPAD;
use lumo_bridge_entity::account;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::account::environment;
use crate::model::event::EventType;
use crate::model::id::{EventId, ExternalId};
use crate::model::portable::{Portable, portable};

/// Why the event is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Noticed as it happened.
    Live,
    /// Already there when the first import began.
    Import,
    /// History that an endpoint asked for.
    Backfill,
    /// Made by the operator to try an endpoint.
    Test,
}

impl Origin {
    /// The name in tables and callbacks.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Import => "import",
            Self::Backfill => "backfill",
            Self::Test => "test",
        }
    }
}

/// An event without its place in the order.
#[derive(Clone, Debug)]
pub struct Draft {
    pub id: EventId,
    pub kind: EventType,
    /// Events of one stream are numbered and delivered in order.
    pub stream: String,
    pub object_kind: &'static str,
    pub object_id: String,
    pub external_id: Option<ExternalId>,
    pub occurred_at: DateTime<Utc>,
    pub detected_at: DateTime<Utc>,
    pub origin: Origin,
    /// `data.object`, as JSON.
    pub object: Box<RawValue>,
    /// `data.changes`, as JSON.
    pub changes: Option<Box<RawValue>>,
    pub upstream: Option<Upstream>,
}

/// What the API listed, spelled so that every reader takes it.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// `data.upstream`.
    item: Box<RawValue>,
    /// `data.upstream_altered`.
    altered: Vec<String>,
}

impl Upstream {
    /// The item, and the JSON Pointers within `data.changes` of what is spelled differently there.
    ///
    /// # Errors
    /// If the item is no JSON.
    pub fn new(raw: &str, altered_changes: &[String]) -> serde_json::Result<Self> {
        let Portable { text, altered } = portable(raw);
        let within = |part: &'static str| move |path: &String| format!("/{part}{path}");
        let altered = altered.iter().map(within("upstream")).chain(altered_changes.iter().map(within("changes")));
        Ok(Self { item: RawValue::from_string(text.into_owned())?, altered: altered.collect() })
    }
}

/// Whose events they are, as each says it.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    pub company_id: &'a str,
    /// Scheme, host and port.
    pub server: &'a str,
}

impl<'a> From<&'a account::Model> for Account<'a> {
    fn from(row: &'a account::Model) -> Self {
        Self { company_id: row.company_id.as_str(), server: &row.server }
    }
}

/// The identity of an event that happens once for an object.
#[must_use]
pub fn once(company: &str, kind: EventType, object: &str) -> EventId {
    debug_assert!(kind.happens_once(), "{kind} can happen again");
    derive(&[company, kind.as_str(), object])
}

/// The identity of an event that can happen again: the object's version and the tables' generation tell which time.
#[must_use]
pub fn repeated(company: &str, kind: EventType, object: &str, version: i64, generation: &str) -> EventId {
    debug_assert!(!kind.happens_once(), "{kind} happens once");
    derive(&[company, kind.as_str(), object, &version.to_string(), generation])
}

/// 130 bits of SHA-256 over the parts, each with its length in front so that no two lists of parts run together.
fn derive(parts: &[&str]) -> EventId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let text = BASE32_NOPAD.encode(&hash.finalize()).to_ascii_lowercase();
    let id = format!("evt_{}", text.get(..26).unwrap_or(&text));
    #[expect(clippy::expect_used, reason = "30 printable ASCII characters are an id")]
    id.parse().expect("a derived event id is an id")
}

impl Draft {
    /// The callback's body: made once, stored, and sent byte for byte.
    ///
    /// # Errors
    /// Only if serialising fails, which plain texts and numbers give no cause for.
    pub fn body(&self, sequence: i64, account: Option<Account<'_>>) -> serde_json::Result<String> {
        serde_json::to_string(&Body {
            id: self.id.as_str(),
            kind: self.kind.as_str(),
            schema: 1,
            timestamp: rfc3339(self.occurred_at),
            detected_at: rfc3339(self.detected_at),
            origin: self.origin,
            company_id: account.map(|account| account.company_id),
            environment: account.map(|account| environment(account.server)),
            stream: &self.stream,
            sequence,
            data: Data {
                object: &self.object,
                changes: self.changes.as_deref(),
                upstream: self.upstream.as_ref().map(|upstream| &*upstream.item),
                upstream_altered: self.upstream.as_ref().map_or(&[], |upstream| upstream.altered.as_slice()),
            },
        })
    }
}

/// UTC with as many digits as the time has, and a `Z`.
#[must_use]
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The body of a callback.
#[derive(Serialize, JsonSchema)]
pub(super) struct Body<'a> {
    /// The event's id, the same on every attempt and replay: keep each once. Also the header `webhook-id`.
    id: &'a str,
    /// What happened.
    #[serde(rename = "type")]
    kind: &'a str,
    /// The version of this contract.
    schema: u32,
    /// When it happened.
    #[schemars(extend("format" = "date-time"))]
    timestamp: String,
    /// When the bridge noticed.
    #[schemars(extend("format" = "date-time"))]
    detected_at: String,
    /// How the bridge came to know of it. `live`: noticed as it happened; `import`: there before the first import; `backfill`:
    /// history that an endpoint asked for; `test`: an operator tries the endpoint.
    origin: Origin,
    /// The company whose key reads; absent until it is known.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    company_id: Option<&'a str>,
    /// Where it is read: `production`, `staging`, or the server's host; absent until the company is known.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    /// Whom it concerns. The events of one stream are numbered and sent in order.
    stream: &'a str,
    /// 1, 2, 3 … within the stream; 0 in a test. An endpoint does not get every number: never wait for one.
    sequence: i64,
    /// What it is about.
    data: Data<'a>,
}

/// What an event is about.
#[derive(Serialize, JsonSchema)]
pub(super) struct Data<'a> {
    /// The thing as it is now.
    #[schemars(with = "Map<String, Value>")]
    object: &'a RawValue,
    /// What differs from before, by the name of the field; null where there was nothing before.
    #[schemars(with = "Option<BTreeMap<String, FromTo>>")]
    changes: Option<&'a RawValue>,
    /// The item exactly as the API listed it, but for what `upstream_altered` names. What is in it is Lumo's to change.
    #[schemars(with = "Map<String, Value>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a RawValue>,
    /// Where `upstream` and `changes` are spelled differently from what the API listed, because some JSON readers refuse that:
    /// JSON Pointers within `data`. U+FFFD stands for U+0000 and for half a surrogate pair, a string for a number that is too
    /// large, and of a key that stood twice the last is left. The column `raw` of the tables has the item exactly.
    #[schemars(with = "Vec<String>")]
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    upstream_altered: &'a [String],
}

/// A field that has changed.
#[derive(Serialize, JsonSchema)]
struct FromTo {
    /// Its value before; null if there was none.
    from: Value,
    /// Its value now; null if there is none.
    to: Value,
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::model::fixture::noon;

    /// Computed by another implementation: an id that changed would tell every receiver everything again.
    #[test]
    fn event_ids_are_what_they_always_were() {
        let id = once("c-1", EventType::DepositCreated, "d-1");
        assert_eq!(id.as_str(), "evt_fngrklu4yiyladfd3hkzftj2dc");
        let id = repeated("c-1", EventType::WalletBlocked, "w-1", 2, "gen");
        assert_eq!(id.as_str(), "evt_2qxeehgzdbdx72lbszdzsowyqi");
    }

    #[test]
    fn parts_of_an_identity_do_not_run_together() {
        assert_ne!(once("ab", EventType::DepositCreated, "c"), once("a", EventType::DepositCreated, "bc"));
    }

    #[test]
    fn the_body_is_the_documented_one_and_upstream_numbers_keep_their_digits() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let draft = Draft {
            id: once("c-1", EventType::DepositCreated, "d-1"),
            kind: EventType::DepositCreated,
            stream: "user:42".to_owned(),
            object_kind: "deposit",
            object_id: "d-1".to_owned(),
            external_id: None,
            occurred_at: noon(),
            detected_at: noon() + chrono::TimeDelta::milliseconds(1500),
            origin: Origin::Live,
            object: raw(r#"{"kind":"deposit"}"#),
            changes: None,
            upstream: Some(Upstream::new(r#"{"amount": 123456789012.1234560, "x": 1e-7}"#, &[]).unwrap()),
        };
        assert_eq!(
            draft.body(17, Some(Account { company_id: "c-1", server: "https://b2b.lumowallet.io" })).unwrap(),
            concat!(
                r#"{"id":"evt_fngrklu4yiyladfd3hkzftj2dc","type":"deposit.created","schema":1,"#,
                r#""timestamp":"2026-05-04T12:00:00Z","detected_at":"2026-05-04T12:00:01.500Z","origin":"live","#,
                r#""company_id":"c-1","environment":"production","stream":"user:42","sequence":17,"data":{"object":{"kind":"deposit"},"changes":null,"#,
                r#""upstream":{"amount": 123456789012.1234560, "x": 1e-7}}}"#
            )
        );
    }
}

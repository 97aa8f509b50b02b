//! Section `sync`: when each listing is read.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::setting::{self, CronLine, Percent, Span, WordOrSince, word_or_since};

/// When to look for changes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// User deposits.
    pub deposits: Listed,
    /// Blocked wallets.
    pub blocked: Listed,
    /// User wallets.
    pub wallets: Listed,
    /// The rolling full comparison of every listing.
    pub sweep: Sweep,
    /// What the very first import tells the endpoints.
    pub first_import: FirstImport,
    /// Users who are about to pay: rows of `lumo_watches`, and who has a deposit that is not settled yet.
    pub watch: Watch,
}

/// One listing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Listed {
    /// When a pass over it begins.
    pub schedule: CronLine,
}

/// The rolling full comparison.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Sweep {
    /// When a sweep begins.
    pub schedule: CronLine,
    /// Share of the request rate that it may use.
    pub budget: Percent,
}

/// How deposits of watched users are looked for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Watch {
    /// How often.
    pub every: Span,
    /// Share of the request rate that it may use.
    pub budget: Percent,
    /// Most users at a time.
    #[serde(deserialize_with = "setting::whole")]
    #[schemars(range(min = 1, max = 10_000))]
    pub most: u32,
}

/// What the very first import tells the endpoints: `silent`, `notify`, or `{ since: 2026-01-01T00:00:00Z }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FirstImport {
    /// Nothing; what is there already is stored without events.
    Silent,
    /// Everything, as if it had just happened.
    Notify,
    /// What was created at this time or later.
    Since(#[schemars(with = "String")] DateTime<Utc>),
}

const WHAT: &str = "way of a first import";
const FORM: &str = "`silent`, `notify` or `{ since: 2026-01-01T00:00:00Z }`";

impl<'de> Deserialize<'de> for FirstImport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match word_or_since(deserializer, WHAT, FORM)? {
            WordOrSince::Since(since) => Ok(Self::Since(since)),
            WordOrSince::Word(word) => match word.as_str() {
                "silent" => Ok(Self::Silent),
                "notify" => Ok(Self::Notify),
                _ => Err(de::Error::custom(format_args!("`{word}` is no {WHAT}; write {FORM}"))),
            },
        }
    }
}

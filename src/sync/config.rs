//! Section `sync`: when each listing is read.

use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::setting::{CronLine, Percent, Text};

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

/// What the very first import tells the endpoints: `silent`, `notify`, or `since: 2026-01-01T00:00:00Z`.
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

impl<'de> Deserialize<'de> for FirstImport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Choice)
    }
}

struct Choice;

const FORM: &str = "write `silent`, `notify` or `{ since: 2026-01-01T00:00:00Z }`";

impl<'de> Visitor<'de> for Choice {
    type Value = FirstImport;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`silent`, `notify` or `{ since: 2026-01-01T00:00:00Z }`")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<FirstImport, E> {
        match word {
            "silent" => Ok(FirstImport::Silent),
            "notify" => Ok(FirstImport::Notify),
            _ => Err(E::custom(format_args!("`{word}` is no way of a first import; {FORM}"))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FirstImport, A::Error> {
        let Some(key) = map.next_key::<String>()? else {
            return Err(de::Error::custom(format_args!("is empty; {FORM}")));
        };
        if key != "since" {
            return Err(de::Error::custom(format_args!("`{key}` is no way of a first import; {FORM}")));
        }
        let text: Text = map.next_value()?;
        let since = text.parse().map_err(|_| {
            de::Error::custom(format_args!("`{text}` is not a time; write for example `2026-01-01T00:00:00Z`"))
        })?;
        match map.next_key::<String>()? {
            None => Ok(FirstImport::Since(since)),
            Some(_) => Err(de::Error::custom(format_args!("says more than `since`; {FORM}"))),
        }
    }
}

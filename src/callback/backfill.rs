//! The setting that says how much history a new endpoint receives.

use chrono::{DateTime, SubsecRound, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error};

use crate::setting::{WordOrSince, word_or_since};

/// The history of a new endpoint: `all`, or `{ since: 2026-01-01T00:00:00Z }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backfill {
    /// Everything.
    All,
    /// What was created at this time or later.
    Since(#[schemars(with = "String")] DateTime<Utc>),
}

const WHAT: &str = "extent of a history";
const FORM: &str = "`all` or `{ since: 2026-01-01T00:00:00Z }`";

impl Backfill {
    /// The time from which on history is sent, with the precision of the database.
    #[must_use]
    pub fn since(self) -> DateTime<Utc> {
        match self {
            Self::All => DateTime::UNIX_EPOCH,
            Self::Since(since) => since.trunc_subsecs(6),
        }
    }
}

impl<'de> Deserialize<'de> for Backfill {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match word_or_since(deserializer, WHAT, FORM)? {
            WordOrSince::Since(since) => Ok(Self::Since(since)),
            WordOrSince::Word(word) if word == "all" => Ok(Self::All),
            WordOrSince::Word(word) => Err(Error::custom(format_args!("`{word}` is no {WHAT}; write {FORM}"))),
        }
    }
}

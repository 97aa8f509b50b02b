//! From changes to events: which change is which event, for whom it counts, and what it says.
//!
//! Every stored change is one event, with three exceptions: history that a first import finds is announced as the
//! configuration says, a change of balances alone is an event only where an endpoint names it, and a wallet that is blocked
//! when it is first seen is two events, so that whoever listens for blocks receives every block.

mod account;
mod deposit;
mod operator;
mod reject;
mod standing;
mod wallet;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

pub use account::wrong_account_event;
pub use deposit::{deposit_event, deposit_history, settled_event};
pub use operator::{Died, Turned, dead_event, endpoint_event, test_event};
pub use reject::rejected_event;
pub use standing::{Standing, Trouble, standing_event};
pub use wallet::{Predecessor, block_history, wallet_events, wallet_history};

use crate::model::draft::{Origin, rfc3339};
use crate::model::event::EventType;
use crate::model::fingerprint::Members;
use crate::model::id::EventId;
use crate::model::portable::{Portable, portable};
use crate::model::settled::Settled;

/// Stands for the company in the identity of events that are about none, or about things that do not name theirs.
const NO_COMPANY: &str = "-";

/// How an amount is written.
const AMOUNT: &str = r"^-?[0-9]+(\.[0-9]+)?$";

/// The schema of each kind of `data.object`, by the kind.
pub(super) fn objects(generator: &mut SchemaGenerator) -> [(&'static str, Schema); 7] {
    [
        ("wallet", generator.subschema_for::<wallet::Object<'_>>()),
        ("deposit", generator.subschema_for::<deposit::Object<'_>>()),
        ("listing", generator.subschema_for::<standing::Object<'_>>()),
        ("account", generator.subschema_for::<account::Object<'_>>()),
        ("reject", generator.subschema_for::<reject::Object<'_>>()),
        ("delivery", generator.subschema_for::<operator::DeadDelivery<'_>>()),
        ("endpoint", generator.subschema_for::<operator::Endpoint<'_>>()),
    ]
}

/// What a listing's first import tells of the things that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    Silent,
    Notify,
    /// Only what was created at or after this time.
    Since(DateTime<Utc>),
}

/// What becomes of things that were not known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// They are news.
    News,
    /// The first import is under way: what was created before it began is history. So is what claims to have been created
    /// after `until`, a time in the future: nobody knows when it was.
    Import { started_at: DateTime<Utc>, until: DateTime<Utc>, history: History },
}

impl Announce {
    /// As what a thing is announced that appeared; none if it is stored without a word.
    #[must_use]
    pub fn origin(self, created_at: Option<DateTime<Utc>>) -> Option<Origin> {
        let Self::Import { started_at, until, history } = self else { return Some(Origin::Live) };
        if created_at.is_some_and(|time| (started_at..=until).contains(&time)) {
            return Some(Origin::Live);
        }
        let announced = match history {
            History::Silent => false,
            History::Notify => true,
            History::Since(since) => created_at.is_some_and(|time| time >= since),
        };
        announced.then_some(Origin::Import)
    }
}

/// What all events of one page share.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Tells these tables from any built before; see [`crate::model::draft::repeated`].
    pub generation: &'a str,
    pub announce: Announce,
    /// Whether any endpoint names `wallet.balance_changed`.
    pub balances: bool,
    pub settled: Settled<'a>,
    pub now: DateTime<Utc>,
}

/// What happened to a thing, before it is put into words.
struct Fact {
    kind: EventType,
    id: EventId,
    origin: Origin,
    occurred_at: DateTime<Utc>,
    changes: Option<Changes>,
}

/// `data.changes`: what differs between two states of a thing, by field.
#[derive(Debug, Default)]
struct Changes {
    fields: BTreeMap<String, FromTo>,
    /// JSON Pointers to what is spelled differently from what was listed.
    altered: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FromTo {
    from: Box<RawValue>,
    to: Box<RawValue>,
}

impl Changes {
    /// That a thing is no longer listed.
    fn vanished(now: DateTime<Utc>) -> Self {
        let mut changes = Self::default();
        changes.note("missing_since", &None, &Some(rfc3339(now)));
        changes
    }

    /// Notes a field if it differs.
    fn note<T: Serialize + PartialEq>(&mut self, field: &str, from: &T, to: &T) {
        if from != to {
            self.insert(field.to_owned(), from, to);
        }
    }

    /// Notes the members of the item that no typed field stands for, under `upstream.` and their own name.
    fn note_members(&mut self, old: &str, new: &str, typed: &[&str]) {
        // Both were listed once and were objects then.
        let (Ok(old), Ok(new)) = (Members::parse(old), Members::parse(new)) else { return };
        for key in old.changed(&new).into_iter().filter(|key| !typed.contains(key)) {
            // U+0000 in a key is what readers refuse.
            let field = format!("upstream.{}", key.replace('\0', "\u{fffd}"));
            let path = format!("/{}", field.replace('~', "~0").replace('/', "~1"));
            if let (Ok(from), Ok(to)) =
                (self.listed(old.get(key), &path, "from"), self.listed(new.get(key), &path, "to"))
            {
                self.insert(field, &from, &to);
            }
        }
    }

    /// A value as it was listed, spelled so that every reader takes it.
    fn listed(&mut self, value: Option<&str>, path: &str, side: &str) -> serde_json::Result<Option<Box<RawValue>>> {
        let Some(Portable { text, altered }) = value.map(portable) else { return Ok(None) };
        self.altered.extend(altered.iter().map(|below| format!("{path}/{side}{below}")));
        RawValue::from_string(text.into_owned()).map(Some)
    }

    /// JSON Pointers to what is spelled differently from what was listed.
    fn altered(&self) -> &[String] {
        &self.altered
    }

    fn insert<T: Serialize>(&mut self, field: String, from: &T, to: &T) {
        if let (Ok(from), Ok(to)) = (to_raw_value(from), to_raw_value(to)) {
            self.fields.insert(field, FromTo { from, to });
        }
    }

    fn only(&self, fields: &[&str]) -> bool {
        !self.fields.is_empty() && self.fields.keys().all(|field| fields.contains(&field.as_str()))
    }

    fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    fn to_json(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(&self.fields)
    }
}

#[cfg(test)]
mod tests;

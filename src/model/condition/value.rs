//! The values of an expression, and where they are found in a body.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use serde_json::value::RawValue;

use super::{Path, Step};
use crate::model::Amount;

/// Members of a deposit and a wallet that are numbers, and texts in the body.
const EXACT: [&str; 3] = ["amount", "last_usdt_balance", "last_trx_balance"];

/// Why an expression has no value for an event.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the event's body cannot be read")]
    Body(#[from] serde_json::Error),
    #[error("`{0}` is not there; ask with `is defined`, or name what counts instead with `default`")]
    NotThere(String),
    #[error("`{path}` is a number that cannot be compared exactly: it {problem}")]
    Number { path: String, problem: String },
    #[error("{0} is neither true nor false")]
    NoTruth(&'static str),
    #[error("{0} is no text")]
    NoText(&'static str),
    #[error("{0} and {1} cannot be compared")]
    Incomparable(&'static str, &'static str),
    #[error("`in` looks into a list or a text, and {0} is neither")]
    NotIn(&'static str),
}

impl Failure {
    /// What to write instead, where that can be told.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Incomparable("a number", "a text") | Self::Incomparable("a text", "a number") => {
                Some("write a number without quotes, and a text in quotes")
            }
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Number(BigDecimal),
    Text(String),
    List(Vec<Value>),
    /// An object, of which only members are asked for.
    Object,
}

impl Value {
    /// As sentences call it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object => "an object",
        }
    }

    /// Nothing but none equals none.
    pub(super) fn equals(&self, other: &Self) -> Result<bool, Failure> {
        match (self, other) {
            (Self::None, other) | (other, Self::None) => Ok(*other == Self::None),
            (Self::Bool(_), Self::Bool(_)) | (Self::Number(_), Self::Number(_)) | (Self::Text(_), Self::Text(_)) => {
                Ok(self == other)
            }
            _ => Err(self.incomparable(other)),
        }
    }

    /// Numbers by size, texts by their characters.
    pub(super) fn order(&self, other: &Self) -> Result<Ordering, Failure> {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => Ok(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Ok(left.cmp(right)),
            _ => Err(self.incomparable(other)),
        }
    }

    pub(super) fn is_in(&self, other: &Self) -> Result<bool, Failure> {
        match (self, other) {
            (one, Self::List(items)) => {
                let equal = items.iter().map(|item| one.equals(item)).collect::<Result<Vec<_>, _>>()?;
                Ok(equal.contains(&true))
            }
            (Self::Text(part), Self::Text(text)) => Ok(text.contains(part)),
            (other, Self::Text(_)) => Err(Failure::NoText(other.kind())),
            (_, other) => Err(Failure::NotIn(other.kind())),
        }
    }

    const fn incomparable(&self, other: &Self) -> Failure {
        Failure::Incomparable(self.kind(), other.kind())
    }

    fn of(raw: &RawValue, path: &Path) -> Result<Self, Failure> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::None,
            Some(b't' | b'f') => Self::Bool(serde_json::from_str(text)?),
            Some(b'"') => {
                let text: String = serde_json::from_str(text)?;
                if path.is_exact() { number(&text, path)? } else { Self::Text(text) }
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                // What stands in a list within a list cannot be asked for.
                let value = |item: &RawValue| {
                    if item.get().starts_with('[') { Ok(Self::Object) } else { Self::of(item, path) }
                };
                Self::List(items.into_iter().map(value).collect::<Result<_, _>>()?)
            }
            Some(b'{') => Self::Object,
            _ => number(text, path)?,
        })
    }
}

fn number(text: &str, path: &Path) -> Result<Value, Failure> {
    let amount = Amount::from_str(text)
        .map_err(|error| Failure::Number { path: path.to_string(), problem: error.to_string() })?;
    Ok(Value::Number(exact(&amount)))
}

/// The number with these digits.
pub(super) fn exact(amount: &Amount) -> BigDecimal {
    BigDecimal::from_str(amount.as_str()).unwrap_or_default()
}

impl Path {
    /// Whether a text there is a number: an amount or a balance, or what it was and is.
    fn is_exact(&self) -> bool {
        let is = |step: &Step, name: &str| matches!(step, Step::Name(own) if own == name);
        let is_exact = |step: &Step| EXACT.iter().any(|name| is(step, name));
        match self.0.as_slice() {
            [data, object, name] => is(data, "data") && is(object, "object") && is_exact(name),
            [data, changes, name, end] => {
                let is_end = is(end, "from") || is(end, "to");
                is(data, "data") && is(changes, "changes") && is_exact(name) && is_end
            }
            _ => false,
        }
    }
}

/// What stands there, if anything does.
pub(super) fn look_up(body: &str, path: &Path) -> Result<Option<Value>, Failure> {
    let mut raw: &RawValue = serde_json::from_str(body)?;
    for step in &path.0 {
        let text = raw.get();
        let found = match step {
            Step::Name(name) if text.starts_with('{') => {
                serde_json::from_str::<BTreeMap<String, &RawValue>>(text)?.remove(name)
            }
            Step::Item(at) if text.starts_with('[') => serde_json::from_str::<Vec<&RawValue>>(text)?.get(*at).copied(),
            Step::Name(_) | Step::Item(_) => None,
        };
        let Some(found) = found else { return Ok(None) };
        raw = found;
    }
    Value::of(raw, path).map(Some)
}

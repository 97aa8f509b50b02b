//! A JSON object as its members: decoded keys, each once and sorted, beside the untouched text of their values.
//!
//! Values stay text until someone wants one, so a number never passes through a float and an unknown field costs
//! nothing. serde_json says whether a text is JSON at all; it skips a raw value without recursion to any depth, so
//! [`MAX_DEPTH`] is checked here, for the sake of everyone who decodes the text later.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::value::RawValue;

use super::{split, text};

/// Most levels of objects and arrays in one item, itself included.
pub const MAX_DEPTH: usize = 64;

/// The members of one JSON object. Of a key that stands twice, the last counts.
#[derive(Clone, Debug)]
pub struct Members<'a>(pub(super) Vec<Member<'a>>);

/// A decoded key and the text of its value.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    prefix: u64,
    pub(super) key: Cow<'a, str>,
    pub(super) value: &'a str,
}

impl Member<'_> {
    fn order(&self, prefix: u64, key: &str) -> Ordering {
        self.prefix.cmp(&prefix).then_with(|| self.key.as_ref().cmp(key))
    }
}

/// Why a text has no members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("is not a JSON object")]
    NotAnObject,
    #[error("is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

impl<'a> Members<'a> {
    /// Splits one JSON object.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        serde_json::from_str(text).map_err(|_| Malformed::NotAnObject).and_then(Self::of)
    }

    /// Splits one JSON value that serde_json has looked at already.
    pub fn of(value: &'a RawValue) -> Result<Self, Malformed> {
        let (members, deepest) = split(value.get()).ok_or(Malformed::NotAnObject)?;
        if deepest >= MAX_DEPTH { Err(Malformed::TooDeep) } else { Ok(Self(members)) }
    }

    /// The text of a member's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let prefix = prefix(key);
        let position = self.0.binary_search_by(|member| member.order(prefix, key)).ok()?;
        self.0.get(position).map(|member| member.value)
    }

    /// The members of a member that is an object.
    #[must_use]
    pub fn descend(&self, key: &str) -> Option<Self> {
        split(self.get(key)?).map(|(members, _)| Self(members))
    }

    /// Keys and the texts of their values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|member| (member.key.as_ref(), member.value))
    }
}

/// The members of an object sorted by key, and the most levels that a value has; nothing if the text is no object. It must
/// be valid JSON. A key that cannot be decoded counts by its text, quotes included, which is nobody's name.
pub(super) fn split(object: &str) -> Option<(Vec<Member<'_>>, usize)> {
    let mut members = Vec::with_capacity(16);
    let mut deepest = 0;
    for (key, value) in split::members(object)? {
        let key = text::decode_string(key).unwrap_or(Cow::Borrowed(key));
        deepest = deepest.max(value.depth);
        members.push(Member { prefix: prefix(&key), key, value: value.text });
    }
    // The sort is stable, so the later of two equal keys comes second and takes the place of the first.
    members.sort_by(|a, b| a.order(b.prefix, &b.key));
    members.dedup_by(|later, earlier| {
        let twice = later.prefix == earlier.prefix && later.key == earlier.key;
        if twice {
            std::mem::swap(later, earlier);
        }
        twice
    });
    Some((members, deepest))
}

/// The first eight bytes as a number, which sorts as they do and mostly tells two keys apart.
fn prefix(key: &str) -> u64 {
    match key.as_bytes().first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => key.bytes().zip([56, 48, 40, 32, 24, 16, 8]).map(|(byte, shift)| u64::from(byte) << shift).sum(),
    }
}

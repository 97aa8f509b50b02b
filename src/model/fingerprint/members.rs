//! A JSON object as its members: decoded keys, each once and sorted, beside the untouched text of their values.
//!
//! Values stay text until someone wants one, so a number never passes through a float and an unknown field costs
//! nothing. serde_json bounds the depth of what it decodes, but skips a raw value without recursion to any depth;
//! [`MAX_DEPTH`] is therefore checked here, for the sake of everyone who decodes the text later.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::canonical;

/// Most levels of objects and arrays in one item, itself included.
pub const MAX_DEPTH: usize = 64;

/// The members of one JSON object. Of a key that stands twice, the last counts.
#[derive(Clone, Debug)]
pub struct Members<'a>(Vec<Member<'a>>);

/// A decoded key and the text of its value.
pub(super) type Member<'a> = (Cow<'a, str>, &'a str);

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
        let members = split(text).ok_or(Malformed::NotAnObject)?;
        if members.iter().any(|(_, value)| depth(value) >= MAX_DEPTH) {
            return Err(Malformed::TooDeep);
        }
        Ok(Self(members))
    }

    /// The text of a member's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let position = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(key)).ok()?;
        self.0.get(position).map(|(_, value)| *value)
    }

    /// Keys and the texts of their values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), *value))
    }

    /// What [`super::fingerprint`] says of the object's text.
    #[must_use]
    pub fn fingerprint(&self) -> i64 {
        let size: usize = self.0.iter().map(|(key, value)| key.len() + value.len() + 24).sum();
        let mut out = Vec::with_capacity(size);
        canonical::write_members(&self.0, MAX_DEPTH, &mut out);
        canonical::hash(&out)
    }

    /// The keys whose values differ from those in `new`, or that only one of the two has; sorted.
    #[must_use]
    pub fn changed<'s>(&'s self, new: &'s Members<'_>) -> Vec<&'s str> {
        let differs = |key: &str, value: &str| !new.get(key).is_some_and(|other| canonical::same(value, other));
        let added = new.iter().filter(|(key, _)| self.get(key).is_none()).map(|(key, _)| key);
        let mut changed: Vec<&str> =
            self.iter().filter(|(key, value)| differs(key, value)).map(|(key, _)| key).chain(added).collect();
        changed.sort_unstable();
        changed
    }
}

/// The members of an object sorted by key, or nothing if the text is no object.
pub(super) fn split(text: &str) -> Option<Vec<Member<'_>>> {
    let Unsorted(mut members) = serde_json::from_str(text).ok()?;
    // The sort is stable, so the later of two equal keys comes second and takes the place of the first.
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    members.dedup_by(|later, earlier| {
        let twice = later.0 == earlier.0;
        if twice {
            std::mem::swap(later, earlier);
        }
        twice
    });
    Some(members)
}

/// How many levels of objects and arrays a valid JSON value has.
fn depth(value: &str) -> usize {
    if !value.starts_with(['{', '[']) {
        return 0;
    }
    let (mut open, mut deepest) = (0_usize, 0_usize);
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

/// Moves past the closing quote of a string.
fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

struct Unsorted<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Unsorted<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Unsorted<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key, value.get()));
                }
                Ok(Unsorted(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A key, borrowed unless it has escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

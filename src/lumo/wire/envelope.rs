//! Parses what surrounds the items of a listing: `{"wallets": […], "total": 5}`.
//!
//! The items stay text here, and all other members are skipped. serde_json skips a value without recursion, so depth is
//! no danger at this point. The size of the body and [`MAX_ITEMS`] bound the rest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::value;
use crate::lumo::Error;

/// Most items in one page, whatever the requested page size. Items of ordinary size reach the limit of a body first.
const MAX_ITEMS: usize = 50_000;
/// A server that ignores the requested page size may list this many times as many, …
const MAX_TIMES_ASKED: usize = 10;
/// … or this many.
const MAX_UNASKED: usize = 10_000;

const TOO_MANY: &str = "too many items";

pub(super) struct Envelope<'a> {
    pub(super) items: Vec<&'a RawValue>,
    pub(super) total: Option<u64>,
}

/// Splits a listing's body into its items. A `null` list is empty, as some servers send an empty list so.
pub(super) fn open<'a>(body: &'a str, list: &'static str, limit: u32) -> Result<Envelope<'a>, Error> {
    let most = most(limit);
    let mut json = serde_json::Deserializer::from_str(body);
    let (items, total) = Listing { list, most }
        .deserialize(&mut json)
        .and_then(|envelope| json.end().map(|()| envelope))
        .map_err(|error| refuse(body, list, limit, &error))?;
    let items = items.ok_or_else(|| Error::contract(list, "is missing"))?;
    Ok(Envelope { items, total })
}

/// Describes a fault of a body without quoting it, which serde_json would do.
fn refuse(body: &str, list: &str, limit: u32, error: &serde_json::Error) -> Error {
    match error.classify() {
        Category::Data if error.to_string().starts_with(TOO_MANY) => Error::contract(
            list,
            format!(
                "has more than {} items where {limit} were asked for; ask for more with `lumo.page_size`",
                most(limit)
            ),
        ),
        Category::Data if body.trim_start().starts_with('{') => Error::contract(list, "is not a list"),
        Category::Data => Error::contract("body", "is not a JSON object"),
        Category::Syntax | Category::Eof | Category::Io => not_json(body, error),
    }
}

/// Describes why a body is not JSON.
pub(super) fn not_json(body: &str, error: &serde_json::Error) -> Error {
    let problem: Cow<'static, str> = if body.trim().is_empty() {
        "is empty".into()
    } else if body.trim_start().starts_with('<') {
        "is HTML or XML, not JSON".into()
    } else {
        let what = if error.is_eof() { "ends before its JSON does" } else { "is not JSON" };
        format!("{what}, line {} column {}", error.line(), error.column()).into()
    };
    Error::contract("body", problem)
}

struct Listing {
    list: &'static str,
    most: usize,
}

impl<'de> DeserializeSeed<'de> for Listing {
    type Value = (Option<Vec<&'de RawValue>>, Option<u64>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Listing {
    type Value = (Option<Vec<&'de RawValue>>, Option<u64>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut items, mut total) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            if key == self.list {
                items = Some(map.next_value_seed(Items { most: self.most })?);
            } else if key == "total" {
                let text = map.next_value::<&RawValue>()?.get();
                total = value::integer(text).ok().and_then(|total| total.try_into().ok());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok((items, total))
    }
}

/// Most items that are accepted for this requested page size.
fn most(limit: u32) -> usize {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    limit.saturating_mul(MAX_TIMES_ASKED).clamp(MAX_UNASKED, MAX_ITEMS)
}

struct Items {
    most: usize,
}

impl<'de> DeserializeSeed<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() == self.most {
                return Err(A::Error::custom(TOO_MANY));
            }
            items.push(item);
        }
        Ok(items)
    }
}

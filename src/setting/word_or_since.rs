//! A word, or the time to begin at.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::{Text, storable};

/// What stands there.
pub(crate) enum WordOrSince {
    Word(String),
    Since(DateTime<Utc>),
}

/// Reads one; the word is for the caller to judge. `what` is what is chosen, and `form` how to write it.
pub(crate) fn word_or_since<'de, D: Deserializer<'de>>(
    deserializer: D,
    what: &'static str,
    form: &'static str,
) -> Result<WordOrSince, D::Error> {
    deserializer.deserialize_any(Choice { what, form })
}

struct Choice {
    what: &'static str,
    form: &'static str,
}

impl<'de> Visitor<'de> for Choice {
    type Value = WordOrSince;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.form)
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<WordOrSince, E> {
        Ok(WordOrSince::Word(word.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WordOrSince, A::Error> {
        let Self { what, form } = self;
        let Some(key) = map.next_key::<String>()? else {
            return Err(de::Error::custom(format_args!("is empty; write {form}")));
        };
        if key != "since" {
            return Err(de::Error::custom(format_args!("`{key}` is no {what}; write {form}")));
        }
        let text: Text = map.next_value()?;
        let since = text.parse().map(storable).map_err(|_| {
            de::Error::custom(format_args!("`{text}` is not a time; write for example `2026-01-01T00:00:00Z`"))
        })?;
        match map.next_key::<String>()? {
            None => Ok(WordOrSince::Since(since)),
            Some(_) => Err(de::Error::custom(format_args!("says more than `since`; write {form}"))),
        }
    }
}

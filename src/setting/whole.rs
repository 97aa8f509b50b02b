//! Whole numbers, and nothing that could be rounded or counted as one.
//!
//! The `config` crate would read `8.7` as 9 and `yes` as 1. A variable of the environment is text, so digits in a text
//! do count.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// For `#[serde(deserialize_with)]` on a number.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    deserializer.deserialize_any(Digits).map(|Whole(number)| number)
}

/// The same where there may be none.
pub(crate) fn optional_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|Whole(number)| number))
}

struct Whole(u32);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Digits)
    }
}

struct Digits;

impl Visitor<'_> for Digits {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Whole, E> {
        number.try_into().map(Whole).map_err(|_| E::custom(format_args!("{number} {OUT_OF_RANGE}")))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Whole, E> {
        number.try_into().map(Whole).map_err(|_| E::custom(format_args!("{number} {OUT_OF_RANGE}")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Whole, E> {
        text.parse().map(Whole).map_err(|_| E::custom(format_args!("`{text}` is no whole number; write for example 8")))
    }
}

const OUT_OF_RANGE: &str = "is out of range; write a number that is not negative and has at most nine digits";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<u32, String> {
        whole(value).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn numbers_and_digits_are_read() {
        assert_eq!(read(json!(8)), Ok(8));
        assert_eq!(read(json!("12")), Ok(12));
    }

    #[test]
    fn nothing_is_rounded_or_counted() {
        for value in
            [json!(8.7), json!(true), json!("yes"), json!("1e3"), json!(""), json!(-1), json!(9_999_999_999_u64)]
        {
            assert!(read(value.clone()).is_err(), "{value}");
        }
    }
}

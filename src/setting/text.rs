//! A text that arrives as it was written.
//!
//! YAML reads `0123`, `1.10` or `yes` as numbers and booleans and would hand them on respelled. Where every character
//! counts (names, keys, header values, passwords), such a scalar is refused until it stands in quotes.

use std::fmt;
use std::ops::Deref;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// A string; a number or a boolean is refused until it is quoted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// The characters as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Quoted)
    }
}

/// The messages leave the value out: it may be a secret.
struct Quoted;

impl Visitor<'_> for Quoted {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text::from(text))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Text, E> {
        Err(E::custom("is a boolean where a text belongs; put it in quotes"))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Text, E> {
        Err(E::custom(NUMBER))
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Text, E> {
        Err(E::custom(NUMBER))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Text, E> {
        Err(E::custom(NUMBER))
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Text, E> {
        Err(E::custom(NUMBER))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Text, E> {
        Err(E::custom(NUMBER))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
        Err(E::custom("is empty; give it a text, or leave the key out"))
    }
}

const NUMBER: &str = "is a number where a text belongs; put it in quotes";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_kept_as_written() {
        let text: Text = serde_json::from_value(json!("0123")).unwrap();
        assert_eq!(text.as_str(), "0123");
    }

    #[test]
    fn what_yaml_would_respell_is_refused_without_showing_it() {
        for scalar in [json!(123_456), json!(1.5), json!(-7)] {
            let error = serde_json::from_value::<Text>(scalar).unwrap_err().to_string();
            assert_eq!(error, NUMBER);
        }
        let error = serde_json::from_value::<Text>(json!(true)).unwrap_err().to_string();
        assert!(error.contains("put it in quotes"), "{error}");
    }
}

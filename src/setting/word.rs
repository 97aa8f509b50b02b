//! A word out of a closed list.
//!
//! The `config` crate refuses an unknown word without telling the known ones. Read from a plain string instead, the
//! derived error lists them.

use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, de};

/// For `#[serde(deserialize_with)]` on an enum whose variants are words.
pub(crate) fn word<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    of(String::deserialize(deserializer)?)
}

/// The same where there may be none.
pub(crate) fn optional_word<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(of).transpose()
}

fn of<T: DeserializeOwned, E: de::Error>(text: String) -> Result<T, E> {
    T::deserialize(StringDeserializer::new(text))
}

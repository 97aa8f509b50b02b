//! An amount as the exact decimal text the API prints.
//!
//! The platform writes amounts as JSON numbers. A number that went through `f64` may come out as another number, so
//! amounts are text from where they are invented to where they are written, and nothing here ever calculates with one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{self, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON number literal, kept letter for letter: `12.500000` and `12.5` are different amounts here.
///
/// Serialises as that literal, through `serde_json` text writers only; going through `serde_json::Value` would round it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Amount(Arc<str>);

/// The text is no JSON number literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnAmount(pub String);

impl Amount {
    /// Takes text that is known to be a number literal because this crate wrote it.
    pub(crate) fn literal(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The literal itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Amount {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let is_number = serde_json::from_str::<serde_json::Number>(text).is_ok();
        if is_number && text.trim() == text { Ok(Self(text.into())) } else { Err(NotAnAmount(text.to_owned())) }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({})", self.0)
    }
}

impl fmt::Display for NotAnAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a decimal amount: {:?}", self.0)
    }
}

impl std::error::Error for NotAnAmount {}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// Reads a number literal or a string holding one.
impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = serde_json::from_str::<String>(raw.get());
        let text = text.unwrap_or_else(|_| raw.get().to_owned());
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_survives_json() {
        for text in ["0.000001", "0.1", "1234567.123456", "12.500000", "100", "123456789012.123456", "1e-7"] {
            let amount: Amount = text.parse().unwrap();
            assert_eq!(serde_json::to_string(&amount).unwrap(), text);
            assert_eq!(serde_json::from_str::<Amount>(text).unwrap(), amount);
            assert_eq!(serde_json::from_str::<Amount>(&format!("\"{text}\"")).unwrap(), amount);
        }
    }

    #[test]
    fn what_is_no_number_is_no_amount() {
        for text in ["", "abc", "01", ".5", " 1", "1 ", "0x10", "true", "NaN", "\"1\""] {
            assert_eq!(text.parse::<Amount>(), Err(NotAnAmount(text.to_owned())));
        }
    }
}

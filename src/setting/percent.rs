//! A share: `25%`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::Malformed;

/// A whole percentage from `1%` to `100%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u8);

impl Percent {
    /// Above 0, at most 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl FromStr for Percent {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.strip_suffix('%')
            .and_then(|digits| digits.trim_end().parse().ok())
            .filter(|percent| (1..=100).contains(percent))
            .map(Self)
            .ok_or_else(|| Malformed::new(format!("`{text}` is not a percentage; write `1%` to `100%`")))
    }
}

impl TryFrom<String> for Percent {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

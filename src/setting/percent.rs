//! A share: `25%`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::Malformed;

/// A whole percentage from `1%` to `100%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_a_share_and_written_as_it_is_read() {
        let percent: Percent = "25%".parse().unwrap();
        assert!((percent.fraction() - 0.25).abs() < f64::EPSILON);
        assert_eq!(percent.to_string(), "25%");
        assert!((Percent::from_str("100%").unwrap().fraction() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_no_percentage_is_refused() {
        for text in ["", "25", "0%", "101%", "-1%", "2.5%", "%"] {
            let error = text.parse::<Percent>().unwrap_err().to_string();
            assert!(error.contains("write `1%` to `100%`"), "{error}");
        }
    }
}

//! How often something may happen: `20/s`, `600/m`, `5/h`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::Malformed;

/// A number of times per second, minute or hour, for example `20/s`, `600/m` or `5/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Rate {
    times: NonZeroU32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Unit {
    const fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }
}

impl Rate {
    /// Times per second; always above zero.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.times.get()) / f64::from(self.unit.seconds())
    }
}

impl FromStr for Rate {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed =
            || Malformed::new(format!("`{text}` is not a rate; write for example `20/s`, `600/m` or `5/h`"));
        let (times, unit) = text.split_once('/').ok_or_else(malformed)?;
        let times: u32 = times.trim().parse().map_err(|_| malformed())?;
        let unit = match unit.trim() {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(malformed()),
        };
        let times = NonZeroU32::new(times)
            .ok_or_else(|| Malformed::new(format!("`{text}` would let nothing through; it must be above zero")))?;
        Ok(Self { times, unit })
    }
}

impl TryFrom<String> for Rate {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(f, "{}/{unit}", self.times)
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_counted_per_second_and_written_as_it_is_read() {
        for (text, per_second) in [("20/s", 20.0), ("600/m", 10.0), ("1800/h", 0.5)] {
            let rate: Rate = text.parse().unwrap();
            assert!((rate.per_second() - per_second).abs() < f64::EPSILON, "{text}");
            assert_eq!(rate.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "20", "/s", "20/d", "-1/s", "1.5/s", "20/s/s"] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains("is not a rate; write for example `20/s`"), "{error}");
        }
        assert!("0/s".parse::<Rate>().unwrap_err().to_string().contains("above zero"));
    }
}

//! A length of time: `30s`, `1m 30s`, `14d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::Malformed;

/// A duration with its unit, for example `30s`, `1m 30s` or `14d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Span(pub Duration);

impl Span {
    /// The time as the standard library holds it.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        humantime::parse_duration(text).map(Self).map_err(|_| {
            Malformed::new(if is_bare_number(text) {
                format!("`{text}` has no unit; write for example `{text}s`")
            } else {
                format!("`{text}` is not a duration; write for example `30s`, `1m 30s` or `14d`")
            })
        })
    }
}

/// Whether all that is missing is a unit.
pub(super) fn is_bare_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl TryFrom<String> for Span {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl fmt::Display for Span {
    /// Days and smaller, each unit once; a month or a year would depend on the calendar.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let nanos = u64::from(self.0.subsec_nanos());
        let parts = [
            (seconds / 86_400, "d"),
            (seconds / 3_600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
            (nanos / 1_000_000, "ms"),
            (nanos / 1_000 % 1_000, "us"),
            (nanos % 1_000, "ns"),
        ];
        let mut written = false;
        for (count, unit) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{}{count}{unit}", if written { " " } else { "" })?;
            written = true;
        }
        if written { Ok(()) } else { f.write_str("0s") }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_as_it_is_read() {
        for text in ["30s", "1m 30s", "14d", "1d 12h", "250ms", "1s 5us 7ns", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("24h".parse::<Span>().unwrap(), "1d".parse().unwrap());
    }

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        assert_eq!("5".parse::<Span>().unwrap_err().to_string(), "`5` has no unit; write for example `5s`");
        for text in ["", "soon", "-5s", "5 parsecs"] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains("write for example `30s`"), "{error}");
        }
    }
}

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
pub struct Span(#[schemars(with = "String")] pub Duration);

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
            let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            Malformed::new(if bare {
                format!("`{text}` has no unit; write for example `{text}s`")
            } else {
                format!("`{text}` is not a duration; write for example `30s`, `1m 30s` or `14d`")
            })
        })
    }
}

impl TryFrom<String> for Span {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

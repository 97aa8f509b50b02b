//! A moment that somebody asks about: a time, a date, or `2h` ago.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::setting::span::is_bare_number;
use crate::setting::{Malformed, Span, storable};

/// From when on: a time, the beginning of a day in UTC, or how long before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub enum Since {
    At(DateTime<Utc>),
    Ago(Span),
}

impl Since {
    /// The time that is meant, within the years that every database takes.
    #[must_use]
    pub fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => {
                let span = TimeDelta::from_std(span.get()).unwrap_or(TimeDelta::MAX);
                now.checked_sub_signed(span).unwrap_or(DateTime::UNIX_EPOCH).max(DateTime::UNIX_EPOCH)
            }
        }
    }
}

impl FromStr for Since {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(storable(time.to_utc())));
        }
        if let Some(day) = day(text) {
            return Ok(Self::At(storable(day.and_time(NaiveTime::MIN).and_utc())));
        }
        text.parse().map(Self::Ago).map_err(|_| {
            Malformed::new(if is_bare_number(text) {
                format!("`{text}` has no unit; write for example `{text}h`, or a date such as 2026-01-01")
            } else {
                format!(
                    "`{text}` is no time; write a time such as 2026-01-01T00:00:00Z, a date such as 2026-01-01, or how long \
                     ago, such as 2h"
                )
            })
        })
    }
}

/// A date with all its digits; the parser alone would take `2026-5-4`, too.
fn day(text: &str) -> Option<NaiveDate> {
    const DIGITS: usize = "2026-01-01".len();
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == DIGITS)
}

impl TryFrom<String> for Since {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-05-04T10:11:12Z".parse().unwrap()
    }

    #[test]
    fn since_is_a_time_a_date_or_a_length() {
        for (text, time) in [
            ("2026-05-04T12:00:00+02:00", "2026-05-04T10:00:00Z"),
            ("2026-05-04", "2026-05-04T00:00:00Z"),
            ("0000-01-01", "0001-01-01T00:00:00Z"),
            ("2h", "2026-05-04T08:11:12Z"),
            ("1d 1m", "2026-05-03T10:10:12Z"),
            ("9000y", "1970-01-01T00:00:00Z"),
            ("0000-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(text.parse::<Since>().unwrap().before(now()), time.parse::<DateTime<Utc>>().unwrap(), "{text}");
        }
        for text in ["", "2", "yesterday", "2026-5-4", "2026-02-30", "2026-05-04Z", "-2h", "2026-13-01T00:00:00Z"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_is_wrong_and_what_to_write() {
        for (text, words) in [
            ("20", "`20` has no unit; write for example `20h`, or a date such as 2026-01-01"),
            ("yesterday", "`yesterday` is no time; write a time such as 2026-01-01T00:00:00Z, a date such as"),
        ] {
            let said = text.parse::<Since>().unwrap_err().to_string();
            assert!(said.starts_with(words), "{said}");
        }
    }
}

//! Times as people say them: "12 s ago" on the way out, `2h` or a date on the way in.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

use crate::setting::Span;

/// How long ago, or how long from now, in its largest unit.
pub(super) fn ago(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let past = now - time;
    match past.num_seconds() {
        0 if past >= TimeDelta::zero() => "just now".to_owned(),
        1.. => format!("{} ago", length(past)),
        _ => format!("in {}", length(-past)),
    }
}

/// How long it is, for a column of ages.
pub(super) fn age(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    length((now - time).max(TimeDelta::zero()))
}

fn length(time: TimeDelta) -> String {
    let seconds = time.num_seconds();
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// From when on: a time, or how long before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    At(DateTime<Utc>),
    Ago(Span),
}

impl Since {
    /// The time that is meant, in whole microseconds as the databases keep them.
    pub(super) fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
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
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(time.to_utc()));
        }
        text.parse()
            .map(Self::Ago)
            .map_err(|_| "write a time such as 2026-01-01T00:00:00Z, or how long ago, such as 2h")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-05-04T10:11:12Z".parse().unwrap()
    }

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        for (seconds, told) in [
            (0, "just now"),
            (1, "1 s ago"),
            (119, "119 s ago"),
            (120, "2 min ago"),
            (7_199, "119 min ago"),
            (7_200, "2 h ago"),
            (172_800, "2 d ago"),
            (-1, "in 1 s"),
            (-3_600, "in 60 min"),
        ] {
            assert_eq!(ago(now() - TimeDelta::seconds(seconds), now()), told);
        }
        assert_eq!(age(now() + TimeDelta::hours(1), now()), "0 s");
    }

    #[test]
    fn since_is_a_time_or_a_length() {
        for (text, time) in [
            ("2026-05-04T12:00:00+02:00", "2026-05-04T10:00:00Z"),
            ("2h", "2026-05-04T08:11:12Z"),
            ("1d 1m", "2026-05-03T10:10:12Z"),
            ("9000y", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(text.parse::<Since>().unwrap().before(now()), time.parse::<DateTime<Utc>>().unwrap(), "{text}");
        }
        for text in ["", "2", "yesterday", "2026-05-04", "-2h", "2026-13-01T00:00:00Z"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }
}

//! Reads the `Retry-After` header: seconds or a date, bounded.
//!
//! A date is compared with the answer's own `Date` where that makes sense, so the two clocks need not agree. An
//! unreadable value counts as absent, a time in the past as zero, and no value delays the bridge for longer than
//! [`MAX_WAIT`].

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::retry_after::retry_after;

/// Longest wait that is accepted.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(15 * 60);

/// How long to wait.
pub(super) fn parse(value: &str, served_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Duration> {
    retry_after(value, served_at, now).map(|wait| wait.min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::retry_after::http_date;

    #[test]
    fn every_form_is_bounded() {
        let now = http_date("Fri, 02 Jan 2026 03:04:05 GMT").unwrap();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (value, expected) in [
            ("0", seconds(0)),
            ("7", seconds(7)),
            (" 120 ", seconds(120)),
            ("86400", Some(MAX_WAIT)),
            ("99999999999999999999999999", Some(MAX_WAIT)),
            ("Fri, 02 Jan 2026 03:04:35 GMT", seconds(30)),
            ("Friday, 02-Jan-26 03:04:35 GMT", seconds(30)),
            ("Fri Jan  2 03:04:35 2026", seconds(30)),
            ("Fri, 02 Jan 2026 03:04:00 GMT", seconds(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", seconds(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(MAX_WAIT)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("2026-01-02T03:04:35Z", None),
            ("٣", None),
        ] {
            assert_eq!(parse(value, None, now), expected, "{value}");
            assert_eq!(parse(value, Some(now), now), expected, "{value}");
        }
    }
}

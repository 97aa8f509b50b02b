//! Reads a `Retry-After` header: seconds, or an HTTP date in any of its three spellings.
//!
//! It is a hint from a stranger, so it never fails: what cannot be read is no hint, what has passed is no wait, and what
//! is absurdly long saturates. How long a hint is believed is decided by the caller.
//!
//! A date is meant by the server's clock, which its `Date` header tells. Where that makes no sense, our own clock decides:
//! one of the two headers may be right although the other is not.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// No server means a date that is further away than this.
const MAX_PLAUSIBLE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the header asks to wait from `now` on. `served_at` is the answer's `Date`, if it has one.
#[must_use]
pub fn retry_after(header: &str, served_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim_matches([' ', '\t']);
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits alone fail to parse only by being too many.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let at = http_date(header)?;
    let waits = || [served_at, Some(now)].into_iter().flatten().map(|from| (at - from).to_std().unwrap_or_default());
    let plausible = waits().find(|wait| !wait.is_zero() && *wait <= MAX_PLAUSIBLE);
    plausible.or_else(|| waits().next_back())
}

/// A date as HTTP writes it, for example `Fri, 02 Jan 2026 03:04:05 GMT`.
#[must_use]
pub fn http_date(header: &str) -> Option<DateTime<Utc>> {
    httpdate::parse_http_date(header).ok().map(DateTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(header: &str) -> Option<Duration> {
        retry_after(header, None, "2026-05-04T10:11:12Z".parse().unwrap())
    }

    #[test]
    fn a_date_is_meant_by_the_server_s_clock_unless_that_makes_no_sense() {
        let now = "2026-05-04T10:11:12Z".parse().unwrap();
        for (header, served_at, seconds) in [
            ("Mon, 04 May 2026 11:11:42 GMT", "Mon, 04 May 2026 11:11:12 GMT", 30),
            ("Thu, 01 Jan 1970 00:01:00 GMT", "Thu, 01 Jan 1970 00:00:30 GMT", 30),
            ("Mon, 04 May 2026 10:11:42 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", 30),
            ("Mon, 04 May 2026 10:11:42 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", 30),
            ("Mon, 04 May 2026 10:11:42 GMT", "soon", 30),
            ("Mon, 04 May 2026 10:11:12 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", 0),
            ("7", "Thu, 01 Jan 1970 00:00:00 GMT", 7),
        ] {
            let wait = retry_after(header, http_date(served_at), now);
            assert_eq!(wait, Some(Duration::from_secs(seconds)), "{header}, {served_at}");
        }
    }

    #[test]
    fn seconds_and_dates_are_read() {
        for (header, seconds) in [
            ("0", 0),
            ("120", 120),
            (" 120\t", 120),
            ("Mon, 04 May 2026 10:12:12 GMT", 60),
            ("Monday, 04-May-26 10:12:12 GMT", 60),
            ("Mon May  4 10:12:12 2026", 60),
        ] {
            assert_eq!(wait(header), Some(Duration::from_secs(seconds)), "{header}");
        }
    }

    #[test]
    fn the_past_is_no_wait() {
        assert_eq!(wait("Mon, 04 May 2026 10:11:12 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn the_absurd_saturates() {
        assert_eq!(wait("99999999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert!(wait("Fri, 31 Dec 9999 23:59:59 GMT") > Some(Duration::from_secs(7_000 * 365 * 86_400)));
    }

    #[test]
    fn garbage_is_no_hint() {
        for header in ["", " ", "soon", "-1", "+5", "1.5", "1e3", "5s", "12 13", "2026-05-04T10:12:12Z", "٣"] {
            assert_eq!(wait(header), None, "{header}");
        }
    }

    proptest::proptest! {
        #[test]
        fn only_digits_make_a_hint(header in "\\PC*") {
            proptest::prop_assert!(wait(&header).is_none() || header.bytes().any(|byte| byte.is_ascii_digit()));
        }

        #[test]
        fn whole_seconds_are_taken_as_they_are(seconds: u64) {
            proptest::prop_assert_eq!(wait(&seconds.to_string()), Some(Duration::from_secs(seconds)));
        }
    }
}

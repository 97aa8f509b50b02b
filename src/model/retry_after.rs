//! Reads a `Retry-After` header: seconds, or an HTTP date in any of its three spellings.
//!
//! It is a hint from a stranger, so it never fails: what cannot be read is no hint, what has passed is no wait, and what
//! is absurdly long saturates. How long a hint is believed is decided by the caller.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How long the header asks to wait from `now` on.
#[must_use]
pub fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim_matches([' ', '\t']);
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits alone fail to parse only by being too many.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let at = DateTime::<Utc>::from(httpdate::parse_http_date(header).ok()?);
    Some((at - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(header: &str) -> Option<Duration> {
        retry_after(header, "2026-05-04T10:11:12Z".parse().unwrap())
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

//! Times that every database can keep and compare.

use chrono::{DateTime, Utc};

/// The first second of the year 1, and the last one of the year 9999. Beyond these the driver for MySQL cannot encode a time,
/// PostgreSQL refuses some, and SQLite, which compares texts, sorts them wrongly.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

/// The nearest time in the years 1 to 9999, in whole microseconds. A time zone can move a time that was written in one of
/// these years beyond them. A leap second is the second after it: not every database has seconds that count to 60.
pub(crate) fn storable(time: DateTime<Utc>) -> DateTime<Utc> {
    let time = DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time);
    let seconds = time.timestamp().clamp(FIRST, LAST);
    if seconds == time.timestamp() { time } else { DateTime::from_timestamp(seconds, 0).unwrap_or(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_moved_to_one_that_every_database_keeps() {
        let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (text, kept) in [
            ("-0001-12-31T00:01:00Z", "0001-01-01T00:00:00Z"),
            ("+10000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("2026-05-04T10:11:12.345678Z", "2026-05-04T10:11:12.345678Z"),
            ("2026-05-04T10:11:12.345678999Z", "2026-05-04T10:11:12.345678Z"),
            ("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999Z"),
            ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.5Z"),
            ("9999-12-31T23:59:60Z", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(storable(time(text)), time(kept), "{text}");
        }
    }
}

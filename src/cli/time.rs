//! Times as people say them: "12 s ago".

use chrono::{DateTime, TimeDelta, Utc};

use crate::view::finding::CLOCK_TOLERANCE;

/// How long ago something happened. The clock of another machine may be slightly ahead: what it has just noted happened now.
pub(super) fn past(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let is_ahead = time > now && time - now <= CLOCK_TOLERANCE;
    ago(if is_ahead { now } else { time }, now)
}

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
    fn what_happened_is_in_the_future_only_where_a_clock_is_wrong() {
        for (ahead, told) in [
            (TimeDelta::seconds(-5), "5 s ago"),
            (TimeDelta::zero(), "just now"),
            (TimeDelta::milliseconds(200), "just now"),
            (TimeDelta::seconds(1), "just now"),
            (CLOCK_TOLERANCE, "just now"),
            (CLOCK_TOLERANCE + TimeDelta::hours(1), "in 62 min"),
        ] {
            assert_eq!(past(now() + ahead, now()), told);
        }
    }
}

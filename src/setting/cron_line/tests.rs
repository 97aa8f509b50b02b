//! Due times against dates worked out by hand, and days of the week against the set that was written.

use chrono::Datelike;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn line(text: &str) -> CronLine {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// 2026-05-04 is a Monday.
#[test]
fn lines_are_due_when_crontab_says() {
    let now = at("2026-05-04T10:11:12Z");
    let table: &[(&str, &[&str])] = &[
        ("*/10 * * * * *", &["2026-05-04T10:11:20Z", "2026-05-04T10:11:30Z"]),
        ("*/30 * * * * *", &["2026-05-04T10:11:30Z", "2026-05-04T10:12:00Z"]),
        ("0 * * * * *", &["2026-05-04T10:12:00Z", "2026-05-04T10:13:00Z"]),
        ("* * * * *", &["2026-05-04T10:12:00Z", "2026-05-04T10:13:00Z"]),
        ("12 11 10 * * *", &["2026-05-05T10:11:12Z"]),
        ("*/5 * * * *", &["2026-05-04T10:15:00Z", "2026-05-04T10:20:00Z"]),
        ("0 0 * * * *", &["2026-05-04T11:00:00Z", "2026-05-04T12:00:00Z"]),
        ("@hourly", &["2026-05-04T11:00:00Z"]),
        ("@daily", &["2026-05-05T00:00:00Z"]),
        ("@midnight", &["2026-05-05T00:00:00Z"]),
        ("@weekly", &["2026-05-10T00:00:00Z", "2026-05-17T00:00:00Z"]),
        ("@monthly", &["2026-06-01T00:00:00Z"]),
        ("@yearly", &["2027-01-01T00:00:00Z"]),
        ("0 9 * * 1", &["2026-05-11T09:00:00Z"]),
        ("0 9 * * mon", &["2026-05-11T09:00:00Z"]),
        ("0 9 * * 0", &["2026-05-10T09:00:00Z"]),
        ("0 9 * * 7", &["2026-05-10T09:00:00Z"]),
        ("0 0 9 ? * 7", &["2026-05-10T09:00:00Z"]),
        (
            "0 9 * * 1-5",
            &[
                "2026-05-05T09:00:00Z",
                "2026-05-06T09:00:00Z",
                "2026-05-07T09:00:00Z",
                "2026-05-08T09:00:00Z",
                "2026-05-11T09:00:00Z",
            ],
        ),
        (
            "0 9 * * 5-7",
            &["2026-05-08T09:00:00Z", "2026-05-09T09:00:00Z", "2026-05-10T09:00:00Z", "2026-05-15T09:00:00Z"],
        ),
        ("0 9 * * 6-0", &["2026-05-09T09:00:00Z", "2026-05-10T09:00:00Z", "2026-05-16T09:00:00Z"]),
        (
            "0 9 * * fri-Mon",
            &["2026-05-08T09:00:00Z", "2026-05-09T09:00:00Z", "2026-05-10T09:00:00Z", "2026-05-11T09:00:00Z"],
        ),
        (
            "0 9 * * */2",
            &["2026-05-05T09:00:00Z", "2026-05-07T09:00:00Z", "2026-05-09T09:00:00Z", "2026-05-10T09:00:00Z"],
        ),
        ("0 9 * * 1,3,5", &["2026-05-06T09:00:00Z", "2026-05-08T09:00:00Z", "2026-05-11T09:00:00Z"]),
        ("0 0 29 2 *", &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("0 0 31 * *", &["2026-05-31T00:00:00Z", "2026-07-31T00:00:00Z"]),
        ("0 0 1 jan *", &["2027-01-01T00:00:00Z"]),
    ];
    for (text, due) in table {
        let due: Vec<_> = due.iter().map(|due| at(due)).collect();
        let found: Vec<_> = line(text).due_after(now).take(due.len()).collect();
        assert_eq!(found, due, "{text}");
    }
}

#[test]
fn a_line_with_both_kinds_of_day_is_due_on_either() {
    let found: Vec<_> = line("0 0 13 * fri").due_after(at("2026-05-04T00:00:00Z")).take(4).collect();
    let due = ["2026-05-08", "2026-05-13", "2026-05-15", "2026-05-22"].map(|day| at(&format!("{day}T00:00:00Z")));
    assert_eq!(found, due);
}

#[test]
fn a_due_time_lies_after_now_even_within_a_second() {
    let every = line("* * * * * *");
    assert_eq!(every.after(at("2026-05-04T10:11:12Z")), Some(at("2026-05-04T10:11:13Z")));
    assert_eq!(every.after(at("2026-05-04T10:11:12.999999Z")), Some(at("2026-05-04T10:11:13Z")));
    assert_eq!(every.after(at("2026-12-31T23:59:59.5Z")), Some(at("2027-01-01T00:00:00Z")));
}

#[test]
fn what_is_no_line_is_refused_with_the_field_and_the_fix() {
    let table = [
        ("", "`` has 0 fields; write five, or six with seconds first"),
        ("* * * *", "`* * * *` has 4 fields; write five, or six with seconds first"),
        ("* * * * * * 2027", "`* * * * * * 2027` has 7 fields; write five, or six with seconds first"),
        ("61 * * * *", "`61 * * * *` has no minute in `61`; see `man 5 crontab`"),
        ("0 25 * * *", "`0 25 * * *` has no hour in `25`; see `man 5 crontab`"),
        ("0 0 32 * *", "`0 0 32 * *` has no day of the month in `32`; see `man 5 crontab`"),
        ("0 0 1 13 *", "`0 0 1 13 *` has no month in `13`; see `man 5 crontab`"),
        ("0 0 * * 8", "`0 0 * * 8` has no day of the week in `8`; write 0 to 7 (0 and 7 are Sunday) or names"),
        ("0 0 * * 1,", "`0 0 * * 1,` has no day of the week in ``; write 0 to 7 (0 and 7 are Sunday) or names"),
        ("0 0 * * */0", "`0 0 * * */0` has no day of the week in `*/0`; write 0 to 7 (0 and 7 are Sunday) or names"),
        ("0 0 31 2 *", "`0 0 31 2 *` is never due; name a date that exists"),
        ("0 0 0 31 2 *", "`0 0 0 31 2 *` is never due; name a date that exists"),
    ];
    for (text, message) in table {
        assert_eq!(CronLine::from_str(text).unwrap_err().to_string(), message);
    }
    assert!(CronLine::from_str("@often").unwrap_err().to_string().contains("`@hourly`"));
}

proptest! {
    #[test]
    fn a_list_of_weekdays_is_due_on_exactly_these(days in proptest::collection::btree_set(0_u32..=7, 1..8)) {
        let list = days.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let due: std::collections::BTreeSet<_> = line(&format!("0 0 * * {list}"))
            .due_after(at("2026-05-04T10:11:12Z"))
            .take(7)
            .map(|due| due.weekday().num_days_from_sunday())
            .collect();
        prop_assert_eq!(due, days.into_iter().map(|day| day % 7).collect());
    }

    #[test]
    fn a_range_of_weekdays_is_due_from_its_first_to_its_last(first in 0_u32..=7, length in 0_u32..7) {
        let last = (first + length) % 7;
        let due: std::collections::BTreeSet<_> = line(&format!("0 0 * * {first}-{last}"))
            .due_after(at("2026-05-04T10:11:12Z"))
            .take(7)
            .map(|due| due.weekday().num_days_from_sunday())
            .collect();
        prop_assert_eq!(due, (first..=first + length).map(|day| day % 7).collect());
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,40}") {
        if let Ok(line) = text.parse::<CronLine>() {
            prop_assert!(line.after(DateTime::UNIX_EPOCH).is_some());
        }
    }
}

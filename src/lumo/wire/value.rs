//! Parses the text of one JSON value as the type of a column.
//!
//! Every result can be stored by every database: bounded texts without control characters (U+0000 above all), exact
//! amounts, times in whole microseconds between 1970 and 9999.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::amount::AmountError;

use crate::model::Amount;
use crate::model::fingerprint::{decode_lossy, decode_string};
use crate::model::id::IdError;

/// Longest text of a typed column, in characters.
pub(super) const MAX_CHARS: usize = 1024;

/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("is missing")]
    Missing,
    #[error("is not {0}")]
    NotA(&'static str),
    #[error("has a broken escape")]
    BrokenEscape,
    #[error("is longer than {MAX_CHARS} characters")]
    TooLong,
    #[error("is empty")]
    Empty,
    #[error("contains a control character")]
    ControlCharacter,
    #[error(transparent)]
    Id(#[from] IdError),
    #[error(transparent)]
    Amount(#[from] AmountError),
}

/// Any string.
pub(super) fn string(value: &str) -> Result<Cow<'_, str>, Problem> {
    if !is_string(value) {
        return Err(Problem::NotA("a string"));
    }
    decode_string(value).ok_or(Problem::BrokenEscape)
}

/// A string of one line, at most [`MAX_CHARS`] long.
pub(super) fn line(value: &str) -> Result<String, Problem> {
    let text = string(value)?;
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if text.len() > MAX_CHARS && text.chars().count() > MAX_CHARS {
        return Err(Problem::TooLong);
    }
    // Ordinary text is found harmless many bytes at a time.
    let plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if !plain && text.chars().any(char::is_control) {
        return Err(Problem::ControlCharacter);
    }
    Ok(text.into_owned())
}

/// Text that people wrote, as far as it is readable; `None` for null. Halves of surrogate pairs become U+FFFD, control
/// characters become spaces, a long text is cut, and a value that is no string is taken as its JSON text.
pub(super) fn prose(value: &str) -> Option<String> {
    if value == "null" {
        return None;
    }
    let text = decode_lossy(value).unwrap_or(Cow::Borrowed(value));
    Some(text.chars().take(MAX_CHARS).map(|char| if char.is_control() { ' ' } else { char }).collect())
}

/// A string that is an id.
pub(super) fn id<T: TryFrom<String, Error = IdError>>(value: &str) -> Result<T, Problem> {
    Ok(T::try_from(string(value)?.into_owned())?)
}

/// An id that is a string, or a whole number, of which the digits are kept.
pub(super) fn id_or_number<T: TryFrom<String, Error = IdError>>(value: &str) -> Result<T, Problem> {
    if is_whole_number(value) { Ok(T::try_from(value.to_owned())?) } else { id(value) }
}

/// A number, or a string that is one.
pub(super) fn amount(value: &str) -> Result<Amount, Problem> {
    if is_number(value) { Ok(value.parse()?) } else { Ok(string(value)?.parse()?) }
}

/// `true` or `false`, also as a string, or as 1 or 0.
pub(super) fn boolean(value: &str) -> Result<bool, Problem> {
    match value.trim_matches('"') {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Problem::NotA("true or false")),
    }
}

/// A number without fraction, or a string that is one.
pub(super) fn integer(value: &str) -> Result<i64, Problem> {
    if let Ok(plain) = value.parse() {
        return Ok(plain);
    }
    amount(value)?.as_str().parse().map_err(|_| Problem::NotA("a whole number of 64 bits"))
}

/// An RFC 3339 time in a string.
pub(super) fn time(value: &str) -> Result<DateTime<Utc>, Problem> {
    const NOT_A_TIME: Problem = Problem::NotA("an RFC 3339 time between 1970 and 9999");
    let time = DateTime::parse_from_rfc3339(&string(value)?).map_err(|_| NOT_A_TIME)?;
    from_micros(time.timestamp_micros()).ok_or(NOT_A_TIME)
}

/// An RFC 3339 time, or seconds or milliseconds since 1970 as a number or a string.
pub(super) fn time_or_number(value: &str) -> Result<DateTime<Utc>, Problem> {
    time(value).or_else(|not_a_time| match amount(value) {
        Ok(number) => since_1970(&number).ok_or(not_a_time),
        Err(_) => Err(not_a_time),
    })
}

/// Numbers above the last second of 9999 count milliseconds: the seconds of the year 9999 are the milliseconds of 1978.
/// Some servers send zero for "never".
fn since_1970(number: &Amount) -> Option<DateTime<Utc>> {
    let (whole, fraction) = number.as_str().split_once('.').unwrap_or((number.as_str(), ""));
    let whole: i64 = whole.parse().ok().filter(|&whole| whole > 0)?;
    let (unit, digits) = if whole <= LAST_SECOND { (1_000_000, 6) } else { (1_000, 3) };
    let fraction: String = fraction.chars().chain("000000".chars()).take(digits).collect();
    from_micros(whole.checked_mul(unit)?.checked_add(fraction.parse().ok()?)?)
}

fn from_micros(micros: i64) -> Option<DateTime<Utc>> {
    let known = (0..=LAST_SECOND * 1_000_000 + 999_999).contains(&micros);
    if known { DateTime::from_timestamp_micros(micros) } else { None }
}

pub(super) fn is_string(value: &str) -> bool {
    value.starts_with('"')
}

pub(super) fn is_number(value: &str) -> bool {
    value.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn is_whole_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::DepositId;

    #[test]
    fn times_are_whole_microseconds_whatever_their_form() {
        for (value, expected) in [
            (r#""2026-01-02T03:04:05Z""#, Some("2026-01-02T03:04:05Z")),
            (r#""2026-01-02T03:04:05.123456789+01:00""#, Some("2026-01-02T02:04:05.123456Z")),
            (r#""2026-01-02T03:04:60Z""#, Some("2026-01-02T03:05:00Z")),
            ("1767323045", Some("2026-01-02T03:04:05Z")),
            ("1767323045.5", Some("2026-01-02T03:04:05.500Z")),
            ("1767323045123", Some("2026-01-02T03:04:05.123Z")),
            ("1.767323045123e12", Some("2026-01-02T03:04:05.123Z")),
            (r#""1767323045123""#, Some("2026-01-02T03:04:05.123Z")),
            ("253402300799", Some("9999-12-31T23:59:59Z")),
            ("0", None),
            ("-1", None),
            ("1e30", None),
            ("1767323045123456789", None),
            (r#""0001-01-01T00:00:00Z""#, None),
            (r#""9999-12-31T23:59:59-12:00""#, None),
            (r#""2026-01-02T03:04:05""#, None),
            (r#""2026-01-02""#, None),
            (r#""yesterday""#, None),
            (r#""""#, None),
            ("true", None),
        ] {
            let expected = expected.map(|text| DateTime::parse_from_rfc3339(text).unwrap().to_utc());
            assert_eq!(time_or_number(value).ok(), expected, "{value}");
        }
    }

    #[test]
    fn amounts_and_integers_come_from_their_digits() {
        assert_eq!(amount("123456789012.123456").unwrap().as_str(), "123456789012.123456");
        assert_eq!(amount(r#""0.30000000000000004""#).unwrap().as_str(), "0.30000000000000004");
        assert_eq!(amount(r#""12,5""#), Err(Problem::Amount(AmountError::Syntax)));
        assert_eq!(amount("true"), Err(Problem::NotA("a string")));
        for (value, expected) in [
            ("19", Some(19)),
            (r#""19""#, Some(19)),
            ("1.9e1", Some(19)),
            ("19.0", Some(19)),
            ("19.5", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            (r#""many""#, None),
        ] {
            assert_eq!(integer(value).ok(), expected, "{value}");
        }
    }

    #[test]
    fn no_control_character_passes() {
        for value in [r#""a\u0000b""#, r#""a\nb""#, r#""\u007f""#] {
            assert_eq!(line(value), Err(Problem::ControlCharacter), "{value}");
            assert!(id::<DepositId>(value).is_err(), "{value}");
            assert!(!prose(value).unwrap().contains(char::is_control), "{value}");
        }
        assert_eq!(line(r#""\ud800""#), Err(Problem::BrokenEscape));
        let long = |chars: usize| format!("\"{}\"", "ж".repeat(chars));
        assert!(line(&long(MAX_CHARS)).is_ok());
        assert_eq!(line(&long(MAX_CHARS + 1)), Err(Problem::TooLong));
        assert_eq!(prose(&long(MAX_CHARS + 1)).unwrap().chars().count(), MAX_CHARS);
    }

    #[test]
    fn prose_is_read_as_far_as_it_can_be() {
        for (value, expected) in [
            ("null", None),
            (r#""""#, Some("")),
            (r#""ticket \ud83d""#, Some("ticket \u{fffd}")),
            (r#""\ude00\ud83d\ude00\ud83d\n\\ud83d\u00e9""#, Some("\u{fffd}\u{1f600}\u{fffd} \\ud83d\u{e9}")),
            (r#"{"code":7,"text":"fraud"}"#, Some(r#"{"code":7,"text":"fraud"}"#)),
            ("[1,\n2]", Some("[1, 2]")),
            ("17", Some("17")),
            ("true", Some("true")),
        ] {
            assert_eq!(prose(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn ids_may_be_whole_numbers() {
        let read = |value| id_or_number::<DepositId>(value).map(String::from).ok();
        assert_eq!(read("12345678901234567890123").as_deref(), Some("12345678901234567890123"));
        assert_eq!(read(r#""d-1""#).as_deref(), Some("d-1"));
        for value in ["1.0", "1e3", "true", "{}", r#""""#] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}

//! Turns an answer other than a success into an error.
//!
//! The error body is not part of the published API, so no decision rests on it. A short excerpt is kept for people to
//! read, without control characters and without the API key, in case a server echoes it.

use std::borrow::Cow;
use std::time::Duration;

use reqwest::StatusCode;

use crate::lumo::{Error, Outage};
use crate::model::fingerprint::{Members, decode_string};
use crate::setting::Redactor;

/// Longest excerpt, in characters.
const MAX_CHARS: usize = 200;

/// Keys under which servers usually put the message, best first.
const KEYS: [&str; 6] = ["message", "error", "detail", "title", "reason", "description"];

/// Sorts a status by what the caller will do. `wait` is what `Retry-After` asks for.
pub(super) fn classify(status: StatusCode, wait: Option<Duration>, message: impl FnOnce() -> String) -> Error {
    match status.as_u16() {
        401 => Error::Unauthorized,
        status @ 429 => Error::Throttled { status, retry_after: wait },
        status @ 503 if wait.is_some() => Error::Throttled { status, retry_after: wait },
        404 => Error::NotFound { message: message() },
        // Request Timeout and Too Early ask for a retry.
        status @ (408 | 425 | 500..) => {
            Error::Unavailable { outage: Outage::Answered { status, message: message() }, source: None }
        }
        status => Error::Refused { status, message: message() },
    }
}

/// The message of an error body.
pub(super) fn message(body: &[u8], api_key: &str) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let words: Cow<'_, str> = if text.starts_with('<') {
        "an HTML or XML page".into()
    } else {
        words(text, 2).unwrap_or(Cow::Borrowed(text))
    };
    let clean: String = words.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    // The key is removed before the text is cut, so that no part of the key is left at the end.
    let clean = Redactor::new([api_key]).redact(&clean).into_owned();
    let short: String = clean.trim().chars().take(MAX_CHARS).collect();
    if short.is_empty() { "no reason given".to_owned() } else { short }
}

/// The message in a JSON object, or in an object within it, as in `{"error": {"message": "…"}}`.
fn words(text: &str, levels: u8) -> Option<Cow<'_, str>> {
    let members = Members::parse(text).ok()?;
    KEYS.iter().filter_map(|key| members.get(key)).find_map(|value| match value.as_bytes().first() {
        Some(b'"') => decode_string(value).filter(|words| !words.trim().is_empty()),
        Some(b'{') if levels > 1 => words(value, levels - 1),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_found_wherever_they_usually_are() {
        for (body, expected) in [
            (r#"{"message":"limit too large","error":"Bad Request","statusCode":400}"#, "limit too large"),
            (r#"{"error":"bad_request"}"#, "bad_request"),
            (r#"{"error":{"code":7,"message":"no such wallet"}}"#, "no such wallet"),
            (r#"{"detail":"a\nb\u0000c","message":""}"#, "a b c"),
            (r#"{"code":7}"#, r#"{"code":7}"#),
            ("plain words\r\n", "plain words"),
            ("<!doctype html><title>502</title>", "an HTML or XML page"),
            ("", "no reason given"),
            (" \n", "no reason given"),
        ] {
            assert_eq!(message(body.as_bytes(), "key"), expected, "{body}");
        }
        assert_eq!(message(b"\xff\xfe", "key"), "\u{fffd}\u{fffd}");
        assert_eq!(message("ж".repeat(4000).as_bytes(), "key").chars().count(), MAX_CHARS);
    }

    #[test]
    fn an_echoed_key_is_taken_out_even_across_the_cut() {
        let key = "lb2b_0123456789abcdef";
        assert_eq!(message(format!("no key {key} here").as_bytes(), key), "no key [redacted] here");
        for spelled in ["lb2b\\u005f0123456789abcdef", "lb2b%5F0123456789abcdef", "bGIyYl8wMTIzNDU2Nzg5YWJjZGVm"] {
            assert_eq!(message(format!("no key {spelled} here").as_bytes(), key), "no key [redacted] here");
        }
        let body = format!("{}{key}", "x".repeat(MAX_CHARS - 10));
        assert!(!message(body.as_bytes(), key).contains("lb2b"), "{body}");
    }
}

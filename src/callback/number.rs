//! Gives templates the stored body with every number exact.
//!
//! Parsing JSON makes machine numbers, and a double keeps only fifteen digits. The bridge's own amounts are text, but
//! values from the upstream are passed on as they were. So a number stays a number only if it would be written again
//! exactly as it is in the body. Any other, such as `1.50` or `12345678901234567890.1`, becomes text.

use std::collections::BTreeMap;

use minijinja::Value;
use serde_json::value::RawValue;

/// The deepest nesting: deeper than any body, and safe for the stack.
const DEEPEST: u32 = 64;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the event's body is no JSON")]
    Json(#[from] serde_json::Error),
    #[error("the event's body is nested more than {DEEPEST} deep")]
    TooDeep,
}

/// Parses the JSON of an event.
pub(super) fn exact(json: &str) -> Result<Value, BodyError> {
    value(serde_json::from_str(json)?, DEEPEST)
}

fn value(raw: &RawValue, depth: u32) -> Result<Value, BodyError> {
    let text = raw.get();
    let depth = depth.checked_sub(1).ok_or(BodyError::TooDeep)?;
    Ok(match text.as_bytes().first() {
        Some(b'{') => serde_json::from_str::<BTreeMap<String, &RawValue>>(text)?
            .into_iter()
            .map(|(key, member)| Ok((key, value(member, depth)?)))
            .collect::<Result<Value, BodyError>>()?,
        Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(text)?
            .into_iter()
            .map(|item| value(item, depth))
            .collect::<Result<Vec<Value>, BodyError>>()?
            .into(),
        Some(b'-' | b'0'..=b'9') => number(text)?,
        _ => Value::from_serialize(serde_json::from_str::<serde_json::Value>(text)?),
    })
}

fn number(text: &str) -> Result<Value, serde_json::Error> {
    // A number beyond a double is an error to the parser, and text here.
    let number = serde_json::from_str::<serde_json::Number>(text).ok().filter(|number| number.to_string() == text);
    Ok(number.map_or_else(|| Value::from(text), Value::from_serialize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(json: &str) -> String {
        serde_json::to_string(&exact(json).unwrap()).unwrap()
    }

    #[test]
    fn numbers_keep_every_digit() {
        for (json, expected) in [
            ("0", "0"),
            ("-17", "-17"),
            ("18446744073709551615", "18446744073709551615"),
            ("12.5", "12.5"),
            ("1.50", r#""1.50""#),
            ("1e5", r#""1e5""#),
            ("-0", r#""-0""#),
            ("1e400", r#""1e400""#),
            ("18446744073709551616", r#""18446744073709551616""#),
            ("12345678901234567890.123456789", r#""12345678901234567890.123456789""#),
        ] {
            assert_eq!(printed(json), expected, "{json}");
        }
    }

    #[test]
    fn all_else_is_itself() {
        let json = r#"{"a":[true,null,"x\u00e9\n\u0000",[],{}],"b":{"c":-1}}"#;
        assert_eq!(printed(json).parse::<serde_json::Value>().unwrap(), json.parse::<serde_json::Value>().unwrap());
    }

    #[test]
    fn what_is_no_body_is_refused() {
        assert!(matches!(exact("{"), Err(BodyError::Json(_))));
        assert!(matches!(exact(&format!("{}1{}", "[".repeat(100), "]".repeat(100))), Err(BodyError::TooDeep)));
        assert!(exact(&"[".repeat(100_000)).is_err());
    }
}

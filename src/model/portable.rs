//! JSON that every common reader takes, made of JSON that only some do.
//!
//! PostgreSQL's `jsonb` refuses `\u0000`, half a surrogate pair, and numbers beyond its range; serde_json refuses numbers
//! that no float can hold; PHP refuses keys that begin with `\u0000`; a key that stands twice is read differently by
//! different readers. Such members are spelled differently here, and named. Every other value keeps its spelling, and an item
//! without such members keeps its bytes.

use std::borrow::Cow;
use std::collections::HashMap;

use super::fingerprint::split;
use super::fingerprint::text::code_unit;

/// Most members that are named.
const MAX_NAMED: usize = 32;
/// Numbers have at most this many digits before the point: the largest float has one more.
const MAX_WHOLE_DIGITS: i64 = 308;
/// Numbers have at most this many digits after the point; PostgreSQL takes 16,383.
const MAX_DECIMALS: i64 = 10_000;

const REPLACEMENT: &str = "\\ufffd";

/// A JSON value that every reader takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portable<'a> {
    pub text: Cow<'a, str>,
    /// JSON Pointers to what is spelled differently, at most 32 of them.
    pub altered: Vec<String>,
}

/// Spells a JSON value so that every reader takes it: what cannot be kept in a string becomes U+FFFD, a number that is too
/// large or too fine becomes a string, and of a key that stands twice the last stays. The text must be valid JSON, nested no
/// deeper than [`super::fingerprint::MAX_DEPTH`].
#[must_use]
pub fn portable(json: &str) -> Portable<'_> {
    let mut writer = Writer { out: String::with_capacity(json.len()), path: String::new(), altered: Vec::new() };
    writer.value(json);
    match writer.altered {
        // The usual item goes out byte for byte.
        altered if altered.is_empty() => Portable { text: Cow::Borrowed(json), altered },
        altered => Portable { text: Cow::Owned(writer.out), altered },
    }
}

struct Writer {
    out: String,
    /// Where in the document the writer is, as a JSON Pointer.
    path: String,
    altered: Vec<String>,
}

impl Writer {
    fn value(&mut self, text: &str) {
        match text.as_bytes().first() {
            Some(b'{') => self.object(text),
            Some(b'[') => self.array(text),
            Some(b'"') => {
                let said = string(text);
                self.note_if(matches!(said, Cow::Owned(_)));
                self.out.push_str(&said);
            }
            Some(b'-' | b'0'..=b'9') if !is_in_range(text) => {
                self.note_if(true);
                self.out.push('"');
                self.out.push_str(text);
                self.out.push('"');
            }
            _ => self.out.push_str(text),
        }
    }

    fn object(&mut self, text: &str) {
        let members: Vec<(Cow<'_, str>, &str, bool)> = split::members(text)
            .into_iter()
            .flatten()
            .map(|(key, value)| {
                let said = string(key);
                let is_altered = matches!(said, Cow::Owned(_));
                (said, value.text, is_altered)
            })
            .collect();
        // Spellings of one key are one key, so keys are compared as readers see them.
        let decoded: Vec<String> =
            members.iter().map(|(key, ..)| serde_json::from_str(key).unwrap_or_default()).collect();
        let last: HashMap<&str, usize> = decoded.iter().enumerate().map(|(at, key)| (key.as_str(), at)).collect();
        self.out.push('{');
        let mut before = "";
        for (at, ((key, value, is_altered), name)) in members.iter().zip(&decoded).enumerate() {
            let length = self.path.len();
            self.path.push('/');
            self.path.push_str(&name.replace('~', "~0").replace('/', "~1"));
            let is_last = last.get(name.as_str()) == Some(&at);
            self.note_if(*is_altered || !is_last);
            if is_last {
                self.out.push_str(before);
                self.out.push_str(key);
                self.out.push(':');
                self.value(value);
                before = ",";
            }
            self.path.truncate(length);
        }
        self.out.push('}');
    }

    fn array(&mut self, text: &str) {
        self.out.push('[');
        for (at, element) in split::elements(text).into_iter().flatten().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            let length = self.path.len();
            self.path.push('/');
            self.path.push_str(&at.to_string());
            self.value(element);
            self.path.truncate(length);
        }
        self.out.push(']');
    }

    fn note_if(&mut self, is_altered: bool) {
        if is_altered && self.altered.len() < MAX_NAMED && self.altered.last() != Some(&self.path) {
            self.altered.push(self.path.clone());
        }
    }
}

/// The string, quotes included, with U+FFFD in place of every escape that stands for U+0000 or half a surrogate pair.
fn string(text: &str) -> Cow<'_, str> {
    let (mut out, mut kept) = (String::new(), 0);
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        at += found;
        let end = match text.get(at..).and_then(code_unit) {
            Some(unit @ 0xd800..=0xdbff) => match text.get(at + 6..).and_then(code_unit) {
                Some(0xdc00..=0xdfff) => {
                    at += 12;
                    continue;
                }
                _ => Some(unit),
            },
            Some(unit @ (0 | 0xdc00..=0xdfff)) => Some(unit),
            Some(_) => None,
            None => {
                at += 2;
                continue;
            }
        };
        if end.is_some() {
            out.push_str(text.get(kept..at).unwrap_or_default());
            out.push_str(REPLACEMENT);
            kept = at + 6;
        }
        at += 6;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(out)
}

/// Whether every reader takes a number: by its digits, as a float could not tell.
fn is_in_range(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let (digits, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    // Too many digits to be read are too many.
    let Ok(exponent) = exponent.parse::<i64>() else { return false };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX / 2);
    length(whole).saturating_add(exponent) <= MAX_WHOLE_DIGITS
        && length(whole) <= MAX_WHOLE_DIGITS
        && length(decimals).saturating_sub(exponent) <= MAX_DECIMALS
        && length(decimals) <= MAX_DECIMALS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::model::fingerprint::{MAX_DEPTH, Members};

    #[test]
    fn what_every_reader_takes_keeps_its_bytes() {
        for text in [
            r#"{ "a" : 1.50, "b":[ ], "c":"\u00e9\ud83d\ude00\\u0000\"", "":null }"#,
            r#"{"n":[-0, 1e307, 0.5e-9999, 123456789012345678901234567890.10]}"#,
            "[]",
        ] {
            assert_eq!(portable(text), Portable { text: text.into(), altered: Vec::new() });
        }
    }

    #[test]
    fn what_some_readers_refuse_is_spelled_differently_and_named() {
        for (text, expected, altered) in [
            (r#"{"a":"x\u0000y"}"#, r#"{"a":"x\ufffdy"}"#, &["/a"][..]),
            (
                r#"{"a":"\ud83d","b":"\ude00\ud83d","c":"\ud83d\u0041"}"#,
                r#"{"a":"\ufffd","b":"\ufffd\ufffd","c":"\ufffd\u0041"}"#,
                &["/a", "/b", "/c"],
            ),
            (r#"{"a":"\\\u0000\\u0000"}"#, r#"{"a":"\\\ufffd\\u0000"}"#, &["/a"]),
            (r#"{"a":[1e999999, {"b/c~":1e309}]}"#, r#"{"a":["1e999999",{"b/c~":"1e309"}]}"#, &["/a/0", "/a/1/b~1c~0"]),
            (
                r#"{"a":1e-999999,"b":0e99999999999999999999}"#,
                r#"{"a":"1e-999999","b":"0e99999999999999999999"}"#,
                &["/a", "/b"],
            ),
            (r#"{"\u0000a":1}"#, r#"{"\ufffda":1}"#, &["/\u{fffd}a"]),
            (r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"b":2,"\u0061":3}"#, &["/a"]),
            (r#"{"\ud800":1,"\ud801":"\udc00"}"#, r#"{"\ufffd":"\ufffd"}"#, &["/\u{fffd}"]),
        ] {
            let altered = altered.iter().map(|path| (*path).to_owned()).collect();
            assert_eq!(portable(text), Portable { text: expected.into(), altered }, "{text}");
        }
    }

    #[test]
    fn the_names_of_what_is_altered_are_bounded() {
        let text = format!("[{}0]", "\"\\u0000\",".repeat(1_000));
        assert_eq!(portable(&text).altered.len(), MAX_NAMED);
    }

    fn json() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-z ж😀]{0,3}",
            Just("\\u0000".to_owned()),
            "\\\\u[dD][89abcdefAB][0-9a-f]{2}",
            Just("\\ud83d\\ude00".to_owned()),
            Just("\\\\".to_owned()),
            Just("\\\"".to_owned()),
            Just("\\/".to_owned()),
        ];
        let string = prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()));
        let number = "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,7})?";
        let leaf = prop_oneof![string.clone(), number, Just("null".to_owned()), Just("true".to_owned())];
        leaf.prop_recursive(5, 40, 5, move |inner| {
            let member = (string.clone(), inner.clone()).prop_map(|(key, value)| format!("{key} : {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(" ,"))),
                prop::collection::vec(member, 0..5).prop_map(|members| format!("{{ {} }}", members.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_item_that_is_taken_becomes_json_that_is_read(json in json()) {
            let item = format!("{{\"id\":{json}}}");
            prop_assume!(Members::parse(&item).is_ok());
            let Portable { text, altered } = portable(&item);
            let read: Result<Value, _> = serde_json::from_str(&text);
            prop_assert!(read.is_ok(), "{item} became {text}: {read:?}");
            prop_assert_eq!(altered.is_empty(), text == item);
            for path in &altered {
                prop_assert!(read.as_ref().is_ok_and(|read| read.pointer(path).is_some()), "{}: {}", path, text);
            }
            prop_assert!(!text.contains("\\u0000") || text.contains("\\\\u0000"));
            prop_assert_eq!(portable(&text).altered, Vec::<String>::new());
        }
    }

    #[test]
    fn the_deepest_item_is_no_trouble() {
        let deepest = MAX_DEPTH - 1;
        let text = format!("{{\"a\":{}\"\\u0000\"{}}}", "[".repeat(deepest), "]".repeat(deepest));
        assert!(Members::parse(&text).is_ok());
        assert_eq!(portable(&text).altered, [format!("/a{}", "/0".repeat(deepest))]);
    }
}

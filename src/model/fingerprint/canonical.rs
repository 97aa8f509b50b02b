//! One byte form for everything that JSON can spell in several ways.
//!
//! The form is never read back and never stored, only compared and hashed. Texts carry their length and every kind of
//! value a tag, so different values cannot run together into equal bytes. It is free to change: a changed form makes
//! every row be compared once more, nothing else.

use std::borrow::Cow;

use twox_hash::XxHash3_64;

use super::members::{MAX_DEPTH, Member, split};
use super::split::elements;
use crate::model::Amount;

/// XXH3 with 64 bits, in the type that every database has.
pub(super) fn hash(bytes: &[u8]) -> i64 {
    XxHash3_64::oneshot(bytes).cast_signed()
}

/// Whether two JSON values say the same.
pub(super) fn same(a: &str, b: &str) -> bool {
    let form = |text: &str| {
        let mut out = Vec::with_capacity(text.len() + 16);
        write_value(text, MAX_DEPTH, &mut out);
        out
    };
    a == b || form(a) == form(b)
}

/// Appends an object, `levels` deep; what lies deeper counts by its text.
pub(super) fn write_members(members: &[Member<'_>], levels: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    for member in members {
        write_chunk(b'k', &member.key, out);
        write_value(member.value, levels.saturating_sub(1), out);
    }
    out.push(b'}');
}

fn write_value(text: &str, levels: usize, out: &mut Vec<u8>) {
    match text.as_bytes().first() {
        Some(b'"') => match decode_string(text) {
            Some(said) => write_chunk(b's', &said, out),
            None => write_chunk(b'?', text, out),
        },
        Some(b'-' | b'0'..=b'9') => write_chunk(b'n', &canonical_number(text), out),
        Some(b'{') if levels > 0 => match split(text) {
            Some((members, _)) => write_members(&members, levels, out),
            None => write_chunk(b'?', text, out),
        },
        Some(b'[') if levels > 0 => match elements(text) {
            Some(elements) => {
                out.push(b'[');
                for element in elements {
                    write_value(element, levels - 1, out);
                }
                out.push(b']');
            }
            None => write_chunk(b'?', text, out),
        },
        _ => write_chunk(b'?', text, out),
    }
}

fn write_chunk(tag: u8, text: &str, out: &mut Vec<u8>) {
    let [a, b, c, d, e, f, g, h] = (text.len() as u64).to_le_bytes();
    out.extend_from_slice(&[tag, a, b, c, d, e, f, g, h]);
    out.extend_from_slice(text.as_bytes());
}

/// What the text of a JSON string says; nothing if it is no string or holds half a surrogate pair.
#[must_use]
pub fn decode_string(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    // Looking at every byte is quicker than stopping at the first: it takes many at a time.
    let escaped = inner.bytes().fold(false, |escaped, byte| escaped | (byte == b'\\'));
    if escaped { serde_json::from_str(text).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// What the text of a JSON string says, with U+FFFD for each half of a surrogate pair; `None` if it is no string.
#[must_use]
pub fn decode_lossy(text: &str) -> Option<Cow<'_, str>> {
    if let Some(said) = decode_string(text) {
        return Some(said);
    }
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let length = match (code_unit(escape), escape.get(6..).and_then(code_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                whole.push_str("\\ufffd");
                rest = escape.get(6..)?;
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 2,
        };
        let (kept, after) = escape.split_at_checked(length)?;
        whole.push_str(kept);
        rest = after;
    }
    whole.push_str(rest);
    serde_json::from_str(&whole).ok().map(Cow::Owned)
}

/// The UTF-16 code unit of the escape that the text begins with: `\u` and four hexadecimal digits.
pub(in crate::model) fn code_unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

fn canonical_number(text: &str) -> Cow<'_, str> {
    if is_canonical(text) {
        return Cow::Borrowed(text);
    }
    text.parse::<Amount>().map_or(Cow::Borrowed(text), |amount| Cow::Owned(amount.into()))
}

/// Whether a JSON number is surely spelled as [`Amount`] would spell it, which spares the usual number an allocation.
fn is_canonical(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    plain && text != "-0" && (!text.contains('.') || !text.ends_with('0'))
}

//! One byte form for everything that JSON can spell in several ways.
//!
//! The form is never read back and never stored, only compared and hashed. Texts carry their length and every kind of
//! value a tag, so different values cannot run together into equal bytes. It is free to change: a changed form makes
//! every row be compared once more, nothing else.

use std::borrow::Cow;

use twox_hash::XxHash3_64;

use super::members::{MAX_DEPTH, Member, Members, split};
use super::split::elements;
use super::text::decode_string;
use crate::model::Amount;

/// XXH3 with 64 bits, in the type that every database has.
pub(super) fn hash(bytes: &[u8]) -> i64 {
    XxHash3_64::oneshot(bytes).cast_signed()
}

impl Members<'_> {
    /// What [`super::fingerprint`] says of the object's text.
    #[must_use]
    pub fn fingerprint(&self) -> i64 {
        let size: usize = self.0.iter().map(|member| member.key.len() + member.value.len() + 24).sum();
        let mut out = Vec::with_capacity(size);
        write_members(&self.0, MAX_DEPTH, &mut out);
        hash(&out)
    }

    /// The keys whose values differ from those in `new`, or that only one of the two has; sorted.
    #[must_use]
    pub fn changed<'s>(&'s self, new: &'s Members<'_>) -> Vec<&'s str> {
        let differs = |key: &str, value: &str| !new.get(key).is_some_and(|other| same(value, other));
        let added = new.iter().filter(|(key, _)| self.get(key).is_none()).map(|(key, _)| key);
        let mut changed: Vec<&str> =
            self.iter().filter(|(key, value)| differs(key, value)).map(|(key, _)| key).chain(added).collect();
        changed.sort_unstable();
        changed
    }
}

/// Whether two JSON values say the same.
fn same(a: &str, b: &str) -> bool {
    let form = |text: &str| {
        let mut out = Vec::with_capacity(text.len() + 16);
        write_value(text, MAX_DEPTH, &mut out);
        out
    };
    a == b || form(a) == form(b)
}

/// Appends an object, `levels` deep; what lies deeper counts by its text.
fn write_members(members: &[Member<'_>], levels: usize, out: &mut Vec<u8>) {
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

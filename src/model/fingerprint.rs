//! Tells whether two readings of one item say the same, however they are spelled.
//!
//! A server may list an item today as `{"amount":1.10,"id":"a"}` and tomorrow as `{"id": "a", "amount": 11e-1}`. Nothing
//! happened in between, so nothing may be stored or told. A fingerprint therefore covers what the text means: the order
//! of keys, white space, escapes in strings and the spelling of numbers do not count, at any depth. Numbers never become
//! floats; those beyond the range of [`crate::model::Amount`] count by their text.

mod canonical;
mod members;
pub(super) mod split;
pub(super) mod text;

pub use members::{MAX_DEPTH, Malformed, Members};
pub use text::{decode_lossy, decode_string};

/// A 64-bit hash (XXH3) of what the JSON object `raw` says. A text that is no object is hashed as it stands.
#[must_use]
pub fn fingerprint(raw: &str) -> i64 {
    Members::parse(raw).map_or_else(|_| canonical::hash(raw.as_bytes()), |members| members.fingerprint())
}

#[cfg(test)]
mod tests;

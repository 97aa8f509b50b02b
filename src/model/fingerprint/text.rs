//! What the text of a JSON string says.

use std::borrow::Cow;

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

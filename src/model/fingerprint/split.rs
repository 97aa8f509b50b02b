//! Takes apart JSON that serde_json has found valid. Checking it once more would cost more than all the rest.
//!
//! Whoever calls has the text from a [`RawValue`], or from inside of one, and that is what makes it valid. Another text
//! could not do harm here: it would only come apart in odd places.
//!
//! [`RawValue`]: serde_json::value::RawValue

/// One JSON value and how many levels of objects and arrays it has.
pub(in crate::model) struct Value<'a> {
    pub(in crate::model) text: &'a str,
    pub(in crate::model) depth: usize,
}

/// The members of an object as they stand: the text of each key, quotes included, and its value.
pub(in crate::model) fn members(object: &str) -> Option<impl Iterator<Item = (&str, Value<'_>)>> {
    let mut rest = Rest::inside(object, b'{')?;
    Some(std::iter::from_fn(move || {
        let key = rest.next()?;
        Some((key.text, rest.next()?))
    }))
}

/// The elements of an array.
pub(in crate::model) fn elements(array: &str) -> Option<impl Iterator<Item = &str>> {
    let mut rest = Rest::inside(array, b'[')?;
    Some(std::iter::from_fn(move || rest.next().map(|value| value.text)))
}

/// What was not taken off yet.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn inside(text: &'a str, bracket: u8) -> Option<Self> {
        (text.as_bytes().first() == Some(&bracket)).then_some(Self { text, at: 1 })
    }

    /// The next key, value or element, past whatever stands before it.
    fn next(&mut self) -> Option<Value<'a>> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') = bytes.get(self.at) {
            self.at += 1;
        }
        let start = self.at;
        let mut depth = 0;
        self.at = match bytes.get(start)? {
            b'"' => string_end(bytes, start),
            b'{' | b'[' => {
                let (end, deepest) = nested_end(bytes, start);
                depth = deepest;
                end
            }
            b'}' | b']' => return None,
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                bytes.get(start..)?.iter().position(ends).map_or(bytes.len(), |length| start + length)
            }
        };
        Some(Value { text: self.text.get(start..self.at)?, depth })
    }
}

/// Where the object or array that begins at `start` ends, and how many levels it has.
fn nested_end(bytes: &[u8], start: usize) -> (usize, usize) {
    let (mut at, mut open, mut deepest) = (start, 0_usize, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' => {
                open -= 1;
                if open == 0 {
                    return (at + 1, deepest);
                }
            }
            _ => {}
        }
        at += 1;
    }
    (bytes.len(), deepest)
}

/// Where the string whose first quote is at `start` ends.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let eight = u64::from_le_bytes(*eight);
            let found = zero_bytes(eight ^ QUOTES) | zero_bytes(eight ^ BACKSLASHES);
            if found != 0 {
                at += (found.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);

/// Has bits set in the bytes that are zero; of the others only in such as come after one.
const fn zero_bytes(eight: u64) -> u64 {
    eight.wrapping_sub(ONES) & !eight & HIGH_BITS
}

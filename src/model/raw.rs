//! The text of a listed item as a part of the answer that it came in: however many items and copies of them there are, the
//! answer is in memory once, for as long as one of them is.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A text that may be a part of a larger one. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Raw {
    whole: Arc<String>,
    range: Range<usize>,
}

impl Raw {
    /// A slice of `whole`; all of it if `part` is none of its slices.
    #[must_use]
    pub fn part(whole: &Arc<String>, part: &str) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        let range = start..start.wrapping_add(part.len());
        let range = if whole.get(range.clone()) == Some(part) { range } else { 0..whole.len() };
        Self { whole: Arc::clone(whole), range }
    }
}

impl Deref for Raw {
    type Target = str;

    fn deref(&self) -> &str {
        self.whole.get(self.range.clone()).unwrap_or_default()
    }
}

impl From<String> for Raw {
    fn from(text: String) -> Self {
        Self { range: 0..text.len(), whole: Arc::new(text) }
    }
}

impl From<&str> for Raw {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Raw {}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_shares_the_text_that_it_is_of() {
        let whole = Arc::new(r#"[{"id":"é"},{}]"#.to_owned());
        let part = Raw::part(&whole, &whole[1..12]);
        assert_eq!((&*part, part.as_ptr()), (r#"{"id":"é"}"#, whole[1..].as_ptr()));
        assert_eq!(part, Raw::from(r#"{"id":"é"}"#));
        assert_eq!(format!("{part:?}"), format!("{:?}", &*part));
        assert_eq!(&*Raw::part(&whole, ""), &**whole);
        assert_eq!(&*Raw::part(&whole, "another"), &**whole);
    }
}

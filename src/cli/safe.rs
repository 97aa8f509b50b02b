//! Text from elsewhere, made fit to be shown: an external id may hold anything printable, an answer anything at all.
//!
//! Escape sequences move a terminal's cursor and set its title; bidirectional controls and invisible characters make one
//! text look like another. Both are shown as their code, `\u{202e}`. Joiners stay: emoji are made with them.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with every character that would act on a terminal, or hide in it, replaced by its code.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.chars().any(acts) {
        Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 8), |mut safe, char| {
            if acts(char) {
                safe.extend(char.escape_unicode());
            } else {
                safe.push(char);
            }
            safe
        }))
    } else {
        Cow::Borrowed(text)
    }
}

/// As [`text`], for a text that may have several lines.
pub(super) fn lines(lines: &str) -> String {
    lines.lines().map(text).collect::<Vec<_>>().join("\n")
}

/// The same JSON document, with such characters spelled in JSON's own way. They can only stand inside strings; white space
/// between the values stays.
pub(super) fn json(document: &str) -> Cow<'_, str> {
    let is_space = |char| matches!(char, '\n' | '\t');
    if !document.chars().any(|char| acts(char) && !is_space(char)) {
        return Cow::Borrowed(document);
    }
    let mut safe = String::with_capacity(document.len() + 16);
    for char in document.chars() {
        match char {
            '\r' => safe.push(' '),
            char if acts(char) && !is_space(char) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    write!(safe, "\\u{unit:04x}").ok();
                }
            }
            char => safe.push(char),
        }
    }
    Cow::Owned(safe)
}

fn acts(char: char) -> bool {
    char.is_control()
        || matches!(char,
            // Direction: marks, embeddings, overrides, isolates.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Invisible: soft hyphen, zero-width space, word joiner and invisible operators, byte order mark, tags.
            | '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
            // Line breaks that are no control characters.
            | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown_as_its_code() {
        for (raw, shown) in [
            ("user-1", "user-1"),
            ("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
            ("a\u{202e}b\u{9b}31m", r"a\u{202e}b\u{9b}31m"),
            ("two\nlines\r", r"two\u{a}lines\u{d}"),
            ("ж👩‍💻 é", "ж👩‍💻 é"),
        ] {
            assert_eq!(text(raw), shown);
        }
        assert_eq!(lines("a\x1b\nb"), "a\\u{1b}\nb");
    }

    #[test]
    fn json_stays_the_same_document() {
        let document = "{\n\t\"a\": \"x\u{202e}\u{7f}\u{e0041}\",\r\n \"b\": 1.50\n}";
        let shown = json(document);
        assert!(!shown.chars().any(|char| acts(char) && char != '\n' && char != '\t'));
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(&shown), parse(document));
        assert!(matches!(json("{\n}"), Cow::Borrowed(_)));
    }
}

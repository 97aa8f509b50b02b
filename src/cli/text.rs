//! Foreign text on a terminal: harmless, and of a known width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text without what could take over the terminal or turn its direction: each such character becomes `·`.
pub(super) fn plain(text: &str) -> String {
    let is_unsafe = |char: char| {
        char.is_control() || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|char| if is_unsafe(char) { '·' } else { char }).collect()
}

/// The text in at most `width` columns; `…` stands for what was cut.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let kept = text.chars().take_while(|char| {
        used += char.width().unwrap_or(0);
        used <= width
    });
    let mut cut: String = kept.collect();
    cut.push('…');
    cut
}

/// The text with spaces behind it up to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_take_over_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{202e}c\nd"), "a·[2Jb·c·d");
        assert_eq!(plain("Жанна 👩‍💻"), "Жанна 👩‍💻");
    }

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(fit("deposit", 7), "deposit");
        assert_eq!(fit("deposits", 7), "deposi…");
        assert_eq!(fit("漢字漢字", 5), "漢字…");
        assert_eq!(pad("漢字", 6), "漢字  ");
    }
}

//! Text of a known width; see [`super::safe`] for text that may do harm.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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

/// The text in lines of at most `width` columns, broken between words; a longer word has a line of its own. Spaces within a
/// line stay as they are.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| line.width() + 1 + word.width() <= width) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            // Where a line is broken, none are left.
            None if word.is_empty() => {}
            None => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| line.trim_end_matches(' ').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("漢字 漢字 averylongword x", 9), ["漢字 漢字", "averylongword", "x"]);
        assert_eq!(wrap("", 7), Vec::<String>::new());
        assert_eq!(wrap("a  b   c d", 5), ["a  b", "c d"], "spaces stay, but for those where it is broken");
    }

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(fit("deposit", 7), "deposit");
        assert_eq!(fit("deposits", 7), "deposi…");
        assert_eq!(fit("漢字漢字", 5), "漢字…");
        assert_eq!(pad("漢字", 6), "漢字  ");
    }
}

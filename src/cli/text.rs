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

/// The text in one line: line breaks, with the blanks around them, are a space.
pub(super) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The text with spaces behind it up to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

/// The text in lines of at most `width` columns, broken between words; a longer word has a line of its own. Spaces within a
/// line stay as they are, and styles take no room.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    broken(text, width, width)
}

/// As [`wrap`], with all lines but the first indented.
pub(super) fn hanging(text: &str, width: usize, indent: usize) -> Vec<String> {
    let lines = broken(text, width, width.saturating_sub(indent));
    let line = |(at, line): (usize, String)| if at == 0 { line } else { format!("{:indent$}{line}", "") };
    lines.into_iter().enumerate().map(line).collect()
}

/// The lines of a text, of which the first has room for `first` columns, and the others for `rest`.
fn broken(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if text.is_empty() {
        return lines;
    }
    for word in text.split(' ') {
        let width = if lines.len() > 1 { rest } else { first };
        let has_room = |line: &&mut String| shown_width(line) + 1 + shown_width(word) <= width;
        if let Some(line) = lines.last_mut().filter(has_room) {
            line.push(' ');
            line.push_str(word);
        } else if !word.is_empty() || lines.is_empty() {
            // Where a line is broken, no spaces are left.
            lines.push(word.to_owned());
        }
    }
    lines.iter().map(|line| line.trim_end_matches(' ').to_owned()).collect()
}

/// How many columns a terminal takes for it; styles take none.
pub(super) fn shown_width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
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
    fn what_does_not_fit_hangs_below() {
        let text = "  hint: repair  the receiver";
        assert_eq!(hanging(text, 17, 8), ["  hint: repair", "        the", "        receiver"]);
        assert_eq!(hanging(text, 80, 8), [text], "spaces before it stay");
        let styled = "\u{1b}[31mone two\u{1b}[0m three";
        assert_eq!(hanging(styled, 13, 2), [styled], "styles take no room");
        assert_eq!(hanging("", 13, 2), Vec::<String>::new());
    }

    #[test]
    fn line_breaks_are_spaces() {
        assert_eq!(one_line("{\n  \"error\": \"no  such user\"\r\n}\n\n"), "{ \"error\": \"no  such user\" }");
        assert_eq!(one_line("\n \n"), "");
    }

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(fit("deposit", 7), "deposit");
        assert_eq!(fit("deposits", 7), "deposi…");
        assert_eq!(fit("漢字漢字", 5), "漢字…");
        assert_eq!(pad("漢字", 6), "漢字  ");
    }
}

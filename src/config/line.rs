//! In which line of a YAML text a setting stands.
//!
//! The parser keeps no positions, so this reads the block style of configuration files by its indentation: keys, list
//! items, text blocks and brackets over several lines. What is written inside brackets is found as the line on which
//! they open. Anything unusual (anchors, keys in quotes with escapes, several keys on a line) gives no line rather than
//! a wrong one.

use crate::config::tree::{Step, Way};

/// The line, from 1, on which the value at the end of the way begins.
pub(super) fn of(text: &str, way: &Way) -> Option<usize> {
    let mut trail = Trail::default();
    let mut best = None;
    for (number, content) in Content::of(text) {
        for entry in entries(content) {
            trail.enter(entry);
            if trail.steps() == way.0 {
                return Some(number);
            }
            if trail.opens_brackets && way.0.starts_with(&trail.steps()) {
                best = Some(number);
            }
        }
    }
    best
}

/// Where the reader is: the open keys and list items, each with its indentation.
#[derive(Default)]
struct Trail {
    open: Vec<(usize, Step)>,
    opens_brackets: bool,
}

impl Trail {
    fn enter(&mut self, entry: Entry<'_>) {
        let mut item = 0;
        // A list may stand as deep as the key that it belongs to, so an item closes keys only if they are deeper.
        while let Some((indent, step)) = self.open.last() {
            match (step, &entry.name) {
                (Step::Index(index), None) if *indent == entry.indent => item = index + 1,
                (Step::Key(_), None) if *indent <= entry.indent => break,
                _ if *indent < entry.indent => break,
                _ => {}
            }
            self.open.pop();
        }
        let step = entry.name.map_or(Step::Index(item), |name| Step::Key(name.to_owned()));
        self.open.push((entry.indent, step));
        self.opens_brackets = entry.opens_brackets;
    }

    fn steps(&self) -> Vec<Step> {
        self.open.iter().map(|(_, step)| step.clone()).collect()
    }
}

/// A key, or a list item where `name` is absent.
struct Entry<'a> {
    indent: usize,
    name: Option<&'a str>,
    opens_brackets: bool,
}

/// The entries of one line: `- name: x` is an item and, deeper, a key.
fn entries(line: &str) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut rest = line.trim_start_matches(' ');
    let mut indent = line.len() - rest.len();
    while let Some(after) = rest.strip_prefix('-').filter(|after| after.is_empty() || after.starts_with(' ')) {
        let next = after.trim_start_matches(' ');
        entries.push(Entry { indent, name: None, opens_brackets: next.starts_with(['{', '[']) });
        indent += rest.len() - next.len();
        rest = next;
    }
    if let Some((name, value)) = key(rest) {
        entries.push(Entry { indent, name: Some(name), opens_brackets: value.trim_start().starts_with(['{', '[']) });
    }
    entries
}

fn key(text: &str) -> Option<(&str, &str)> {
    if let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let (name, rest) = text.get(1..)?.split_once(quote)?;
        return rest.trim_start().strip_prefix(':').map(|value| (name, value));
    }
    if text.starts_with(['{', '[', '#', '&', '*', '?', '|', '>']) {
        return None;
    }
    match text.split_once(": ") {
        Some((name, value)) => Some((name.trim_end(), value)),
        None => text.trim_end().strip_suffix(':').map(|name| (name, "")),
    }
}

/// The lines that carry structure: no blanks, no comments, no insides of text blocks or brackets.
struct Content<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    /// The indentation of the line that opened a text block: deeper lines belong to it.
    block: Option<usize>,
    /// How many brackets are open.
    depth: usize,
}

impl<'a> Content<'a> {
    fn of(text: &'a str) -> Self {
        Self { lines: text.lines().enumerate(), block: None, depth: 0 }
    }
}

impl<'a> Iterator for Content<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (at, line) = self.lines.next()?;
            let line = without_comment(line);
            let content = line.trim_start_matches(' ');
            let indent = line.len() - content.len();
            if content.is_empty() || matches!(content, "---" | "...") || self.block.is_some_and(|block| indent > block)
            {
                continue;
            }
            self.block = None;
            let inside = self.depth > 0;
            self.depth = brackets(content, self.depth);
            if inside {
                continue;
            }
            let opens_block = content.rsplit(' ').next().is_some_and(|word| {
                word.starts_with(['|', '>']) && word.chars().skip(1).all(|mark| matches!(mark, '+' | '-' | '1'..='9'))
            });
            self.block = opens_block.then_some(indent);
            return Some((at + 1, line));
        }
    }
}

/// Brackets that are open after the line, quoted ones left out.
fn brackets(line: &str, before: usize) -> usize {
    unquoted(line).fold(before, |depth, (_, letter)| match letter {
        '{' | '[' => depth + 1,
        '}' | ']' => depth.saturating_sub(1),
        _ => depth,
    })
}

fn without_comment(line: &str) -> &str {
    let mut after_space = true;
    for (at, letter) in unquoted(line) {
        if letter == '#' && after_space {
            return line.get(..at).unwrap_or(line).trim_end();
        }
        after_space = letter == ' ' || letter == '\t';
    }
    line.trim_end()
}

/// The characters outside quotes. A quote opens only where a value may begin, so `don't` does not.
fn unquoted(line: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut open = None;
    let mut before = ' ';
    line.char_indices().filter(move |(_, letter)| {
        let opens = matches!(letter, '"' | '\'') && matches!(before, ' ' | '[' | '{' | ',');
        let escaped = before == '\\' && open == Some('"');
        before = *letter;
        match open {
            Some(quote) => {
                if *letter == quote && !escaped {
                    open = None;
                }
                false
            }
            None if opens => {
                open = Some(*letter);
                false
            }
            None => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a file
database:
  url: \"postgres://a#b\" # here
  schema: null

callbacks:
  defaults: { timeout: 5s,
    retry: { jitter: 0.2 } }
  endpoints:
    shop:
      body: |
        url: not a key
        - nor: this
      url: https://shop
      events:
      - a
      - \"b\"
      secrets:
        - env: A
        - { file: x }
    'till':
      url: x
log:
  level: info
";

    #[test]
    fn keys_and_items_are_found_by_indentation() {
        for (key, line) in [
            ("database", Some(2)),
            ("database.url", Some(3)),
            ("callbacks.defaults", Some(7)),
            ("callbacks.defaults.timeout", Some(7)),
            ("callbacks.defaults.retry.jitter", Some(7)),
            ("callbacks.endpoints.shop.body", Some(11)),
            ("callbacks.endpoints.shop.url", Some(14)),
            ("callbacks.endpoints.shop.events", Some(15)),
            ("callbacks.endpoints.shop.events[0]", Some(16)),
            ("callbacks.endpoints.shop.events[1]", Some(17)),
            ("callbacks.endpoints.shop.secrets[0].env", Some(19)),
            ("callbacks.endpoints.shop.secrets[1].file", Some(20)),
            ("callbacks.endpoints.till.url", Some(22)),
            ("log.level", Some(24)),
            ("log.format", None),
            ("callbacks.endpoints.shop.events[2]", None),
            ("callbacks.endpoints.shop.body.url", None),
        ] {
            assert_eq!(of(TEXT, &Way::parse(key)), line, "{key}");
        }
    }
}

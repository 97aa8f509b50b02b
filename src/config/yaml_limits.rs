//! YAML that may be parsed: neither too deep nor too large.
//!
//! The parser goes down by recursion, and copies what an alias stands for, so a small text can end the stack or the memory.
//! Here the text is gone through event by event first, and what it would become is counted.

use std::collections::HashMap;

use config::{FileFormat, Format};
use yaml_rust2::parser::{Event, Parser};

use crate::config::tree::Table;

/// Far deeper and larger than any configuration.
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 50_000;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Why a text is no table.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// More than can be taken: in which line, and what.
    TooMuch { line: usize, problem: String },
    /// What the parser says.
    Malformed(String),
}

/// The table of a text. Its values remember the origin.
pub(super) fn parse(origin: Option<&String>, text: &str) -> Result<Table, Unreadable> {
    measure(text)?;
    FileFormat::Yaml.parse(origin, text).map_err(|error| Unreadable::Malformed(error.to_string()))
}

/// What a node comes to with everything in it.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Size {
    const fn of(bytes: usize) -> Self {
        Self { nodes: 1, bytes, depth: 1 }
    }

    fn add(&mut self, inner: Self) {
        self.nodes = self.nodes.saturating_add(inner.nodes);
        self.bytes = self.bytes.saturating_add(inner.bytes);
        self.depth = self.depth.max(inner.depth + 1);
    }
}

fn measure(text: &str) -> Result<(), Unreadable> {
    let mut parser = Parser::new(text.chars());
    let mut open: Vec<(usize, Size)> = Vec::new();
    let mut anchors = HashMap::new();
    loop {
        let (event, mark) = match parser.next_token() {
            Ok(next) => next,
            Err(error) if error.to_string().contains("recursion limit") => {
                let problem = format!("is nested more than {MAX_DEPTH} deep");
                return Err(Unreadable::TooMuch { line: error.marker().line(), problem });
            }
            // What is no YAML is for the parser to say.
            Err(_) => break,
        };
        let too_much = |problem: String| Unreadable::TooMuch { line: mark.line(), problem };
        let (anchor, size) = match event {
            Event::StreamEnd => break,
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                open.push((anchor, Size::of(0)));
                if open.len() > MAX_DEPTH {
                    return Err(too_much(format!("is nested more than {MAX_DEPTH} deep")));
                }
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(closed) => closed,
                None => break,
            },
            Event::Scalar(text, _, anchor, _) => (anchor, Size::of(text.len())),
            Event::Alias(anchor) => (0, anchors.get(&anchor).copied().unwrap_or(Size::of(0))),
            _ => continue,
        };
        if anchor > 0 {
            anchors.insert(anchor, size);
        }
        let around = open.len();
        let total = match open.last_mut() {
            Some((_, around)) => {
                around.add(size);
                *around
            }
            None => size,
        };
        if total.nodes > MAX_NODES || total.bytes > MAX_BYTES {
            return Err(too_much(format!(
                "has more than {MAX_NODES} values or {MAX_BYTES} bytes, aliases written out"
            )));
        }
        if around + size.depth > MAX_DEPTH {
            return Err(too_much(format!("is nested more than {MAX_DEPTH} deep, aliases written out")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        match parse(None, text).unwrap_err() {
            Unreadable::TooMuch { problem, .. } => problem,
            Unreadable::Malformed(message) => message,
        }
    }

    #[test]
    fn what_a_small_text_would_become_is_counted_first() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 1_000].join(", "));
        let mut deep = "a0: &a0 [x]\n".to_owned();
        for level in 1..100 {
            deep += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        for (text, expected) in [
            ("- ".repeat(100_000), "is nested more than 64 deep"),
            (format!("a: {}", "[".repeat(100_000)), "is nested more than 64 deep"),
            (format!("a: {}", "{b: ".repeat(100_000)), "is nested more than 64 deep"),
            (format!("a: [{}]", "x, ".repeat(60_000)), "has more than 50000 values"),
            (laughs, "has more than 50000 values"),
            (long, "has more than 50000 values or 4194304 bytes"),
            (deep, "is nested more than 64 deep, aliases written out"),
        ] {
            let problem = problem(&text);
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn an_alias_stands_for_its_value() {
        let table = parse(None, "a: &a [1, 2]\nb: *a\n").unwrap();
        assert_eq!(table["a"].to_string(), table["b"].to_string());
        assert!(matches!(parse(None, "a: [*]"), Err(Unreadable::Malformed(_))));
    }
}

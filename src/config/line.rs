//! The line of a YAML text on which a setting begins, by the positions that the parser gives.

use yaml_rust2::parser::{Event, Parser};

use crate::config::tree::{Step, Way};

/// The line, from 1, on which the key or list item at the end of the way begins. What lies behind an alias is on the line of
/// the alias.
pub(super) fn of(text: &str, way: &Way) -> Option<usize> {
    if way.0.is_empty() {
        return None;
    }
    let mut parser = Parser::new(text.chars());
    let mut open: Vec<Collection> = Vec::new();
    loop {
        let (event, mark) = parser.next_token().ok()?;
        match event {
            Event::StreamEnd => return None,
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                value_ends(&mut open);
                continue;
            }
            Event::Scalar(..) | Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(_) => {}
            _ => continue,
        }
        let is_key = if let (Some(Collection::Mapping { key: key @ None }), Event::Scalar(text, ..)) =
            (open.last_mut(), &event)
        {
            *key = Some(text.clone());
            true
        } else {
            false
        };
        let here = steps(&open);
        if here == way.0 || (matches!(event, Event::Alias(_)) && way.0.starts_with(&here)) {
            return Some(mark.line());
        }
        match event {
            Event::MappingStart(..) => open.push(Collection::Mapping { key: None }),
            Event::SequenceStart(..) => open.push(Collection::Sequence { index: 0 }),
            _ if is_key => {}
            _ => value_ends(&mut open),
        }
    }
}

/// A mapping or sequence that is being read.
enum Collection {
    Mapping {
        /// The key whose value comes next; none where a key comes next.
        key: Option<String>,
    },
    Sequence {
        index: usize,
    },
}

fn value_ends(open: &mut [Collection]) {
    match open.last_mut() {
        // A key that is itself a mapping or sequence is no setting: its value goes by an empty name.
        Some(Collection::Mapping { key }) => *key = if key.is_some() { None } else { Some(String::new()) },
        Some(Collection::Sequence { index }) => *index += 1,
        None => {}
    }
}

fn steps(open: &[Collection]) -> Vec<Step> {
    let step = |collection: &Collection| match collection {
        Collection::Mapping { key } => key.clone().map(Step::Key),
        Collection::Sequence { index } => Some(Step::Index(*index)),
    };
    open.iter().filter_map(step).collect()
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
    \"a\\u0062c\": &one { url: y,
      events: [a,
        b] }
    other: *one
log:
  level: info
";

    #[test]
    fn keys_and_items_are_found_where_they_begin() {
        for (key, line) in [
            ("database", Some(2)),
            ("database.url", Some(3)),
            ("callbacks.defaults", Some(7)),
            ("callbacks.defaults.timeout", Some(7)),
            ("callbacks.defaults.retry.jitter", Some(8)),
            ("callbacks.endpoints.shop.body", Some(11)),
            ("callbacks.endpoints.shop.url", Some(14)),
            ("callbacks.endpoints.shop.events", Some(15)),
            ("callbacks.endpoints.shop.events[0]", Some(16)),
            ("callbacks.endpoints.shop.events[1]", Some(17)),
            ("callbacks.endpoints.shop.secrets[0].env", Some(19)),
            ("callbacks.endpoints.shop.secrets[1].file", Some(20)),
            ("callbacks.endpoints.till.url", Some(22)),
            ("callbacks.endpoints.abc.url", Some(23)),
            ("callbacks.endpoints.abc.events[1]", Some(25)),
            ("callbacks.endpoints.other", Some(26)),
            ("callbacks.endpoints.other.events[1]", Some(26)),
            ("log.level", Some(28)),
            ("log.format", None),
            ("callbacks.endpoints.shop.events[2]", None),
            ("callbacks.endpoints.shop.body.url", None),
        ] {
            assert_eq!(of(TEXT, &Way::parse(key)), line, "{key}");
        }
    }

    #[test]
    fn a_text_that_is_no_yaml_is_found_as_far_as_it_can_be_read() {
        let text = "database:\n  url: x\nlog: [\n";
        assert_eq!(of(text, &Way::parse("database.url")), Some(2));
        assert_eq!(of(text, &Way::parse("server")), None);
    }
}

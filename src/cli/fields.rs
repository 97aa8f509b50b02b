//! One thing in full: a name and its value, on as many lines as it takes.

use std::fmt::Display;

use chrono::{DateTime, Utc};

use super::style::DIM;
use super::table::Cell;
use super::time::{ago, past};
use crate::model::draft::rfc3339;

/// Between the names and the values.
const GAP: usize = 2;

/// The facts of one thing, in the order in which they are told.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    now: DateTime<Utc>,
    fields: Vec<Field>,
}

#[derive(Clone, Debug)]
struct Field {
    name: &'static str,
    cell: Cell,
    /// Whether a long value is wrapped.
    is_wrapped: bool,
}

impl Fields {
    /// `now` is what ages are counted from.
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { now, fields: Vec::new() }
    }

    pub(super) fn cell(mut self, name: &'static str, cell: Cell) -> Self {
        self.fields.push(Field { name, cell, is_wrapped: true });
        self
    }

    pub(super) fn text(self, name: &'static str, text: impl Display) -> Self {
        self.cell(name, Cell::new(text))
    }

    /// A JSON document, which stays one.
    pub(super) fn json(mut self, name: &'static str, document: &str) -> Self {
        self.fields.push(Field { name, cell: Cell::json(document), is_wrapped: false });
        self
    }

    /// Left out if there is nothing to tell.
    pub(super) fn maybe(self, name: &'static str, text: Option<impl Display>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// When something happened, and how long ago that is; left out if there is no such time.
    pub(super) fn time(self, name: &'static str, time: impl Into<Option<DateTime<Utc>>>) -> Self {
        let time: Option<DateTime<Utc>> = time.into();
        let shown = time.map(|time| format!("{} ({})", rfc3339(time), past(time, self.now)));
        self.maybe(name, shown)
    }

    /// When something will happen, and how long from now that is; left out if there is no such time.
    pub(super) fn due(self, name: &'static str, time: Option<DateTime<Utc>>) -> Self {
        let shown = time.map(|time| format!("{} ({})", rfc3339(time), ago(time, self.now)));
        self.maybe(name, shown)
    }

    /// One line for each, and more for what is longer than `room`; those are broken between words.
    pub(super) fn lines(&self, room: Option<usize>) -> Vec<String> {
        let width = self.fields.iter().map(|field| field.name.len()).max().unwrap_or_default();
        let lines = |Field { name, cell, is_wrapped }: &Field| {
            let values = match room.filter(|_| *is_wrapped) {
                Some(room) => cell.wrapped(room.saturating_sub(width + GAP)),
                None => vec![cell.shown()],
            };
            let mut lines = vec![format!("{DIM}{name:<width$}{DIM:#}  {}", values.first().map_or("", String::as_str))];
            lines.extend(values.iter().skip(1).map(|value| format!("{:width$}  {value}", "")));
            lines
        };
        self.fields.iter().flat_map(lines).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_long_value_is_broken_between_words_and_a_document_is_not() {
        let fields = Fields::new(DateTime::UNIX_EPOCH)
            .text("id", "evt_ibk3j2m7zq4cy5e6w7r2t3u4v5@shop")
            .maybe("status", None::<u16>)
            .text("why", "failed once (answered 500 Internal Server Error); the next attempt is at ten")
            .json("body", r#"{"note": "two  words, and more of them than a line has room for"}"#);
        let plain = |room| {
            let lines = fields.lines(room);
            lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            plain(Some(50)),
            [
                "id    evt_ibk3j2m7zq4cy5e6w7r2t3u4v5@shop",
                "why   failed once (answered 500 Internal Server",
                "      Error); the next attempt is at ten",
                r#"body  {"note": "two  words, and more of them than a line has room for"}"#,
            ]
        );
        assert_eq!(plain(None).len(), 3);
    }

    #[test]
    fn only_what_is_due_lies_in_the_future() {
        let soon = DateTime::UNIX_EPOCH + TimeDelta::seconds(5);
        let fields = Fields::new(DateTime::UNIX_EPOCH).time("since", soon).due("next", Some(soon)).due("end", None);
        let lines = fields.lines(None);
        let plain: Vec<String> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(plain, ["since  1970-01-01T00:00:05Z (just now)", "next   1970-01-01T00:00:05Z (in 5 s)"]);
    }
}

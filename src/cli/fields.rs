//! One thing in full: a name and a value on each line.

use std::fmt::Display;

use chrono::{DateTime, Utc};

use super::style::DIM;
use super::table::Cell;
use super::time::ago;
use crate::model::draft::rfc3339;

/// The facts of one thing, in the order in which they are told.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    now: DateTime<Utc>,
    fields: Vec<(&'static str, Cell)>,
}

impl Fields {
    /// `now` is what ages are counted from.
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { now, fields: Vec::new() }
    }

    pub(super) fn cell(mut self, name: &'static str, cell: Cell) -> Self {
        self.fields.push((name, cell));
        self
    }

    pub(super) fn text(self, name: &'static str, text: impl Display) -> Self {
        self.cell(name, Cell::new(text))
    }

    /// A JSON document, which stays one.
    pub(super) fn json(self, name: &'static str, document: &str) -> Self {
        self.cell(name, Cell::json(document))
    }

    /// Left out if there is nothing to tell.
    pub(super) fn maybe(self, name: &'static str, text: Option<impl Display>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// A time and its age; left out if there is none.
    pub(super) fn time(self, name: &'static str, time: impl Into<Option<DateTime<Utc>>>) -> Self {
        match time.into() {
            Some(time) => {
                let age = ago(time, self.now);
                self.text(name, format_args!("{} ({age})", rfc3339(time)))
            }
            None => self,
        }
    }

    /// One line for each.
    pub(super) fn lines(&self) -> Vec<String> {
        let width = self.fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let line = |(name, cell): &(&str, Cell)| format!("{DIM}{name:<width$}{DIM:#}  {}", cell.shown());
        self.fields.iter().map(line).collect()
    }
}

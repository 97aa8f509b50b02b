//! Tables for people: aligned columns, fitted to the terminal if there is one.
//!
//! Piped, nothing is cut. Where a terminal has too little room, sentences go below their rows first; then the widest of the
//! flexible columns give way; then optional columns are left out, the last first; only when that is not enough are the
//! others cut. Ids, numbers and sentences are never cut. Widths are those of the characters as a terminal draws them.

use std::fmt::Display;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::safe;
use super::style::{BOLD, DIM};
use super::text::{fit, wrap};

const GAP: usize = 2;
/// How far what is below a row is indented.
const INDENT: usize = 4;
/// No flexible column is cut below this while what is in another column can go below its row.
const ROOMY: usize = 20;
/// No flexible column is cut below this while something else can give way.
const NARROW: usize = 12;
/// Nothing is ever cut below this.
const NARROWEST: usize = 3;

/// What becomes of a column where there is too little room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// It is cut at last.
    Firm,
    /// It is cut first.
    Flexible,
    /// It is never cut.
    Whole,
    /// What does not fit is shown below its row, in full.
    Below,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    fit: Fit,
    is_optional: bool,
    is_right: bool,
}

impl Column {
    /// A column that is shown in full as long as that is possible.
    pub(super) const fn new(title: &'static str) -> Self {
        Self { title, fit: Fit::Firm, is_optional: false, is_right: false }
    }

    /// May be cut to fit.
    pub(super) const fn flexible(self) -> Self {
        Self { fit: Fit::Flexible, ..self }
    }

    /// Never cut, as half an id is none.
    pub(super) const fn whole(self) -> Self {
        Self { fit: Fit::Whole, ..self }
    }

    /// Never cut: what does not fit in the line is shown below it, wrapped. Such columns are the last ones.
    pub(super) const fn below(self) -> Self {
        Self { fit: Fit::Below, ..self }
    }

    /// May be left out to fit.
    pub(super) const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// Aligned to the right, as numbers are, and never cut: it would be another number.
    pub(super) const fn right(self) -> Self {
        Self { is_right: true, ..self }
    }

    /// Whether a cell is in the line of its row, where the column is so wide.
    fn has_room_for(&self, cell: &Cell, width: Option<usize>) -> bool {
        width.is_some_and(|width| self.fit != Fit::Below || cell.width() <= width)
    }
}

/// A text in a table, safe to be shown, and its style.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
    is_absent: bool,
}

impl Cell {
    pub(super) fn new(text: impl Display) -> Self {
        Self { text: safe::text(&text.to_string()).into_owned(), style: Style::new(), is_absent: false }
    }

    /// A JSON document, made safe in JSON's own way.
    pub(super) fn json(document: &str) -> Self {
        Self { text: safe::json(document).into_owned(), style: Style::new(), is_absent: false }
    }

    /// A value that may be absent; a dash keeps the columns of piped output countable.
    pub(super) fn maybe(text: Option<impl Display>) -> Self {
        text.map_or_else(|| Self { is_absent: true, ..Self::new("-").styled(DIM) }, Self::new)
    }

    pub(super) fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// The text with its style, at its full length.
    pub(super) fn shown(&self) -> String {
        let Self { text, style, .. } = self;
        format!("{style}{text}{style:#}")
    }

    /// The text with its style, in lines of at most `width` columns that are broken between words.
    pub(super) fn wrapped(&self, width: usize) -> Vec<String> {
        let style = self.style;
        wrap(&self.text, width).iter().map(|line| format!("{style}{line}{style:#}")).collect()
    }

    fn width(&self) -> usize {
        self.text.width()
    }

    fn fitted(&self, width: usize, column: Column, is_last: bool) -> String {
        let style = self.style;
        let text = fit(&self.text, width);
        let space = " ".repeat(width.saturating_sub(text.width()));
        match (column.is_right, is_last) {
            (true, _) => format!("{space}{style}{text}{style:#}"),
            (false, true) => format!("{style}{text}{style:#}"),
            (false, false) => format!("{style}{text}{style:#}{space}"),
        }
    }
}

/// Rows under a header.
#[derive(Clone, Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column.
    pub(super) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// The lines of the table, none longer than `room` if that can be helped.
    pub(super) fn lines(&self, room: Option<usize>) -> Vec<String> {
        let header: Vec<_> = self.columns.iter().map(|column| Cell::new(column.title).styled(BOLD)).collect();
        let widths = self.widths(room);
        let mut lines = vec![self.line(&header, &widths)];
        for row in &self.rows {
            lines.push(self.line(row, &widths));
            let width = room.unwrap_or(usize::MAX).saturating_sub(INDENT);
            let below = self.columns.iter().zip(row).zip(&widths).filter(|((column, cell), width)| {
                column.fit == Fit::Below && !cell.is_absent && !column.has_room_for(cell, **width)
            });
            let wrapped = below.flat_map(|((_, cell), _)| cell.wrapped(width));
            lines.extend(wrapped.map(|line| format!("{:INDENT$}{line}", "")));
        }
        lines
    }

    /// Whether something is not shown in full where there is this much room.
    pub(super) fn is_cut(&self, room: Option<usize>) -> bool {
        let widths = self.widths(room);
        let cut = |((column, full), width): ((&Column, usize), &Option<usize>)| {
            column.fit != Fit::Below && width.is_none_or(|width| width < full)
        };
        self.columns.iter().zip(self.full()).zip(&widths).any(cut)
    }

    /// What is in the line of a row: all columns but those that are left out, and what goes below.
    fn line(&self, cells: &[Cell], widths: &[Option<usize>]) -> String {
        let columns = self.columns.iter().zip(cells).zip(widths);
        let shown: Vec<_> = columns
            .filter(|((column, cell), width)| column.has_room_for(cell, **width))
            .filter_map(|((column, cell), width)| width.map(|width| (column, cell, width)))
            .collect();
        let fitted = shown
            .iter()
            .enumerate()
            .map(|(at, (column, cell, width))| cell.fitted(*width, **column, at + 1 == shown.len()));
        fitted.collect::<Vec<_>>().join(&" ".repeat(GAP))
    }

    /// The width of each column that shows all of it.
    fn full(&self) -> Vec<usize> {
        let width = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            cells.map(Cell::width).fold(column.title.width(), usize::max)
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    /// The width of each column; none if it is not in the line.
    fn widths(&self, room: Option<usize>) -> Vec<Option<usize>> {
        let mut shown: Vec<_> = self.full().into_iter().map(Some).collect();
        let Some(room) = room else { return shown };
        let is = |at: usize, fit: Fit| self.columns.get(at).is_some_and(|column| column.fit == fit);
        loop {
            let mut arrangements = self.arrangements(&shown);
            for least in [usize::MAX, ROOMY, NARROW] {
                for arrangement in &arrangements {
                    let mut widths = arrangement.clone();
                    if squeeze(&mut widths, room, least, |at| is(at, Fit::Flexible)) {
                        return self.stretched(widths, room);
                    }
                }
            }
            let is_optional = |(column, width): (&Column, &Option<usize>)| column.is_optional && width.is_some();
            let optional = self.columns.iter().zip(&shown).rposition(is_optional);
            if let Some(width) = optional.and_then(|at| shown.get_mut(at)) {
                *width = None;
                continue;
            }
            let mut narrow = arrangements.pop().unwrap_or(shown);
            squeeze(&mut narrow, room, NARROW, |at| is(at, Fit::Flexible));
            let may_give = |at: usize| {
                let is_number = self.columns.get(at).is_some_and(|column| column.is_right);
                !is_number && (is(at, Fit::Firm) || is(at, Fit::Flexible))
            };
            let mut narrowest = narrow.clone();
            // Where even that does not help, nothing is won by it.
            return if squeeze(&mut narrowest, room, NARROWEST, may_give) { narrowest } else { narrow };
        }
    }

    /// The ways to place what may go below its row: all of it in the line, then less and less, the last column first. Of the
    /// last column in a line, what is short may stay there while the rest goes below.
    fn arrangements(&self, shown: &[Option<usize>]) -> Vec<Vec<Option<usize>>> {
        let mut widths = shown.to_vec();
        let mut all = vec![widths.clone()];
        for (at, column) in self.columns.iter().enumerate().rev().filter(|(_, column)| column.fit == Fit::Below) {
            if widths.iter().skip(at + 1).all(Option::is_none) {
                all.push(with(&widths, at, Some(column.title.width())));
            }
            widths = with(&widths, at, None);
            all.push(widths.clone());
        }
        all
    }

    /// The same widths, with what is left of the line for a last column of which only what is short is in the line.
    fn stretched(&self, mut widths: Vec<Option<usize>>, room: usize) -> Vec<Option<usize>> {
        let left = room.saturating_sub(length(&widths));
        let last = self
            .columns
            .iter()
            .zip(&mut widths)
            .filter_map(|(column, width)| Some((column, width.as_mut()?)))
            .next_back();
        if let Some((_, width)) = last.filter(|(column, _)| column.fit == Fit::Below) {
            *width += left;
        }
        widths
    }
}

/// The widths with another one in one place.
fn with(widths: &[Option<usize>], place: usize, width: Option<usize>) -> Vec<Option<usize>> {
    widths.iter().enumerate().map(|(at, other)| if at == place { width } else { *other }).collect()
}

/// The length of a line of columns that are so wide.
fn length(widths: &[Option<usize>]) -> usize {
    let shown = widths.iter().flatten().count();
    widths.iter().flatten().sum::<usize>() + GAP * shown.saturating_sub(1)
}

/// Narrows those columns that may be, the widest first, until the line fits. Returns whether it does.
fn squeeze(widths: &mut [Option<usize>], room: usize, least: usize, may_give: impl Fn(usize) -> bool) -> bool {
    loop {
        if length(widths) <= room {
            return true;
        }
        let candidates =
            widths.iter_mut().enumerate().filter(|(at, _)| may_give(*at)).filter_map(|(_, width)| width.as_mut());
        match candidates.filter(|width| **width > least).max() {
            Some(widest) => *widest -= 1,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests;

//! Tables for people: aligned columns, fitted to the terminal if there is one.
//!
//! Piped, nothing is cut. On a terminal the widest of the flexible columns give way first; then optional columns are left
//! out, the last first; only when that is not enough are the others cut. Widths are those of the characters as a terminal
//! draws them.

use std::fmt::Display;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::safe;
use super::style::{BOLD, DIM};
use super::text::fit;

const GAP: usize = 2;
/// No flexible column is cut below this while something else can give way.
const NARROW: usize = 12;
/// Nothing is ever cut below this.
const NARROWEST: usize = 3;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    is_flexible: bool,
    is_optional: bool,
    is_right: bool,
}

impl Column {
    /// A column that is shown in full as long as that is possible.
    pub(super) const fn new(title: &'static str) -> Self {
        Self { title, is_flexible: false, is_optional: false, is_right: false }
    }

    /// May be cut to fit.
    pub(super) const fn flexible(self) -> Self {
        Self { is_flexible: true, ..self }
    }

    /// May be left out to fit.
    pub(super) const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// Aligned to the right, as numbers are.
    pub(super) const fn right(self) -> Self {
        Self { is_right: true, ..self }
    }
}

/// A text in a table, safe to be shown, and its style.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn new(text: impl Display) -> Self {
        Self { text: safe::text(&text.to_string()).into_owned(), style: Style::new() }
    }

    /// A JSON document, made safe in JSON's own way.
    pub(super) fn json(document: &str) -> Self {
        Self { text: safe::json(document).into_owned(), style: Style::new() }
    }

    /// A value that may be absent; a dash keeps the columns of piped output countable.
    pub(super) fn maybe(text: Option<impl Display>) -> Self {
        text.map_or_else(|| Self::new("-").styled(DIM), Self::new)
    }

    pub(super) fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// The text with its style, at its full length.
    pub(super) fn shown(&self) -> String {
        let Self { text, style } = self;
        format!("{style}{text}{style:#}")
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
        let widths = self.widths(&header, room);
        let last = widths.iter().rposition(Option::is_some);
        let line = |cells: &Vec<Cell>| {
            let fitted =
                cells.iter().zip(&self.columns).zip(&widths).enumerate().filter_map(|(at, ((cell, column), width))| {
                    width.map(|width| cell.fitted(width, *column, Some(at) == last))
                });
            fitted.collect::<Vec<_>>().join(&" ".repeat(GAP))
        };
        std::iter::once(&header).chain(&self.rows).map(line).collect()
    }

    /// The width of each column; none if it is left out.
    fn widths(&self, header: &[Cell], room: Option<usize>) -> Vec<Option<usize>> {
        let full: Vec<_> = header
            .iter()
            .enumerate()
            .map(|(at, title)| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                cells.map(Cell::width).fold(title.width(), usize::max)
            })
            .collect();
        let mut shown = vec![true; full.len()];
        let kept = |shown: &[bool]| -> Vec<_> {
            full.iter().zip(shown).map(|(width, is_shown)| is_shown.then_some(*width)).collect()
        };
        let Some(room) = room else { return kept(&shown) };
        loop {
            let mut widths = kept(&shown);
            if squeeze(&mut widths, room, NARROW, |at| self.columns.get(at).is_some_and(|column| column.is_flexible)) {
                return widths;
            }
            let optional =
                self.columns.iter().zip(&shown).rposition(|(column, is_shown)| column.is_optional && *is_shown);
            match optional.and_then(|at| shown.get_mut(at)) {
                Some(is_shown) => *is_shown = false,
                None => {
                    squeeze(&mut widths, room, NARROWEST, |_| true);
                    return widths;
                }
            }
        }
    }
}

/// Narrows those columns that may be, the widest first, until the line fits. Returns whether it does.
fn squeeze(widths: &mut [Option<usize>], room: usize, least: usize, may_give: impl Fn(usize) -> bool) -> bool {
    loop {
        let shown = widths.iter().flatten().count();
        let line = widths.iter().flatten().sum::<usize>() + GAP * shown.saturating_sub(1);
        if line <= room {
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
mod tests {
    use super::*;

    fn plain(table: &Table, room: Option<usize>) -> Vec<String> {
        table.lines(room).iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    fn table() -> Table {
        let mut table = Table::new([
            Column::new("ID"),
            Column::new("USER").flexible(),
            Column::new("AMOUNT").right(),
            Column::new("NOTE").flexible().optional(),
        ]);
        table.row([Cell::new("w-1"), Cell::new("a rather long name"), Cell::new("12.5"), Cell::new("nothing")]);
        table.row([Cell::new("w-22"), Cell::new("ж"), Cell::maybe(None::<&str>), Cell::new("x")]);
        table
    }

    #[test]
    fn piped_it_is_aligned_and_uncut() {
        assert_eq!(
            plain(&table(), None),
            [
                "ID    USER                AMOUNT  NOTE",
                "w-1   a rather long name    12.5  nothing",
                "w-22  ж                        -  x",
            ]
        );
    }

    #[test]
    fn on_a_terminal_the_widest_flexible_column_gives_way() {
        assert_eq!(
            plain(&table(), Some(36)),
            [
                "ID    USER           AMOUNT  NOTE",
                "w-1   a rather lon…    12.5  nothing",
                "w-22  ж                   -  x"
            ]
        );
    }

    #[test]
    fn then_optional_columns_are_left_out() {
        assert_eq!(
            plain(&table(), Some(32)),
            [
                "ID    USER                AMOUNT",
                "w-1   a rather long name    12.5",
                "w-22  ж                        -"
            ]
        );
        assert_eq!(
            plain(&table(), Some(26)),
            ["ID    USER          AMOUNT", "w-1   a rather lo…    12.5", "w-22  ж                  -"]
        );
    }

    #[test]
    fn no_line_is_longer_than_the_room() {
        for room in 13..60 {
            for line in plain(&table(), Some(room)) {
                assert!(line.width() <= room, "{room}: {line}");
            }
        }
        // Three columns of three and their gaps are the least.
        assert_eq!(plain(&table(), Some(1)), ["ID   US…  AM…", "w-1  a …  12…", "w-…  ж      -"]);
    }

    #[test]
    fn width_is_counted_as_a_terminal_draws() {
        let mut table = Table::new([Column::new("USER").flexible(), Column::new("N")]);
        table.row([Cell::new("漢字漢字漢字"), Cell::new(1)]);
        table.row([Cell::new("👩‍💻"), Cell::new(2)]);
        assert_eq!(plain(&table, Some(12)), ["USER       N", "漢字漢字…  1", "👩‍💻         2"]);
    }

    #[test]
    fn data_cannot_act_on_the_terminal() {
        let mut table = Table::new([Column::new("USER")]);
        table.row([Cell::new("\x1b[2J\u{202e}evil\n")]);
        assert_eq!(plain(&table, None), ["USER", r"\u{1b}[2J\u{202e}evil\u{a}"]);
    }
}

//! What was measured, as a table: works below each other, databases side by side.

use std::fmt;

/// How much of the default is measured.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) percent: usize,
}

impl Size {
    pub(crate) fn of(self, events: usize) -> usize {
        events * self.percent / 100
    }
}

/// A figure.
pub(crate) struct Cell {
    work: &'static str,
    figure: String,
}

impl Cell {
    pub(crate) fn new(work: &'static str, figure: String) -> Self {
        Self { work, figure }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.work, self.figure)
    }
}

/// The figures of each database.
pub(crate) fn markdown(columns: &[(&str, Vec<Cell>)]) -> String {
    let mut works: Vec<&str> = Vec::new();
    for cell in columns.iter().flat_map(|(_, cells)| cells) {
        if !works.contains(&cell.work) {
            works.push(cell.work);
        }
    }
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut lines = vec![format!("| work | {} |", names.join(" | ")), format!("|---{}|", "|---".repeat(names.len()))];
    for work in works {
        let figure = |cells: &[Cell]| {
            let found = cells.iter().find(|cell| cell.work == work);
            found.map_or_else(String::new, |cell| cell.figure.clone())
        };
        let figures: Vec<String> = columns.iter().map(|(_, cells)| figure(cells)).collect();
        lines.push(format!("| {work} | {} |", figures.join(" | ")));
    }
    lines.join("\n")
}

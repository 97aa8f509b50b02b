//! What a check found: one line, and below it what to do.

use std::fmt::Display;

use serde::Serialize;

use crate::cli::printer::Printer;
use crate::cli::safe;
use crate::cli::style::{BOLD, CYAN, GREEN, RED, YELLOW};

/// How far is indented what does not fit into the line of a finding: below its text where signs are shown.
const INDENT: usize = 2;
/// The same of a hint.
const HINT_INDENT: usize = "  hint: ".len();

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    subject: String,
    level: Level,
    message: String,
    hint: Option<String>,
}

impl Finding {
    pub(super) fn new(subject: impl Into<String>, level: Level, message: impl Display) -> Self {
        Self { subject: subject.into(), level, message: message.to_string(), hint: None }
    }

    pub(super) fn ok(subject: impl Into<String>, message: impl Display) -> Self {
        Self::new(subject, Level::Ok, message)
    }

    pub(super) fn warn(subject: impl Into<String>, message: impl Display) -> Self {
        Self::new(subject, Level::Warn, message)
    }

    pub(super) fn fail(subject: impl Into<String>, message: impl Display) -> Self {
        Self::new(subject, Level::Fail, message)
    }

    #[cfg(test)]
    pub(super) fn level(&self) -> Level {
        self.level
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        self.maybe_hint(Some(hint))
    }

    pub(super) fn maybe_hint(self, hint: Option<impl Into<String>>) -> Self {
        Self { hint: hint.map(Into::into), ..self }
    }
}

/// Everything found so far. For people it is printed as it is found: some checks take their time.
pub(super) struct Report<'a> {
    printer: &'a Printer,
    findings: Vec<Finding>,
}

impl<'a> Report<'a> {
    pub(super) fn new(printer: &'a Printer) -> Self {
        Self { printer, findings: Vec::new() }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if !self.printer.json() {
            self.print(&finding);
        }
        self.findings.push(finding);
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(super) fn has_failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Fail)
    }

    /// Where colours are not shown the mark is a word: what reads it may not know the signs.
    fn print(&self, finding: &Finding) {
        let (style, sign, word) = match finding.level {
            Level::Ok => (GREEN, "✓", "ok"),
            Level::Warn => (YELLOW, "!", "warn"),
            Level::Fail => (RED, "✗", "fail"),
        };
        let mark = if self.printer.shows_colour() { format!("{style}{sign}{style:#}") } else { format!("{word:<4}") };
        let Finding { subject, message, hint, .. } = finding;
        let line = format!("{mark} {BOLD}{}{BOLD:#}: {}", safe::text(subject), safe::text(message));
        self.printer.hanging(&line, INDENT);
        if let Some(hint) = hint {
            self.printer.hanging(&format!("  {CYAN}hint{CYAN:#}: {}", safe::text(hint)), HINT_INDENT);
        }
    }
}

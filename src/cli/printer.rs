//! Output: data on standard output, words on standard error.
//!
//! Colour is an addition, never the only carrier of a meaning; it is left out where the stream is no terminal or
//! `NO_COLOR` is set.

use std::fmt;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use console::Term;
use serde::Serialize;

use super::fields::Fields;
use super::style::{BOLD, CYAN, RED};
use super::table::Table;
use super::{safe, text};

/// What is said once below tables that do not fit.
pub(super) const CUT: &str = "columns are cut; `--json` shows all";

/// Where a command's output goes.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    json: bool,
    quiet: bool,
    has_said_cut: Arc<AtomicBool>,
}

impl Printer {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, has_said_cut: Arc::default() }
    }

    /// Whether data is wanted as JSON.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    /// Whether there is somebody to show progress to.
    pub(super) fn shows_progress(&self) -> bool {
        !self.quiet && !self.json && std::io::stderr().is_terminal()
    }

    /// Whether data is shown in colour.
    pub(super) fn shows_colour(&self) -> bool {
        anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
    }

    /// A line of data. What came from elsewhere must have gone through [`safe`].
    pub(super) fn line(&self, text: impl AsRef<str>) {
        self.write(anstream::stdout(), format_args!("{}\n", text.as_ref()));
    }

    /// A line of data that may be long: on a terminal it is broken between words, and what is below its beginning is indented.
    pub(super) fn hanging(&self, text: &str, indent: usize) {
        match self.width() {
            Some(width) => text::hanging(text, width, indent).iter().for_each(|line| self.line(line)),
            None => self.line(text),
        }
    }

    fn write(&self, mut stream: impl Write, text: fmt::Arguments<'_>) {
        match stream.write_fmt(text) {
            Ok(()) => {}
            // A reader that went away (`| head`) is no error of ours; there is nobody left to tell.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
            Err(error) => {
                self.error(&format!("output cannot be written: {error}"));
                std::process::exit(1);
            }
        }
    }

    /// A table, fitted to the terminal if there is one. That something of it was cut or left out is said once.
    pub(super) fn table(&self, table: &Table) {
        let room = self.width();
        table.lines(room).iter().for_each(|line| self.line(line));
        if table.is_cut(room) && !self.has_said_cut.swap(true, Ordering::Relaxed) {
            self.say(CUT);
        }
    }

    /// The width of the terminal that data goes to; none if it goes elsewhere.
    pub(super) fn width(&self) -> Option<usize> {
        let width = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        width.filter(|_| stdout_is_terminal())
    }

    /// One thing in full, with longer texts wrapped at the width of the terminal if there is one.
    pub(super) fn fields(&self, fields: &Fields) {
        fields.lines(self.width()).iter().for_each(|line| self.line(line));
    }

    /// Data as one JSON document.
    pub(super) fn document(&self, data: &impl Serialize) -> anyhow::Result<()> {
        self.json_text(&serde_json::to_string_pretty(data)?);
        Ok(())
    }

    /// Data as a line of JSON, one of many.
    pub(super) fn record(&self, data: &impl Serialize) -> anyhow::Result<()> {
        self.json_text(&serde_json::to_string(data)?);
        Ok(())
    }

    /// Piped, every byte is as it was serialised; a terminal gets the same document without what could act on it.
    fn json_text(&self, text: &str) {
        let stdout = std::io::stdout();
        let shown = if stdout_is_terminal() { safe::json(text) } else { text.into() };
        self.write(stdout, format_args!("{shown}\n"));
    }

    /// Lines of CSV with their ends. Piped, every byte is as it was written; a terminal gets nothing that could act on it.
    pub(super) fn csv(&self, lines: &str) {
        let stdout = std::io::stdout();
        if stdout_is_terminal() {
            lines.lines().for_each(|line| self.write(&stdout, format_args!("{}\n", safe::text(line))));
        } else {
            self.write(stdout, format_args!("{lines}"));
        }
    }

    /// A line of words.
    pub(super) fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            raise("", text.as_ref());
        }
    }

    /// What went wrong.
    pub(super) fn error(&self, text: &str) {
        raise(&format!("{RED}{BOLD}error{BOLD:#}{RED:#}: "), &safe::lines(text));
    }

    /// What to do about it.
    pub(super) fn hint(&self, text: &str) {
        raise(&format!("{CYAN}hint{CYAN:#}: "), &safe::lines(text));
    }
}

/// Words on standard error behind a mark. Those that nobody reads are no reason to stop working.
fn raise(mark: &str, words: &str) {
    let width = Term::stderr().size_checked().map(|(_, columns)| usize::from(columns));
    let text = words_in(width.filter(|_| std::io::stderr().is_terminal()), mark, words);
    writeln!(anstream::stderr(), "{text}").ok();
}

/// The words behind the mark, each of their lines broken between words where there is a width.
fn words_in(width: Option<usize>, mark: &str, words: &str) -> String {
    let Some(width) = width else { return format!("{mark}{words}") };
    let indent = console::measure_text_width(mark);
    let lines = format!("{mark}{words}");
    let broken = lines.lines().map(|line| match text::hanging(line, width, indent) {
        broken if broken.len() > 1 => broken.join("\n"),
        _ => line.to_owned(),
    });
    broken.collect::<Vec<_>>().join("\n")
}

/// Whether data is read by a person.
fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_broken_between_words_on_a_terminal() {
        let problem =
            "endpoint shop did not accept the test: answered 500 Internal Server Error, after a long time\nsecond";
        assert_eq!(words_in(None, "error: ", problem), format!("error: {problem}"));
        assert_eq!(
            words_in(Some(80), "error: ", problem),
            "error: endpoint shop did not accept the test: answered 500 Internal Server\n       \
             Error, after a long time\nsecond"
        );
    }
}

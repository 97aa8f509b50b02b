//! Output: data on standard output, words on standard error.
//!
//! Colour is an addition, never the only carrier of a meaning; it is left out where the stream is no terminal or
//! `NO_COLOR` is set.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();

/// Where a command's output goes.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    json: bool,
    quiet: bool,
}

impl Printer {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether data is wanted as JSON.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    /// Whether there is somebody to show progress to.
    pub(super) fn shows_progress(&self) -> bool {
        !self.quiet && !self.json && std::io::stderr().is_terminal()
    }

    /// A line of data.
    pub(super) fn line(&self, text: impl AsRef<str>) {
        write_line(anstream::stdout(), text.as_ref());
    }

    /// Data as one JSON document.
    pub(super) fn document(&self, data: &impl Serialize) -> anyhow::Result<()> {
        self.line(serde_json::to_string_pretty(data)?);
        Ok(())
    }

    /// A line of words.
    pub(super) fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            write_line(anstream::stderr(), text.as_ref());
        }
    }

    /// What went wrong.
    pub(super) fn error(&self, text: &str) {
        self.raise(&format!("{RED}{BOLD}error{BOLD:#}{RED:#}: {text}"));
    }

    /// What to do about it.
    pub(super) fn hint(&self, text: &str) {
        self.raise(&format!("{CYAN}hint{CYAN:#}: {text}"));
    }

    fn raise(&self, text: &str) {
        write_line(anstream::stderr(), text);
    }
}

/// A reader that went away (`| head`) is no error of ours; there is nobody left to tell.
fn write_line(mut stream: impl Write, text: &str) {
    if writeln!(stream, "{text}").is_err() {
        std::process::exit(0);
    }
}

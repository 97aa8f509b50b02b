//! What the demonstration prints.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::run::Outcome;
use lumo_simulator::{Received, Receiver, Simulator, Step};

use super::verdict::{Difference, Verdict};
use crate::cli::printer::Printer;
use crate::cli::style::{BOLD, CYAN, DIM, GREEN, RED, YELLOW};
use crate::cli::{safe, text};
use crate::clock::Clock;
use crate::config::Config;
use crate::sync::{Report, Tally};

/// Columns for a user, and for what is told of them; with the rest of a line they fit into 100.
const USER: usize = 14;
const WHAT: usize = 24;
/// Columns for a sentence about the world.
const SENTENCE: usize = 78;

/// Differing values that are shown.
const DIFFERENCES: usize = 20;

/// The voice of the demonstration.
pub(super) struct Show {
    printer: Printer,
}

impl Show {
    pub(super) fn new(printer: Printer) -> Self {
        Self { printer }
    }

    pub(super) fn opening(&self, simulator: &Simulator, receiver: &Receiver, config: &Config) {
        self.line(format!(
            "{BOLD}lumo-bridge demo{BOLD:#}  {DIM}everything in this process, nothing to configure{DIM:#}"
        ));
        self.line("");
        self.line(format!("  upstream   {}  {DIM}a simulated Lumo B2B API{DIM:#}", simulator.base_url()));
        self.line(format!("  database   {}", config.database.url));
        self.line(format!("  receiver   {}  {DIM}verifies every signature{DIM:#}", receiver.url("/hooks/lumo")));
        self.line("");
    }

    pub(super) fn imported(&self, report: &Report) {
        let Tally { rows, requests, .. } = report.tally;
        let mark = if report.outcome == Outcome::Complete { good("✓") } else { bad("✗") };
        let listing = report.listing.as_str();
        let duration_ms = report.duration_ms();
        self.line(format!(
            "  {mark} first import   {listing:<9} {rows:>6} rows  {DIM}{requests} requests, {duration_ms} ms{DIM:#}"
        ));
        if report.listing == crate::model::Listing::Deposits {
            self.line("");
            self.line(format!(
                "  {DIM}from here on the simulated world changes by itself; Ctrl-C ends and compares{DIM:#}"
            ));
            self.line("");
        }
    }

    /// Something happened upstream.
    pub(super) fn change(&self, step: &Step) {
        let sentence = text::fit(&safe::text(&step.to_string()), SENTENCE);
        self.line(format!("  {DIM}{} upstream  {sentence}{DIM:#}", clock_time(Clock::system().now())));
    }

    /// The world stands still from now on.
    pub(super) fn catching_up(&self) {
        self.line("");
        self.line(format!("  {DIM}catching up: every list is read once more from end to end, then compared{DIM:#}"));
    }

    /// A callback arrived.
    pub(super) fn callback(&self, callback: &Received) {
        let json: serde_json::Value = serde_json::from_slice(&callback.body).unwrap_or_default();
        let object = &json["data"]["object"];
        let field =
            |name: &str| object[name].as_str().map(|value| text::fit(&safe::text(value), WHAT)).unwrap_or_default();
        let user = field("external_id");
        let what = match object["kind"].as_str() {
            Some("deposit") if json["type"] == "deposit.created" || json["type"] == "deposit.settled" => {
                format!("{} {}", field("amount"), field("currency"))
            }
            Some("deposit") => field("status"),
            _ if object["is_blocked"] == true => field("block_reason"),
            _ => String::new(),
        };
        let kind = callback.event_type.as_deref().unwrap_or("?");
        let sequence = callback.sequence.unwrap_or_default();
        let attempt = callback.attempt.unwrap_or(1);
        let user = text::pad(&text::fit(&user, USER), USER);
        let what = text::pad(&what, WHAT);
        let outcome = if callback.succeeded() {
            let again = if attempt > 1 { format!(", try {attempt}") } else { String::new() };
            good(&format!("✓ {}{again}", callback.verdict))
        } else {
            warn(&format!("✗ {}, will retry", callback.answered))
        };
        self.line(format!(
            "  {} {CYAN}callback{CYAN:#}  {BOLD}{kind:<22}{BOLD:#} {user} {what} {DIM}#{sequence:<3}{DIM:#} {outcome}",
            clock_time(callback.at)
        ));
    }

    pub(super) fn summary(&self, verdict: &Verdict) -> anyhow::Result<()> {
        if self.printer.json() {
            return self.printer.document(verdict);
        }
        let row = |name: &str, value: String, note: &str| {
            self.line(format!("  {name:<22} {BOLD}{value:>9}{BOLD:#}  {DIM}{note}{DIM:#}"));
        };
        self.line("");
        self.line(format!("  {BOLD}Summary{BOLD:#}"));
        row(
            "wallets upstream",
            verdict.wallets.to_string(),
            &format!("{} differ in the table", verdict.wallets_differing),
        );
        row(
            "deposits upstream",
            verdict.deposits.to_string(),
            &format!("{} differ in the table", verdict.deposits_differing),
        );
        row("changes made", verdict.changes.to_string(), "balances change without an event");
        row("events", verdict.events.to_string(), "");
        row("callbacks delivered", verdict.delivered.to_string(), "each with a signature that verifies");
        row("attempts refused", verdict.refused.to_string(), "on purpose, and repeated until they were taken");
        row("signatures invalid", verdict.invalid.to_string(), "");
        row("out of order", verdict.out_of_order.to_string(), "per user");
        if let Some(median) = verdict.median_ms {
            row("change to callback", format!("{:.1} s", median / 1000.0), "median, with a pass every second");
        }
        self.line("");
        self.line(format!("  {}", credited_sentence(verdict)));
        for difference in verdict.differences.iter().take(DIFFERENCES) {
            self.line(format!("  {}", bad(&sentence(difference))));
        }
        if let Some(more) = verdict.differences.len().checked_sub(DIFFERENCES).filter(|more| *more > 0) {
            self.line(format!("  {}", bad(&format!("✗ and {more} more values; `--json` has them all"))));
        }
        if verdict.unblocked_lately > 0 {
            let wallets = verdict.unblocked_lately;
            self.line(format!("  {DIM}unblocked a moment ago: {wallets}; believed when seen twice, 30 s apart{DIM:#}"));
        }
        let faults = verdict.faults();
        for fault in &faults {
            self.line(format!("  {}", bad(&format!("✗ {fault}"))));
        }
        if faults.is_empty() {
            self.line(format!("  {}", good("✓ nothing lost, nothing twice, everything in order")));
        }
        Ok(())
    }

    fn line(&self, text: impl AsRef<str>) {
        if !self.printer.json() || text.as_ref().starts_with('{') {
            self.printer.line(text);
        }
    }
}

/// What the receiver has credited.
fn credited_sentence(Verdict { credited, credited_usdt, .. }: &Verdict) -> String {
    let Some(usdt) = credited_usdt else { return "credited no deposit, as none was settled".to_owned() };
    let noun = if *credited == 1 { "deposit" } else { "deposits" };
    format!("credited {credited} {noun}, {usdt} USDT: each once, on deposit.settled")
}

/// A value that differs.
fn sentence(difference: &Difference) -> String {
    let Difference { kind, id, field, table, upstream } = difference;
    let shown =
        |value: &Option<String>| value.as_deref().map_or("nothing".into(), |value| format!("`{}`", safe::text(value)));
    let id = safe::text(id);
    match (*field, table) {
        ("row", None) => format!("✗ {kind} {id} is listed upstream and not in the table"),
        ("row", Some(_)) => format!("✗ {kind} {id} is in the table and not listed upstream"),
        _ => format!("✗ {kind} {id}: {field} is {} in the table and {} upstream", shown(table), shown(upstream)),
    }
}

fn clock_time(time: DateTime<Utc>) -> String {
    time.format("%H:%M:%S").to_string()
}

fn good(text: &str) -> String {
    format!("{GREEN}{text}{GREEN:#}")
}

fn warn(text: &str) -> String {
    format!("{YELLOW}{text}{YELLOW:#}")
}

fn bad(text: &str) -> String {
    format!("{RED}{text}{RED:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_credited_is_one_sentence_of_eighty_columns() {
        let said = |credited, usdt: &str| {
            credited_sentence(&Verdict { credited, credited_usdt: usdt.parse().ok(), ..Verdict::default() })
        };
        assert_eq!(said(12, "345.6"), "credited 12 deposits, 345.6 USDT: each once, on deposit.settled");
        assert_eq!(said(1, "3"), "credited 1 deposit, 3 USDT: each once, on deposit.settled");
        assert_eq!(said(0, ""), "credited no deposit, as none was settled");
        assert!(said(9_999, "99999999999.123456").len() + 2 <= 80);
    }

    #[test]
    fn a_value_that_differs_is_one_sentence() {
        let difference = |field, table: Option<&str>, upstream: Option<&str>| {
            let (table, upstream) = (table.map(str::to_owned), upstream.map(str::to_owned));
            sentence(&Difference { kind: "deposit", id: "d-1".to_owned(), field, table, upstream })
        };
        assert_eq!(
            difference("status", Some("new"), Some("confirmed")),
            "✗ deposit d-1: status is `new` in the table and `confirmed` upstream"
        );
        assert_eq!(
            difference("amount", None, Some("5")),
            "✗ deposit d-1: amount is nothing in the table and `5` upstream"
        );
        assert_eq!(difference("row", None, Some("listed")), "✗ deposit d-1 is listed upstream and not in the table");
        assert_eq!(difference("row", Some("listed"), None), "✗ deposit d-1 is in the table and not listed upstream");
    }
}

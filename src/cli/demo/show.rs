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

/// Columns for a user, and for what is told of them.
const USER: usize = 14;
const WHAT: usize = 24;
/// Columns that lines about callbacks need with these; where there are fewer, they say the same in fewer words.
const WIDE: usize = 106;
/// Columns for a user, and for what is told of them, where there are fewer.
const NARROW_USER: usize = 11;
const NARROW_WHAT: usize = 11;
/// Columns for a sentence about the world, and for what stands before it.
const SENTENCE: usize = 78;
const BEFORE_SENTENCE: usize = "  18:30:02 upstream  ".len();

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
        let room = self.printer.width().map_or(SENTENCE, |width| width.saturating_sub(BEFORE_SENTENCE));
        let sentence = text::fit(&safe::text(&step.to_string()), SENTENCE.min(room));
        self.line(format!("  {DIM}{} upstream  {sentence}{DIM:#}", clock_time(Clock::system().now())));
    }

    /// The world stands still from now on.
    pub(super) fn catching_up(&self) {
        self.line("");
        self.line(format!("  {DIM}catching up: every list is read once more from end to end, then compared{DIM:#}"));
    }

    /// A callback arrived.
    pub(super) fn callback(&self, callback: &Received) {
        self.line(callback_line(callback, self.printer.width()));
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
        row("attempts refused", verdict.refused.to_string(), "on purpose, and repeated until taken");
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

/// The line about a callback, where there are so many columns; as many as it takes if that is not known.
fn callback_line(callback: &Received, room: Option<usize>) -> String {
    let json: serde_json::Value = serde_json::from_slice(&callback.body).unwrap_or_default();
    let object = &json["data"]["object"];
    let field = |name: &str| object[name].as_str().map(|value| safe::text(value).into_owned()).unwrap_or_default();
    let (what, more) = match object["kind"].as_str() {
        Some("deposit") if json["type"] == "deposit.created" || json["type"] == "deposit.settled" => {
            (field("amount"), format!(" {}", field("currency")))
        }
        Some("deposit") => (field("status"), String::new()),
        _ if object["is_blocked"] == true => (field("block_reason"), String::new()),
        _ => (String::new(), String::new()),
    };
    let kind = callback.event_type.as_deref().unwrap_or("?");
    let sequence = callback.sequence.unwrap_or_default();
    let attempt = callback.attempt.unwrap_or(1);
    let (time, user) = (clock_time(callback.at), field("external_id"));
    let narrow = room.filter(|room| *room < WIDE);
    let outcome = match (callback.succeeded(), narrow.is_some()) {
        (true, true) if attempt > 1 => format!("✓ try {attempt}"),
        (true, false) if attempt > 1 => format!("✓ {}, try {attempt}", callback.verdict),
        (true, _) => format!("✓ {}", callback.verdict),
        (false, true) => format!("✗ {}, retry", callback.answered),
        (false, false) => format!("✗ {}, will retry", callback.answered),
    };
    let told = if callback.succeeded() { good(&outcome) } else { warn(&outcome) };
    let Some(room) = narrow else {
        let user = text::pad(&text::fit(&user, USER), USER);
        let what = text::pad(&format!("{}{more}", text::fit(&what, WHAT)), WHAT);
        return format!(
            "  {time} {CYAN}callback{CYAN:#}  {BOLD}{kind:<22}{BOLD:#} {user} {what} {DIM}#{sequence:<3}{DIM:#} {told}"
        );
    };
    let user = text::pad(&text::fit(&user, NARROW_USER), NARROW_USER);
    let others = text::shown_width(&format!("  {time} callback {kind:<22} {user}  #{sequence} {outcome}"));
    let left = room.saturating_sub(others);
    let whole = format!("{what}{more}");
    // The upstream's line has said the currency.
    let what = if text::shown_width(&whole) <= left { whole } else { text::fit(&what, left) };
    let what = text::pad(&what, NARROW_WHAT.min(left));
    format!("  {time} {CYAN}callback{CYAN:#} {BOLD}{kind:<22}{BOLD:#} {user} {what} {DIM}#{sequence}{DIM:#} {told}")
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

    fn received(kind: &str, sequence: u64, (attempt, answered): (u32, u16), object: &serde_json::Value) -> Received {
        Received {
            at: "2026-05-04T09:06:35Z".parse().unwrap(),
            path: "/hooks/lumo".to_owned(),
            query: String::new(),
            headers: Vec::new(),
            id: None,
            attempt: Some(attempt),
            event_type: Some(kind.to_owned()),
            stream: None,
            sequence: Some(sequence),
            body: serde_json::json!({ "type": kind, "data": { "object": object } }).to_string().into_bytes(),
            verdict: lumo_simulator::Verdict::Verified,
            answered,
        }
    }

    #[test]
    fn a_callback_is_a_line_of_eighty_columns() {
        let deposit = |amount: &str| {
            serde_json::json!({
                "kind": "deposit", "external_id": "user-000151", "amount": amount, "currency": "USDT", "status": "confirmed",
            })
        };
        let all = [
            received("deposit.created", 1, (1, 204), &deposit("17.787")),
            received("deposit.created", 12, (1, 204), &deposit("1336162.163565")),
            received("deposit.status_changed", 2, (1, 503), &deposit("17.787")),
            received("deposit.status_changed", 2, (2, 204), &deposit("17.787")),
        ];
        let shown = |room| {
            let line = |one| anstream::adapter::strip_str(&callback_line(one, room)).to_string();
            all.iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(Some(80)),
            [
                "  09:06:35 callback deposit.created        user-000151 17.787 USDT #1 ✓ verified",
                "  09:06:35 callback deposit.created        user-000151 1336162.1… #12 ✓ verified",
                "  09:06:35 callback deposit.status_changed user-000151 confirmed #2 ✗ 503, retry",
                "  09:06:35 callback deposit.status_changed user-000151 confirmed   #2 ✓ try 2",
            ]
        );
        assert!(shown(Some(80)).iter().all(|line| line.chars().count() <= 80));
        assert_eq!(shown(None), shown(Some(WIDE)));
        assert_eq!(
            shown(None)[1..3],
            [
                "  09:06:35 callback  deposit.created        user-000151    1336162.163565 USDT      #12  ✓ verified",
                "  09:06:35 callback  deposit.status_changed user-000151    confirmed                #2   ✗ 503, will retry",
            ]
        );
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

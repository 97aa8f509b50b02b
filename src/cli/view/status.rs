//! `status` as people read it: the one sentence, what else is wrong, then a table of listings and one of endpoints.

use chrono::{DateTime, Utc};

use super::endpoint::state;
use crate::cli::style::{BOLD, CYAN, GREEN, RED, YELLOW};
use crate::cli::table::{Cell, Column, Table};
use crate::cli::time::{age, past};
use crate::cli::{safe, text};
use crate::view::empty::unlisted;
use crate::view::finding::Severity;
use crate::view::{Account, Endpoint, Finding, Standing, Status};

/// Sentences are broken so that no line is longer, wherever they are printed.
const COLUMNS: usize = 80;

/// The lines of `status`. `room` is the width of the terminal; none if there is no terminal.
pub(in crate::cli) fn lines(status: &Status, room: Option<usize>, now: DateTime<Utc>) -> Vec<String> {
    let mut lines = Vec::new();
    let style = match status.findings.first().map(|worst| worst.severity) {
        None => GREEN,
        Some(Severity::Notice) => YELLOW,
        Some(Severity::Stopped | Severity::Broken) => RED,
    };
    for line in text::wrap(&safe::text(&status.summary), COLUMNS) {
        lines.push(format!("{style}{BOLD}{line}{BOLD:#}{style:#}"));
    }
    let (worst, others) = status.findings.split_at(status.findings.len().min(1));
    lines.extend(worst.iter().flat_map(hint));
    for other in others {
        let style = if other.severity == Severity::Notice { YELLOW } else { RED };
        lines.extend(indented(&format!("{style}!{style:#} "), &other.message));
        lines.extend(hint(other));
    }
    lines.push(String::new());
    lines.push(match (status.reader.is_running, status.reader.lease_until) {
        (true, Some(until)) => {
            format!("A daemon reads the lists; its lease is renewed until {}.", until.format("%H:%M:%S"))
        }
        (false, Some(until)) if status.reader.silent_since.is_some() => {
            format!("A daemon is alive; its lease ended at {}.", until.format("%H:%M:%S"))
        }
        _ => "No daemon is known to read the lists.".to_owned(),
    });
    if let Some(Account { company_id, environment, .. }) = &status.account {
        lines.extend(text::wrap(
            &safe::text(&format!("The tables are of company {company_id}, {environment}.")),
            COLUMNS,
        ));
    }
    if let Some(watching) = &status.watching {
        lines.extend(text::wrap(&watching.sentence(), COLUMNS));
    }
    lines.push(String::new());
    lines.extend(listings(&status.listings, now).lines(room));
    lines.push(String::new());
    if !status.endpoints.is_empty() {
        lines.extend(endpoints(&status.endpoints, now).lines(room));
    }
    lines.extend(status.endpoints.iter().filter_map(Endpoint::history));
    if let Some(unlisted) = unlisted(&status.empty_columns) {
        lines.extend(indented("note: ", &unlisted));
    }
    lines
}

/// Whether something of the tables is not shown in full where there is this much room.
pub(in crate::cli) fn is_cut(status: &Status, room: Option<usize>, now: DateTime<Utc>) -> bool {
    let has_endpoints = !status.endpoints.is_empty();
    listings(&status.listings, now).is_cut(room) || has_endpoints && endpoints(&status.endpoints, now).is_cut(room)
}

fn hint(finding: &Finding) -> Vec<String> {
    let hint = finding.hint.as_deref().map(|hint| indented(&format!("  {CYAN}hint{CYAN:#}: "), hint));
    hint.unwrap_or_default()
}

/// The text after a mark, and below the mark's end what does not fit on the line.
fn indented(mark: &str, message: &str) -> Vec<String> {
    text::hanging(&format!("{mark}{}", safe::text(message)), COLUMNS, console::measure_text_width(mark))
}

fn listings(all: &[Standing], now: DateTime<Utc>) -> Table {
    let mut table = Table::new([
        Column::new("LISTING"),
        Column::new("STATE"),
        Column::new("ROWS").right(),
        Column::new("LISTED").right(),
        Column::new("LAG").right(),
        Column::new("PROVED"),
        Column::new("LAST ROUND"),
    ]);
    for one in all {
        let style = match one.state {
            "fresh" => GREEN,
            "stalled" | "key_refused" => RED,
            _ => YELLOW,
        };
        let round = one.last_pass.as_ref().map(|pass| format!("{}, {}", pass.outcome, past(pass.finished_at, now)));
        table.row([
            Cell::new(one.listing),
            Cell::new(one.state.replace('_', " ")).styled(style),
            Cell::new(one.rows),
            Cell::maybe(one.last_total),
            Cell::maybe(one.complete_through.map(|through| age(through, now))),
            Cell::maybe(one.proved_through.map(|through| past(through, now))),
            Cell::maybe(round),
        ]);
    }
    table
}

fn endpoints(all: &[Endpoint], now: DateTime<Utc>) -> Table {
    let mut table = Table::new([
        Column::new("ENDPOINT").whole(),
        Column::new("STATE"),
        Column::new("SINCE").optional(),
        Column::new("WAITING").right(),
        Column::new("OLDEST").right(),
        Column::new("DEAD").right(),
        Column::new("LAST SUCCESS").optional(),
    ]);
    for one in all {
        let dead = Cell::new(one.dead);
        let since = if one.is_configured { one.since } else { one.removed_at };
        table.row([
            Cell::new(&one.name),
            state(one, now),
            Cell::maybe(since.map(|since| past(since, now))),
            Cell::new(one.waiting),
            Cell::maybe(one.oldest_waiting_at.map(|oldest| age(oldest, now))),
            if one.dead > 0 { dead.styled(RED) } else { dead },
            Cell::maybe(one.last_success_at.map(|at| past(at, now))),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use lumo_bridge_entity::run::{self, Outcome};

    use super::*;
    use crate::model::{Listing, PerListing};
    use crate::store::Progress;
    use crate::view::{EmptyColumn, Reader, finding};

    fn now() -> DateTime<Utc> {
        "2026-05-04T10:11:12Z".parse().unwrap()
    }

    fn before(seconds: i64) -> Option<DateTime<Utc>> {
        Some(now() - TimeDelta::seconds(seconds))
    }

    fn pass(outcome: Outcome) -> run::Model {
        run::Model {
            listing: "wallets".to_owned(),
            started_at: before(4).unwrap(),
            finished_at: before(3).unwrap(),
            outcome,
            requests: 1,
            rows: 1,
            appeared: 0,
            changed: 0,
            rejected: 0,
            error: None,
        }
    }

    fn status(progresses: &[Progress], outcome: Outcome, reader: Reader, endpoints: Vec<Endpoint>) -> Status {
        let mut findings = finding::of_listings(progresses, PerListing::of(|_| TimeDelta::minutes(10)), now());
        findings.extend(finding::of_reader(&reader, now()));
        findings.extend(finding::of_endpoints(&endpoints, now()));
        let standing = |(listing, progress): (Listing, &Progress)| {
            let pass = pass(outcome);
            let pass = progress.last_run_at.map(|_| &pass);
            Standing::new(listing, 1_234_567, progress.clone(), pass, now())
        };
        let listings = Listing::ALL.into_iter().zip(progresses).map(standing).collect();
        Status::of(reader, findings, listings, endpoints)
    }

    fn shown(status: &Status) -> Vec<String> {
        let lines = lines(status, Some(80), now());
        let plain: Vec<String> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        for line in &plain {
            assert!(console::measure_text_width(line) <= 80, "{line}");
        }
        plain
    }

    fn done(listing: Listing) -> Progress {
        Progress {
            import_started_at: before(9_000),
            import_done_at: before(8_000),
            complete_through: before(4),
            proved_through: before(600),
            last_run_at: before(3),
            last_total: Some(1_234_567),
            ..Progress::fresh(listing.as_str())
        }
    }

    fn shop() -> Endpoint {
        Endpoint {
            name: "shop".to_owned(),
            is_configured: true,
            state: Some("active"),
            since: before(7_300),
            last_success_at: before(5),
            ..Endpoint::default()
        }
    }

    const READING: fn() -> Reader =
        || Reader { is_running: true, lease_until: Some(now() + TimeDelta::seconds(11)), silent_since: None };

    #[test]
    fn all_is_well() {
        let status = status(&Listing::ALL.map(done), Outcome::Complete, READING(), vec![shop()]);
        assert_eq!(
            shown(&status),
            [
                "Everything is synced and delivered.",
                "",
                "A daemon reads the lists; its lease is renewed until 10:11:23.",
                "",
                "LISTING   STATE     ROWS   LISTED  LAG  PROVED      LAST ROUND",
                "wallets   fresh  1234567  1234567  4 s  10 min ago  complete, 3 s ago",
                "blocked   fresh  1234567  1234567  4 s  10 min ago  complete, 3 s ago",
                "deposits  fresh  1234567  1234567  4 s  10 min ago  complete, 3 s ago",
                "",
                "ENDPOINT  STATE   SINCE    WAITING  OLDEST  DEAD  LAST SUCCESS",
                "shop      active  2 h ago        0       -     0  5 s ago",
            ]
        );
        assert!(!is_cut(&status, None, now()) && !is_cut(&status, Some(80), now()) && is_cut(&status, Some(50), now()));
        let document = serde_json::to_value(&status).unwrap();
        assert_eq!(document["summary"], "Everything is synced and delivered.");
        assert_eq!(document["findings"], serde_json::json!([]));
        assert_eq!(document["reader"]["is_running"], true);
        assert_eq!(
            (&document["listings"][0]["state"], &document["listings"][0]["lag_seconds"]),
            (&"fresh".into(), &4.into())
        );
    }

    #[test]
    fn a_column_that_stays_empty_is_a_note_at_the_end() {
        let status = status(&Listing::ALL.map(done), Outcome::Complete, READING(), vec![shop()]);
        let column = EmptyColumn { column: "block_number", rows: 1_000, candidates: Vec::new() };
        let shown = shown(&Status { empty_columns: vec![column], ..status });
        assert_eq!(shown[0], "Everything is synced and delivered.");
        assert_eq!(
            shown[shown.len() - 3..],
            [
                "note: `block_number` is empty in all of the newest 1000 deposits, and nothing",
                "      that Lumo lists looks like it; nothing has to be done unless you want the",
                "      column",
            ]
        );
    }

    #[test]
    fn callbacks_that_fail_say_where_and_what_says_more() {
        let last_error = Some("answered 422 Unprocessable Entity".to_owned());
        let failing = Endpoint { waiting: 16, retrying: 16, oldest_waiting_at: before(90), last_error, ..shop() };
        let status = status(&Listing::ALL.map(done), Outcome::Complete, READING(), vec![failing]);
        assert_eq!(
            shown(&status)[..5],
            [
                "Everything is synced; 16 callbacks are on their way, the oldest since",
                "2026-05-04T10:09:42Z; 16 of them have failed and are tried again (shop: answered",
                "422 Unprocessable Entity); `lumo-bridge delivery list --undelivered` says why.",
                "",
                "A daemon reads the lists; its lease is renewed until 10:11:23.",
            ]
        );
    }

    #[test]
    fn an_endpoint_is_removed_since_it_was_taken_out() {
        let removed =
            |name: &str, removed_at| Endpoint { name: name.to_owned(), is_configured: false, removed_at, ..shop() };
        let endpoints = vec![removed("crm", before(8)), removed("erp", None), shop()];
        let status = status(&Listing::ALL.map(done), Outcome::Complete, READING(), endpoints);
        let shown = shown(&status);
        assert_eq!(
            shown[shown.len() - 4..],
            [
                "ENDPOINT  STATE    SINCE    WAITING  OLDEST  DEAD  LAST SUCCESS",
                "crm       removed  8 s ago        0       -     0  5 s ago",
                "erp       removed  -              0       -     0  5 s ago",
                "shop      active   2 h ago        0       -     0  5 s ago",
            ]
        );
    }

    #[test]
    fn a_first_start_with_a_refused_key_and_a_receiver_that_is_gone() {
        let refused = |listing: Listing| Progress {
            first_run_at: before(90),
            last_run_at: before(3),
            unauthorized_since: before(90),
            last_error: Some("page not read: Lumo does not accept the API key".to_owned()),
            ..Progress::fresh(listing.as_str())
        };
        let gone = Endpoint {
            state: Some("suspended"),
            since: before(400),
            waiting: 1_696,
            oldest_waiting_at: before(500),
            dead: 2,
            ..shop()
        };
        let status = status(&Listing::ALL.map(refused), Outcome::Failed, READING(), vec![gone]);
        assert_eq!(
            shown(&status),
            [
                "Lumo refuses the API key since 2026-05-04T10:09:42Z; nothing is read. There are",
                "5 more findings.",
                "  hint: put the current key in `lumo.api_key`, then reload or restart the",
                "        daemon; a company login or a regenerated key makes the old key void",
                "! shop is suspended since 2026-05-04T10:04:32Z; 1696 callbacks wait for it",
                "  hint: repair the receiver, then `lumo-bridge endpoint test shop` and",
                "        `lumo-bridge endpoint resume shop`",
                "! 2 callbacks are dead: shop did not take them",
                "  hint: `lumo-bridge delivery list --state dead --endpoint shop` shows why",
                "! wallets: the first import has not begun",
                "! blocked: the first import has not begun",
                "! deposits: the first import has not begun",
                "",
                "A daemon reads the lists; its lease is renewed until 10:11:23.",
                "",
                "LISTING   STATE           ROWS  LISTED  LAG  PROVED  LAST ROUND",
                "wallets   key refused  1234567       -    -  -       failed, 3 s ago",
                "blocked   key refused  1234567       -    -  -       failed, 3 s ago",
                "deposits  key refused  1234567       -    -  -       failed, 3 s ago",
                "",
                "ENDPOINT  STATE      SINCE      WAITING  OLDEST  DEAD  LAST SUCCESS",
                "shop      suspended  6 min ago     1696   8 min     2  5 s ago",
            ]
        );
    }

    #[test]
    fn a_stopped_daemon_comes_before_what_follows_from_it() {
        let stale = |listing: Listing| Progress {
            stalled_since: before(1_000),
            last_error: Some("page not read: Lumo is unavailable: answer 503: \u{1b}[2J".to_owned()),
            ..done(listing)
        };
        let reader = Reader { lease_until: before(60), ..Reader::default() };
        let [wallets, blocked, deposits] = Listing::ALL;
        let status = status(&[done(wallets), done(blocked), stale(deposits)], Outcome::Complete, reader, Vec::new());
        assert_eq!(
            shown(&status),
            [
                "No daemon runs since 2026-05-04T10:10:12Z: nothing is read or delivered. There",
                "are 2 more findings.",
                "  hint: start `lumo-bridge run`; if it runs, it cannot write: `lumo-bridge",
                "        health --ready` says why",
                "! deposits: not complete since 2026-05-04T09:54:32Z: page not read: Lumo is",
                "  unavailable: answer 503: \\u{1b}[2J",
                "  hint: it is read again on schedule; `lumo-bridge check` examines the API",
                "! No endpoint is configured: changes are stored and nobody is called",
                "  hint: name one under `callbacks.endpoints`, then reload the daemon",
                "",
                "No daemon is known to read the lists.",
                "",
                "LISTING   STATE       ROWS   LISTED  LAG  PROVED      LAST ROUND",
                "wallets   fresh    1234567  1234567  4 s  10 min ago  complete, 3 s ago",
                "blocked   fresh    1234567  1234567  4 s  10 min ago  complete, 3 s ago",
                "deposits  stalled  1234567  1234567  4 s  10 min ago  complete, 3 s ago",
                "",
            ]
        );
    }

    #[test]
    fn a_daemon_that_is_alive_and_writes_nothing_is_told_from_one_that_is_gone() {
        let reader = Reader { lease_until: before(60), silent_since: before(75), ..Reader::default() };
        let status = status(&Listing::ALL.map(done), Outcome::Complete, reader, vec![shop()]);
        assert_eq!(
            shown(&status)[..7],
            [
                "A daemon is alive, but has written nothing since 2026-05-04T10:09:57Z: nothing",
                "is read or delivered.",
                "  hint: its log says why, and so does `lumo-bridge health --ready` where it",
                "        runs; if it works all the same, the clocks of the machines differ",
                "",
                "A daemon is alive; its lease ended at 10:10:12.",
                "",
            ]
        );
        assert_eq!(serde_json::to_value(&status).unwrap()["reader"]["silent_since"], "2026-05-04T10:09:57Z");
    }
}

//! `reconcile`: what is settled and what is booked, deposit by deposit, as a merchant's own statement says.

use chrono::{DateTime, Utc};

use super::context::Context;
use super::deposit::list::named;
use super::failure::Failure;
use super::time::past;
use super::view;
use crate::model::Listing;
use crate::model::draft::rfc3339;
use crate::model::reconcile::{Counts, Difference, Kind, Rule, Select};
use crate::setting::Span;
use crate::store::reconcile::{ReconcileError, TIME_LIMIT, reconcile};
use crate::sync::scan::walk::Doubt;
use crate::view::Difference as Shown;
use crate::view::csv;

/// Most differences that a table shows. Its columns are as wide as their widest cell, so it is held until the end.
const MAX_SHOWN: usize = 1_000;

const HELP: &str = "\
Example: lumo-bridge reconcile --against 'SELECT deposit_id, amount FROM bookings'

Exit code: 0 if nothing differs, 1 if anything differs or the work fails, 2 if the statement cannot be used or
`lumo.settled_statuses` names no status.";

/// What is compared.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// One SELECT that gives the columns `deposit_id` and `amount` of what is booked; it runs in the database of
    /// `database.url`, beside the lumo_ tables
    #[arg(long, value_name = "SELECT")]
    against: String,
    /// Print CSV: a header line, then a line for each difference
    #[arg(long)]
    csv: bool,
}

/// Prints the differences as they are found; those of a table at the end.
struct Output<'a> {
    context: &'a Context,
    is_csv: bool,
    has_header: bool,
    table: Vec<Difference>,
    /// Why one could not be printed.
    failure: Option<anyhow::Error>,
}

impl Output<'_> {
    fn add(&mut self, difference: Difference) {
        let printer = self.context.printer();
        if self.is_csv {
            self.header();
            printer.csv(&csv::row(&Shown::of(&difference)));
        } else if printer.json() {
            let printed = printer.record(&Shown::of(&difference));
            self.failure = self.failure.take().or(printed.err());
        } else if self.table.len() < MAX_SHOWN {
            self.table.push(difference);
        }
    }

    /// Not before the statement is known to be right: what is wrong with it is all that is said then.
    fn header(&mut self) {
        if self.is_csv && !self.has_header {
            self.context.printer().csv(&csv::header::<Shown>());
            self.has_header = true;
        }
    }

    fn finish(mut self, counts: &Counts) -> Result<(), Failure> {
        self.header();
        if !self.table.is_empty() {
            self.context.printer().table(&view::table(&self.table, self.context.clock().now()));
        }
        let left_out = counts.differences().saturating_sub(u64::try_from(self.table.len()).unwrap_or(u64::MAX));
        if left_out > 0 && !self.table.is_empty() {
            self.context.printer().say(format!("and {left_out} more; `--csv` or `--json` print them all"));
        }
        self.failure.map_or(Ok(()), |error| Err(Failure::work(error)))
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if args.csv && context.printer().json() {
        return Err(Failure::usage("`--csv` and `--json` are two forms of one list: give one of them"));
    }
    let select =
        Select::parse(&args.against).map_err(|error| Failure::usage(format!("--against: the statement {error}")))?;
    let mut output = Output { context, is_csv: args.csv, has_header: false, table: Vec::new(), failure: None };
    let (database, rule) = context
        .with_store(async |config, store| {
            let statuses = named(config)?;
            let progress = store.progress(Listing::Deposits).await?;
            let Some(through) = progress.complete_through else {
                return Err(unread(progress.last_error.as_deref()));
            };
            Ok((config.database.clone(), Rule { through, statuses }))
        })
        .await?;
    let through = rule.through;
    let compared = reconcile(&database, &select, rule, TIME_LIMIT, |difference| output.add(difference)).await;
    let counts = compared.map_err(failed)?;
    output.finish(&counts)?;
    for line in summary(&counts, through, context.clock().now()) {
        context.printer().say(line);
    }
    if counts.differences() > 0 { Err(Failure::said()) } else { Ok(()) }
}

/// Nothing is known to be complete. `why` is what the last round said; where reading again leads nowhere, no hint says so.
fn unread(why: Option<&str>) -> Failure {
    let unread = "nothing can be judged: the deposits were never read completely";
    let Some(why) = why else {
        return Failure::work(anyhow::anyhow!(unread)).with_hint("`lumo-bridge sync deposits` reads them");
    };
    let hint = if why == Doubt::NoTotal.to_string() {
        "no reading proves a list without a total; compare by hand what `lumo-bridge deposit list --settled` shows"
    } else {
        "`lumo-bridge check` examines the API; once that is mended, `lumo-bridge sync deposits` reads them"
    };
    Failure::work(anyhow::anyhow!("{unread}: {why}")).with_hint(hint)
}

fn failed(error: ReconcileError) -> Failure {
    match error {
        ReconcileError::Statement(problem) => Failure::usage(format!("--against: {problem}")),
        ReconcileError::OutOfTime => Failure::work(error.into()).with_hint(format!(
            "it may take {}; have the statement give less, such as the bookings of a year",
            Span(TIME_LIMIT)
        )),
        ReconcileError::Store(error) => error.into(),
        error @ ReconcileError::Order(_) => Failure::work(error.into()),
    }
}

/// What the comparison came to, the most important first.
fn summary(counts: &Counts, through: DateTime<Utc>, now: DateTime<Utc>) -> Vec<String> {
    let judged = format!("judged through {} ({})", rfc3339(through), past(through, now));
    let Counts { settled, bookings, newer, newer_bookings, former, former_bookings, .. } = counts;
    let compared =
        format!("settled deposits: {settled}, bookings: {bookings}{}", of_others(*newer_bookings, *former_bookings));
    let kinds = Kind::ALL.into_iter().filter(|kind| counts.of(*kind) > 0);
    let kinds: Vec<String> = kinds.map(|kind| format!("{} {}", words(kind), counts.of(kind))).collect();
    let mut lines = vec![match kinds.as_slice() {
        [] => format!("nothing differs; {compared}; {judged}"),
        kinds => format!("differences: {}: {}; {compared}; {judged}", counts.differences(), kinds.join(", ")),
    }];
    if *newer > 0 {
        lines.push(format!("newer deposits, not judged: {newer}"));
    }
    if *former > 0 {
        lines.push(format!("booked deposits of a former company, not judged: {former}"));
    }
    lines
}

/// How many of the bookings are about deposits that were not judged, so that the numbers of both sides can be compared.
fn of_others(newer: u64, former: u64) -> String {
    let newer = match newer {
        0 => None,
        1 => Some("1 of a newer deposit".to_owned()),
        _ => Some(format!("{newer} of newer deposits")),
    };
    let former = (former > 0).then(|| format!("{former} of a former company"));
    let others: Vec<String> = newer.into_iter().chain(former).collect();
    if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) }
}

const fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::NotBooked => "settled and not booked",
        Kind::NotThere => "booked and not there",
        Kind::NotSettled => "booked and not settled",
        Kind::OtherAmount => "booked with another amount",
        Kind::Unreadable => "not comparable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookings_of_what_was_not_judged_are_set_apart() {
        let now = "2026-05-04T10:11:12Z".parse().unwrap();
        let said = |bookings, newer, former| {
            let mut counts = Counts::default();
            (counts.settled, counts.bookings) = (1, bookings);
            (counts.newer_bookings, counts.former_bookings) = (newer, former);
            summary(&counts, now, now).remove(0)
        };
        for (said, bookings) in [
            (said(1, 0, 0), "1"),
            (said(2, 1, 0), "2 (1 of a newer deposit)"),
            (said(9, 5, 3), "9 (5 of newer deposits, 3 of a former company)"),
        ] {
            let judged = "judged through 2026-05-04T10:11:12Z (just now)";
            assert_eq!(said, format!("nothing differs; settled deposits: 1, bookings: {bookings}; {judged}"));
        }
    }
}

//! `deposit statuses`: what a merchant looks at before saying which statuses mean that the money is there.

use std::time::Duration;

use crate::app;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::style::GREEN;
use crate::cli::table::{Cell, Column, Table};
use crate::cli::time::past;
use crate::model::draft::rfc3339;
use crate::setting::Span;
use crate::view::Statuses;

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let statuses = context
        .with_store(async |config, store| Ok(Statuses::load(store, &app::settled_statuses(config)).await?))
        .await?;
    let printer = context.printer();
    if printer.json() {
        return Ok(printer.document(&statuses)?);
    }
    if statuses.statuses.is_empty() {
        printer.say("no deposits");
        return Ok(());
    }
    let mut table =
        Table::new([Column::new("STATUS").flexible(), Column::new("DEPOSITS").right(), Column::new("SETTLED")]);
    for status in &statuses.statuses {
        let settled = if status.is_settled { Cell::new("yes").styled(GREEN) } else { Cell::new("no") };
        table.row([Cell::new(&status.status), Cell::new(status.deposits), settled]);
    }
    printer.table(&table);
    let since = statuses.since.map_or_else(|| "the first import".to_owned(), rfc3339);
    if statuses.transitions.is_empty() {
        printer.say(format!("no deposit has changed its status since {since}"));
    } else {
        printer.line("");
        printer.table(&transitions(context, &statuses));
        printer.say(format!(
            "changes are counted since {since}; times are from when the bridge saw one status to the other"
        ));
    }
    if !statuses.statuses.iter().any(|status| status.is_settled) {
        printer
            .say("no status counts as settled: name those that mean \"the money is there\" in `lumo.settled_statuses`");
    }
    Ok(())
}

fn transitions(context: &Context, statuses: &Statuses) -> Table {
    let mut table = Table::new([
        Column::new("FROM").flexible(),
        Column::new("TO").flexible(),
        Column::new("TIMES").right(),
        Column::new("AFTER").right(),
        Column::new("LAST"),
    ]);
    let now = context.clock().now();
    for one in &statuses.transitions {
        let after = Span(Duration::from_secs(u64::try_from(one.average_seconds).unwrap_or(0)));
        table.row([
            Cell::new(&one.from),
            Cell::new(&one.to),
            Cell::new(one.times),
            Cell::new(after),
            Cell::new(past(one.last_at, now)),
        ]);
    }
    table
}

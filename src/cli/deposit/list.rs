//! `deposit list`: for people, for scripts, and as CSV for accountants.

use crate::app;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::filter::{Limit, User};
use crate::cli::view;
use crate::config::Config;
use crate::setting::Since;
use crate::store::Store;
use crate::store::query::DepositFilter;
use crate::view::{Deposit, csv};

const NONE_NAMED: &str = "no status counts as settled: `lumo.settled_statuses` names none";
const NAME_SOME: &str = "`lumo-bridge deposit statuses` shows which there are";

/// Rows that CSV is made of at a time. Each is read with its item as listed, which may have some kilobytes.
const PAGE: u64 = 500;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    user: User,
    /// Only those paid to this address
    #[arg(long)]
    address: Option<String>,
    /// Only those of this transaction
    #[arg(long, value_name = "HASH")]
    tx_hash: Option<String>,
    /// Only in this status, as Lumo spells it
    #[arg(long)]
    status: Option<String>,
    /// Only those that are settled, by `lumo.settled_statuses`
    #[arg(long)]
    settled: bool,
    /// Only from then on: a time such as 2026-01-01T00:00:00Z, a date, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only from before then, written alike; a date is its first moment in UTC
    #[arg(long, value_name = "TIME")]
    until: Option<Since>,
    #[command(flatten)]
    limit: Limit,
    /// Print CSV: a header line, then all that match, unless `--limit` is given
    #[arg(long)]
    csv: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if args.csv && context.printer().json() {
        return Err(Failure::usage("`--csv` and `--json` are two forms of one list: give one of them"));
    }
    let (is_csv, is_settled, limit, now) = (args.csv, args.settled, args.limit, context.clock().now());
    let (since, until) = (args.since.map(|since| since.before(now)), args.until.map(|until| until.before(now)));
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(Failure::usage("no deposit is left over: `--since` is not before `--until`"));
    }
    let filter = DepositFilter {
        external_id: args.user.external_id,
        address: args.address,
        tx_hash: args.tx_hash,
        status: args.status,
        since,
        until,
        ..DepositFilter::default()
    };
    let listed = context.with_store(async |config, store| {
        let settled = is_settled.then(|| named(config)).transpose()?;
        let filter = DepositFilter { settled, ..filter };
        if is_csv {
            print_csv(context, store, &filter, limit).await?;
            return Ok(None);
        }
        Ok(Some(store.list_deposits(&DepositFilter { limit: limit.probe(), ..filter }).await?))
    });
    listed.await?.map_or(Ok(()), |deposits| view::list_to_limit(context, deposits, limit))
}

/// The statuses that count as settled, of which there must be one.
pub(in crate::cli) fn named(config: &Config) -> Result<Vec<String>, Failure> {
    let named = app::settled_statuses(config);
    if named.is_empty() {
        return Err(Failure::usage(NONE_NAMED).with_hint(NAME_SOME));
    }
    Ok(named)
}

/// Prints page by page, so that a long list is never in memory.
async fn print_csv(context: &Context, store: &Store, filter: &DepositFilter, limit: Limit) -> Result<(), Failure> {
    let printer = context.printer();
    printer.csv(&csv::header::<Deposit>());
    let (mut left, mut after) = (limit.asked().unwrap_or(u64::MAX), None);
    while left > 0 {
        let rows = store.list_deposits(&DepositFilter { after, limit: left.min(PAGE), ..filter.clone() }).await?;
        let Some(last) = rows.last() else { break };
        printer.csv(&rows.iter().map(|row| csv::row(&Deposit::brief(row))).collect::<String>());
        left = left.saturating_sub(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        after = Some((last.created_at, last.id.clone()));
    }
    Ok(())
}

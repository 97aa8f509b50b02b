//! `sync`: one pass now; `sync rejects`: what could not be read.

mod patience;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lumo_bridge_entity::run::Outcome;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::failure::Failure;
use super::filter::Limit;
use super::progress;
use super::safe;
use super::style::{BOLD, DIM, GREEN, YELLOW};
use super::view;
use crate::app;
use crate::lumo::Client;
use crate::model::Listing;
use crate::store::{Ending, RejectFilter};
use crate::sync::{Lead, Options, Report, Syncer, Tally};
use crate::view::Round;
use patience::{Next, Patience};

/// The wait before a list is read once more that could not be proved.
const PAUSE: Duration = Duration::from_secs(1);

/// What to sync.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: lumo-bridge sync deposits --dry-run", args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// wallets, blocked, deposits or all
    #[arg(default_value = "all", value_parser = parse_listings, value_name = "LISTING")]
    listings: Listings,
    /// Read the whole list, in pages of `lumo.page_size`, whatever size the server was seen to keep to
    #[arg(long)]
    full: bool,
    /// Read the whole list, again if need be, until everything that is listed now is certain to be in the tables; give up when
    /// nothing new has come for two minutes, or the server tells no total; exit with 1
    /// while rows that left the list are held back
    #[arg(long, conflicts_with = "dry_run")]
    until_complete: bool,
    /// Read the whole list twice, and mark all rows as missing that are no longer in it, however many they are
    #[arg(long, conflicts_with = "dry_run")]
    accept_removals: bool,
    /// Read the whole list, show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the items that could not be read: in which list, why, and since when
    #[command(after_help = "Example: lumo-bridge sync rejects --json")]
    Rejects {
        #[command(flatten)]
        limit: Limit,
    },
}

type Listings = Arc<[Listing]>;

fn parse_listings(text: &str) -> Result<Listings, String> {
    if text == "all" {
        return Ok(Listing::ALL.into());
    }
    text.parse()
        .map(|listing| Arc::from([listing]))
        .map_err(|_| format!("`{text}` is no listing; take wallets, blocked, deposits or all"))
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if let Some(Command::Rejects { limit }) = args.command {
        let filter = RejectFilter { limit: limit.probe(), ..RejectFilter::default() };
        let rejects = context.with_store(async |_, store| Ok(store.list_rejects(&filter).await?)).await?;
        return view::list_to_limit(context, rejects, limit);
    }
    let config = context.load_quietly()?.config;
    let client = context.client(&config)?;
    if !args.dry_run {
        context.migrate(&config).await?;
    }
    let store = context.store_to_publish(&config).await?;
    if !args.dry_run {
        store.introduce_endpoints(context.clock().now()).await?;
    }
    let syncer = app::syncer(&config, store.clone(), client, context.clock().clone());
    let lines = if args.dry_run {
        listings(context, &args, &syncer).await?
    } else {
        let lead = Lead::new(store.clone(), context.clock().clone());
        let over = CancellationToken::new();
        let work = async {
            lead.decided().await;
            let lines = listings(context, &args, &syncer).await;
            over.cancel();
            lines
        };
        tokio::join!(work, lead.keep(&syncer, &over)).0?
    };
    // Whoever waits for the end of this believes the tables to be equal to the list.
    let is_done = |report: &Report| {
        report.outcome == Outcome::Complete && !(args.until_complete && report.removals_held.is_some())
    };
    let all_done = lines.iter().all(is_done);
    if context.printer().json() {
        context.printer().document(&lines.iter().map(Round::of).collect::<Vec<_>>())?;
    }
    store.close().await;
    if all_done { Ok(()) } else { Err(Failure::said()) }
}

/// Reads the listings and prints what came of each.
async fn listings(context: &Context, args: &Args, syncer: &Syncer<Client>) -> Result<Vec<Report>, Failure> {
    let ending = if args.dry_run { Ending::RollBack } else { Ending::Commit };
    let mut reports = Vec::new();
    for &listing in &*args.listings {
        let bar = progress::bar(context.printer(), listing);
        let observe = |tally: &Tally| progress::show(&bar, tally);
        let accept_removals = args.accept_removals;
        let options = Options { ending, probe_page_size: args.full, accept_removals, observe: &observe };
        let stop = &context.stop().soft;
        let whole = args.full || args.dry_run || args.until_complete || accept_removals;
        let whole = whole || syncer.import_pending(listing).await?;
        let mut patience = Patience::new(Instant::now());
        let mut given_up = None;
        let result = loop {
            let result = match whole {
                true => syncer.pass(listing, &options, stop).await,
                false => syncer.tick(listing, &options, stop).await,
            };
            let incomplete = result.as_ref().ok().filter(|report| report.outcome == Outcome::Incomplete);
            let Some(report) = incomplete.filter(|_| args.until_complete) else { break result };
            match patience.judge(report, Instant::now()) {
                Next::Again => {}
                Next::SayAndAgain(words) => bar.suspend(|| context.printer().say(safe::text(&words))),
                Next::GiveUp(words) => {
                    given_up = Some(words);
                    break result;
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                break result;
            }
        };
        bar.finish_and_clear();
        let report = result
            .map_err(|error| Failure::work(anyhow::Error::new(error).context(format!("{listing} not synced"))))?;
        if !context.printer().json() {
            print(context, &report, args.dry_run);
        }
        if let Some(words) = given_up {
            context.printer().say(words);
        }
        reports.push(report);
    }
    Ok(reports)
}

fn print(context: &Context, report: &Report, dry_run: bool) {
    let printer = context.printer();
    let Tally { requests, rows, appeared, changed, events, rejected, vanished, .. } = report.tally;
    let mark = match report.outcome {
        Outcome::Complete => format!("{GREEN}✓{GREEN:#}"),
        _ => format!("{YELLOW}!{YELLOW:#}"),
    };
    let duration_ms = report.duration_ms();
    printer.line(format!(
        "{mark} {BOLD}{:<8}{BOLD:#} {rows} rows, {appeared} new, {changed} changed, {events} {}  \
         {DIM}{requests} requests, {duration_ms} ms{DIM:#}",
        report.listing.as_str(),
        if events == 1 { "event" } else { "events" },
    ));
    if vanished > 0 {
        printer.line(format!("           rows that are no longer listed, and marked as missing now: {vanished}"));
    }
    if let Some(held) = &report.removals_held {
        printer.line(format!("           {}", safe::text(held)));
    }
    if rejected > 0 {
        printer
            .line(format!("           items that cannot be read: {rejected}; `lumo-bridge sync rejects` lists them"));
    }
    if let Some(doubt) = &report.doubt {
        printer.line(format!("           not complete: {}", safe::text(doubt)));
    }
    if dry_run {
        for (kind, object) in &report.preview {
            printer.line(format!("           would announce {kind} {}", safe::text(object)));
        }
    }
}

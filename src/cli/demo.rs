//! `demo`: everything at work in one process, with nothing to configure.
//!
//! An upstream simulator whose world changes all the time, the bridge on a throw-away SQLite file, and a receiver that
//! verifies each callback and credits settled deposits. Nothing is staged: the bridge is the daemon that `run` starts, and
//! what is printed is what the simulator did and what the receiver got. At the end the tables are compared with the
//! simulator's world.

mod book;
mod compare;
mod show;
mod verdict;

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use lumo_simulator::{Quirks, Receiver, ReceiverConfig, Simulator, SimulatorConfig, Step, World};
use rand::RngExt;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::failure::Failure;
use super::progress;
use crate::app::{self, Daemon};
use crate::config::Config;
use crate::lifecycle::Stop;
use crate::model::Listing;
use crate::setting::Span;
use crate::store::{Store, schema};
use crate::sync::{Options, Right, Tally};
use crate::telemetry;

use show::Show;

/// How lively it is, and when it ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: lumo-bridge demo --for 20s")]
pub(super) struct Args {
    /// End after this time [default: at Ctrl-C]
    #[arg(long = "for", value_name = "TIME")]
    duration: Option<Span>,
    /// End when so many callbacks were delivered
    #[arg(long, value_name = "N")]
    until_delivered: Option<usize>,
    /// Wallets that are there from the start
    #[arg(long, default_value_t = 200)]
    wallets: usize,
    /// Deposits that are there from the start
    #[arg(long, default_value_t = 1000)]
    deposits: usize,
    /// Changes a second
    #[arg(long, default_value_t = 2.0, value_parser = parse_pace)]
    pace: f64,
}

fn parse_pace(text: &str) -> Result<f64, String> {
    let pace = text.parse::<f64>().ok().filter(|pace| (0.01..=1000.0).contains(pace));
    pace.ok_or_else(|| format!("`{text}` is no pace; take a number from 0.01 to 1000"))
}

/// How long catching up may take when the world has stopped; it is done in seconds.
const CATCH_UP: Duration = Duration::from_secs(60);
/// The same after a signal, as the process has ten seconds then.
const CATCH_UP_IN_A_HURRY: Duration = Duration::from_secs(7);
/// That a wallet is no longer blocked is believed when it is seen twice, 30 s apart.
const BELIEVED_AFTER: Duration = Duration::from_secs(60);
/// The receiver has a bad moment now and then, so that one sees what happens.
const HICCUP_EVERY: usize = 8;

const SECRET: &str = "whsec_ZGVtb25zdHJhdGlvbi1vbmx5LXNlY3JldC0wMDAx";

/// All that runs.
struct Stage {
    world: World,
    simulator: Simulator,
    receiver: Receiver,
    store: Store,
    folder: TempDir,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let show = Show::new(context.printer().clone());
    telemetry::start(&telemetry::Config { format: telemetry::Format::Text, level: "error".to_owned().into() }, None)?;

    let world = World::live(rand::random());
    world.seed(args.wallets, args.deposits);
    let simulator = Simulator::start(SimulatorConfig {
        latency: Duration::from_millis(15),
        ..SimulatorConfig::local(world.clone(), Quirks::default())
    });
    let simulator = simulator.await.context("simulator not started")?;
    let receiver =
        Receiver::start(ReceiverConfig::local(vec![SECRET.to_owned()])).await.context("receiver not started")?;
    let folder = TempDir::with_prefix("lumo-bridge-demo-").context("no temporary folder")?;
    let config = config(&simulator, &receiver, &folder)?;
    show.opening(&simulator, &receiver, &config);

    let endpoints = app::endpoints(&config.callbacks)?;
    schema::up(&config.database).await?;
    let store = Store::open(&config.database, app::subscribers(&endpoints)).await?;
    let stage = Stage { world, simulator, receiver, store, folder };
    import(context, &stage, &config, &show).await?;

    let stop = Stop::default();
    let client = app::client(&config)?;
    let syncer = app::syncer(&config, stage.store.clone(), client, context.clock().clone());
    // The daemon leads; what it remembers is left alone.
    syncer.write_by(Right::Guest);
    let daemon = Daemon { config, clock: context.clock().clone(), endpoints };
    let end = ending(context, &stage, &args);
    let (daemon, verdict, ()) = tokio::join!(
        Box::pin(daemon.run(&stop)),
        async {
            let Changes { count, unblocked } = change(&stage, &args, &show, end).await;
            show.catching_up();
            let patience = if context.stop().soft.is_cancelled() { CATCH_UP_IN_A_HURRY } else { CATCH_UP };
            let lately =
                unblocked.into_iter().filter(|(_, at)| at.elapsed() < BELIEVED_AFTER).map(|(id, _)| id).collect();
            let verdict = compare::catch_up(&stage, &syncer, &lately, count, patience).await;
            stop.soft.cancel();
            verdict
        },
        show_callbacks(&stage, &show, &stop.soft),
    );
    daemon?;
    let verdict = verdict?;
    let Stage { simulator, receiver, store, folder, .. } = stage;
    store.close().await;
    simulator.shutdown().await;
    receiver.shutdown().await;
    drop(folder);
    show.summary(&verdict)?;
    if verdict.is_good() { Ok(()) } else { Err(Failure::said()) }
}

/// A configuration file as anybody would write it, for the addresses at hand.
fn config(simulator: &Simulator, receiver: &Receiver, folder: &TempDir) -> Result<Config, Failure> {
    let database = folder.path().join("demo.db");
    let text = format!(
        r#"
database: {{ url: "sqlite://{database}" }}
lumo:
  base_url: {upstream}
  api_key: {{ value: "{key}" }}
  rate: 200/s
  settled_statuses: [confirmed]
sync:
  deposits: {{ schedule: "* * * * * *" }}
  blocked: {{ schedule: "* * * * * *" }}
  wallets: {{ schedule: "* * * * * *" }}
callbacks:
  endpoints:
    demo:
      url: {receiver}
      events: ["*"]
      secrets: [{{ value: {SECRET} }}]
      retry: {{ schedule: [1s, 2s, 4s, 8s] }}
server: {{ listen: null }}
"#,
        database = database.display(),
        upstream = simulator.base_url(),
        key = simulator.world().api_key(),
        receiver = receiver.url("/hooks/lumo"),
    );
    let path = folder.path().join("lumo-bridge.yaml");
    std::fs::write(&path, text).context("configuration not written")?;
    Ok(Config::load(Some(&path), [])?.config)
}

/// The first import, with a bar for each listing.
async fn import(context: &Context, stage: &Stage, config: &Config, show: &Show) -> Result<(), Failure> {
    let syncer = app::syncer(config, stage.store.clone(), app::client(config)?, context.clock().clone());
    for listing in Listing::ALL {
        let bar = progress::bar(context.printer(), listing);
        let observe = |tally: &Tally| progress::show(&bar, tally);
        let options = Options { observe: &observe, ..Options::default() };
        let report = syncer.pass(listing, &options, &context.stop().soft).await;
        bar.finish_and_clear();
        show.imported(&report.context("first import failed")?);
    }
    Ok(())
}

/// Cancelled when the demonstration is to end: at a signal, after a time, or after so many callbacks.
fn ending(context: &Context, stage: &Stage, args: &Args) -> impl Future<Output = ()> {
    let soft = context.stop().soft.clone();
    let mut received = stage.receiver.subscribe();
    let (duration, wanted) = (args.duration.map(Span::get), args.until_delivered);
    async move {
        let time = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        let enough = async {
            let Some(wanted) = wanted else { return std::future::pending().await };
            let mut delivered = 0;
            while delivered < wanted {
                match received.recv().await {
                    Ok(callback) => delivered += usize::from(callback.succeeded()),
                    Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                }
            }
        };
        tokio::select! {
            () = soft.cancelled() => {}
            () = time => {}
            () = enough => {}
        }
    }
}

/// What was done to the world.
#[derive(Default)]
struct Changes {
    count: usize,
    /// When each wallet was unblocked that was.
    unblocked: HashMap<String, Instant>,
}

/// Lets the world change until the end.
async fn change(stage: &Stage, args: &Args, show: &Show, end: impl Future<Output = ()>) -> Changes {
    let mut end = pin!(end);
    let mut changes = Changes::default();
    let mut next = Instant::now();
    loop {
        next += Duration::from_secs_f64((1.0 / args.pace) * rand::rng().random_range(0.4..1.6));
        tokio::select! {
            () = &mut end => return changes,
            () = tokio::time::sleep_until(next) => {}
        }
        if changes.count % HICCUP_EVERY == HICCUP_EVERY - 1 {
            stage.receiver.fail_next(1, 503);
        }
        let step = stage.world.random_step();
        if let Step::WalletUnblocked(wallet) = &step {
            changes.unblocked.insert(wallet.id.to_string(), Instant::now());
        }
        show.change(&step);
        changes.count += 1;
    }
}

/// Shows what the receiver gets, until `stop`.
async fn show_callbacks(stage: &Stage, show: &Show, stop: &CancellationToken) {
    let mut received = stage.receiver.subscribe();
    while let Some(callback) = stop.run_until_cancelled(received.recv()).await {
        // Too many to show is no reason to stop showing.
        if let Ok(callback) = callback {
            show.callback(&callback);
        }
    }
}

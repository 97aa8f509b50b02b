//! Every listing on its schedule, and what else goes on for as long as the process leads.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::schedule_of;
use crate::chain::Chain;
use crate::clock::Clock;
use crate::config::Config;
use crate::lifecycle::Stop;
use crate::lumo::Client;
use crate::model::Listing;
use crate::retention::Retention;
use crate::schedule::{self, First};
use crate::store::Store;
use crate::sync::config::FirstImport;
use crate::sync::{Lead, Syncer};

/// How long passes stay in the history.
const RUNS_KEPT: TimeDelta = TimeDelta::days(14);
/// How often what is over is pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// How often to look whether a sweep cannot wait for its time.
const SWEEP_LOOK: Duration = Duration::from_secs(10);
/// Pages that a sweep reads before it hands over what it has learned.
const SWEEP_SLICE: u64 = 50;

/// The first import, if there is one to make, and then every listing on its schedule; all of it only while this process
/// is the one that reads.
pub(super) async fn keep_in_step(
    config: Config,
    syncer: Arc<Syncer<Client>>,
    lead: Arc<Lead>,
    store: Store,
    clock: Clock,
    stop: Stop,
) {
    let (lead, syncer, stop) = (&lead, &syncer, &stop);
    let listings = async {
        if lead.held(&stop.soft).await {
            import(&config, syncer, stop).await;
        }
        let rounds = Listing::ALL.map(|listing| {
            let round = move || async move {
                if lead.is_held() {
                    syncer.on_schedule(listing, &stop.soft).await;
                }
            };
            Box::pin(schedule::run(
                listing.as_str(),
                schedule_of(&config, listing),
                First::WhenDue,
                &clock,
                &stop.soft,
                round,
            ))
        });
        let begin = || sweep(syncer, lead, stop, Sweeps::All);
        let sweeps =
            Box::pin(schedule::run("sweep", &config.sync.sweep.schedule, First::WhenDue, &clock, &stop.soft, begin));
        let urgent = Box::pin(every(SWEEP_LOOK, stop, || sweep(syncer, lead, stop, Sweeps::Due)));
        let [wallets, blocked, deposits] = rounds;
        tokio::join!(wallets, blocked, deposits, sweeps, urgent);
    };
    let retention = Retention::new(store.clone(), clock.clone(), config.callbacks.retention.clone());
    let prune = every(PRUNE_EVERY, stop, || async {
        if let Err(error) = store.forget_runs(clock.now() - RUNS_KEPT).await {
            tracing::warn!(error = %Chain(&error), "history of passes not pruned");
        }
        if lead.is_held() {
            retention.prune(&stop.soft).await;
        }
    });
    // The lease is given back last, when no round is under way any more.
    let over = CancellationToken::new();
    let working = async {
        tokio::join!(listings, prune);
        over.cancel();
    };
    tokio::join!(Box::pin(working), Box::pin(lead.keep(syncer, &over)));
}

/// Does something again and again, until the process is to end.
async fn every<Job: Future<Output = ()>>(pause: Duration, stop: &Stop, mut job: impl FnMut() -> Job) {
    while stop.soft.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        job().await;
    }
}

/// Which sweeps to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sweeps {
    All,
    /// Those that a restart interrupted, and those that cannot wait for their time.
    Due,
}

/// Sweeps the listings, one after the other, each to its end.
async fn sweep(syncer: &Syncer<Client>, lead: &Lead, stop: &Stop, which: Sweeps) {
    for listing in Listing::ALL {
        let wanted = match which {
            Sweeps::All => !syncer.import_pending(listing).await.unwrap_or(true),
            Sweeps::Due => syncer.sweep_is_due(listing).await.unwrap_or(false),
        };
        while wanted && lead.is_held() && !stop.soft.is_cancelled() {
            match syncer.sweep(listing, SWEEP_SLICE, &stop.soft).await {
                Ok(Some(report)) => {
                    report.log("sweep");
                    break;
                }
                Ok(None) => {}
                // The rounds say so already.
                Err(error) if error.is_unauthorized() => break,
                Err(error) => {
                    syncer.log_sweep_failure(listing, &error);
                    break;
                }
            }
        }
    }
}

/// Wallets before deposits, so that the event of a deposit that names only its wallet names its user. Where nothing is
/// told there is no such event, and the lists are read side by side.
async fn import(config: &Config, syncer: &Syncer<Client>, stop: &Stop) {
    let [wallets, blocked, deposits] = Listing::ALL.map(|listing| Box::pin(import_one(syncer, listing, stop)));
    if config.sync.first_import == FirstImport::Silent {
        tokio::join!(wallets, blocked, deposits);
    } else {
        wallets.await;
        blocked.await;
        deposits.await;
    }
}

async fn import_one(syncer: &Syncer<Client>, listing: Listing, stop: &Stop) {
    match syncer.import_pending(listing).await {
        _ if stop.soft.is_cancelled() => {}
        Ok(false) => {}
        Ok(true) => {
            tracing::info!(%listing, "first import");
            syncer.on_schedule(listing, &stop.soft).await;
        }
        Err(error) => tracing::warn!(%listing, error = %Chain(&error), "progress cannot be read"),
    }
}

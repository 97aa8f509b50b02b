//! Every listing on its schedule, and what else goes on for as long as the process leads.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::schedule_of;
use super::watch::look_after;
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
/// How often to look whether something is due to be looked at again.
const FOLLOW_UP_LOOK: Duration = Duration::from_millis(500);
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
        let sweep = || syncer.sweep_wanted(SWEEP_SLICE, || lead.is_held(), &stop.soft);
        let begin = || async {
            if lead.is_held() {
                syncer.want_sweeps();
                sweep().await;
            }
        };
        let sweeps =
            Box::pin(schedule::run("sweep", &config.sync.sweep.schedule, First::WhenDue, &clock, &stop.soft, begin));
        let urgent = Box::pin(every(SWEEP_LOOK, stop, sweep));
        let follow_ups = Listing::ALL.map(|listing| {
            let follow_up = move || async move {
                if lead.is_held() {
                    syncer.follow_up(listing, &stop.soft).await;
                }
            };
            Box::pin(every(FOLLOW_UP_LOOK, stop, follow_up))
        });
        let looks = Box::pin(look_after(&config, syncer, lead, &store, &clock, stop));
        let [wallets, blocked, deposits] = rounds;
        tokio::join!(wallets, blocked, deposits, sweeps, urgent, looks, join_all(follow_ups));
    };
    let retention = Retention::new(store.clone(), clock.clone(), config.callbacks.retention.clone());
    let prune = every(PRUNE_EVERY, stop, || async {
        if let Err(error) = store.forget_runs(clock.now() - RUNS_KEPT).await {
            tracing::warn!(error = %Chain(&error), "history of passes not pruned");
        }
        if let Err(error) = store.forget_watches(clock.now()).await {
            tracing::warn!(error = %Chain(&error), "watches that are over not removed");
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

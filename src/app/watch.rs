//! Looks for deposits of watched users, for as long as the process reads.

use std::collections::HashSet;

use chrono::TimeDelta;
use tokio::time::MissedTickBehavior;

use crate::chain::Chain;
use crate::clock::Clock;
use crate::config::Config;
use crate::lifecycle::Stop;
use crate::lumo::Client;
use crate::model::id::ExternalId;
use crate::outage::{News, Outage};
use crate::store::{self, Store};
use crate::sync::tail::watch::Plan;
use crate::sync::{Lead, Syncer};

/// Odd rows that are remembered, so that each is named once.
const MAX_NAMED: usize = 1_000;

/// How often watched users are looked for, and what that may cost.
#[must_use]
pub fn watch_plan(config: &Config) -> Plan {
    let watch = &config.sync.watch;
    let every = watch.every.get();
    let requests = config.lumo.rate.per_second() * watch.budget.fraction() * every.as_secs_f64();
    let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
    Plan { every, requests: whole(requests), most: watch.most }
}

/// At least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is positive, and saturates")]
fn whole(requests: f64) -> u64 {
    requests.max(1.0) as u64
}

/// What the log has said of the rows of `lumo_watches`.
#[derive(Default)]
struct Told {
    odd: HashSet<String>,
    is_cut: bool,
    outage: Outage,
}

pub(super) async fn look_after(
    config: &Config,
    syncer: &Syncer<Client>,
    lead: &Lead,
    store: &Store,
    clock: &Clock,
    stop: &Stop,
) {
    let plan = watch_plan(config);
    let mut looks = tokio::time::interval(config.sync.watch.every.get());
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Told::default();
    while stop.soft.run_until_cancelled(looks.tick()).await.is_some() {
        if !lead.is_held() {
            continue;
        }
        let looked = match named(store, clock, plan.most, &mut told).await {
            Ok(users) => match stop.soft.run_until_cancelled(syncer.look_for(&users, plan, &stop.soft)).await {
                // That is no failure: the lease ended meanwhile. If this process has another one, it looks again under that.
                Some(Err(error)) if error.is_fenced() => {
                    tracing::debug!(error = %Chain(&error), "watched users not looked for");
                    continue;
                }
                Some(Err(error)) => Err(Chain(&error).to_string()),
                Some(Ok(_)) | None => Ok(()),
            },
            Err(error) => Err(Chain(&error).to_string()),
        };
        told.note(looked);
    }
}

/// The users that rows of the table name.
async fn named(store: &Store, clock: &Clock, most: u32, told: &mut Told) -> Result<Vec<ExternalId>, store::Error> {
    let now = clock.now();
    store.cut_watches(now).await?;
    let watches = store.watches(now, most.into()).await?;
    for odd in watches.odd {
        if told.odd.len() < MAX_NAMED && told.odd.insert(odd.clone()) {
            tracing::warn!(row = ?odd, "a row of lumo_watches names no user, or no time; it is passed over");
        }
    }
    if watches.is_cut && !told.is_cut {
        tracing::warn!(most, "more users are watched than `sync.watch.most` allows; those that end first are left out");
    }
    told.is_cut = watches.is_cut;
    Ok(watches.users.into_iter().map(|watch| watch.external_id).collect())
}

impl Told {
    /// The rounds say what fails; that watched users are not looked for either is said once.
    fn note(&mut self, looked: Result<(), String>) {
        let now = std::time::Instant::now();
        let Err(error) = looked else {
            if let News::Over { lasted, .. } = self.outage.succeeded(now) {
                tracing::info!(lasted_s = lasted.as_secs(), "watched users are looked for again");
            }
            return;
        };
        match self.outage.failed(now) {
            News::Begun => tracing::warn!(error, "watched users cannot be looked for; the rounds go on trying"),
            _ => tracing::debug!(error, "watched users not looked for"),
        }
    }
}

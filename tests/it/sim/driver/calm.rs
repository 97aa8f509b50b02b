//! The end of a seed: the company stands still, and what was promised of that is judged.
//!
//! First the tables become what the lists show, in a bounded number of rounds. Then rounds cost next to nothing and are
//! complete, whatever happened before: a process that was killed, a round that failed, a command beside the daemon.

use chrono::TimeDelta;
use lumo_bridge::model::Listing;
use lumo_bridge_entity::run::Outcome;

use super::{Driver, WHOLE, words};
use crate::sim::bridge::{Call, Ended};
use crate::sim::frozen::Line;
use crate::sim::model::{Kind, Status, kind};
use crate::sim::oracle::Breaches;
use crate::sim::quirks::{Cap, Plan, Quirks, Total};
use crate::sim::server::Act;
use crate::sim::upset::Upset;

/// How many rounds a world that stands still needs at most until the tables show it: what is left of a sweep, and a whole one, and
/// what it suspects looked at twice, where many others may be due before it; or five more sweeps where rows cannot be asked
/// about alone and are more than may be at a time.
const SETTLING: u32 = 24;

/// In every so many of these rounds there is a sweep.
const SWEEP_EVERY: u32 = 4;

/// Rounds that are counted when nothing is left to be noticed: every kind of round is among them, the one that looks at the
/// other end, too.
const QUIET: u32 = 9;

/// Requests that such a round takes at most.
const QUIET_REQUESTS: usize = 2;

/// Where pages have fewer rows, an end of the list is more than one of them.
const LARGE_PAGE: usize = 80;

/// How many rows more a page has, once the bridge is told so.
const MORE_ROWS: u32 = 7;

/// A list of more pages is not read whole in each round.
const SHORT_PAGES: usize = 2;

impl Driver {
    /// The world stands still until the tables must show it.
    pub(crate) async fn settle(&mut self) -> Result<(), Breaches> {
        self.bridge.server.stand_still();
        self.bridge.server.live().chance.record.push(Line::Settle);
        let mut breaches = self.unsettled().await?;
        if !breaches.is_empty() && self.accept_removals().await? {
            breaches = self.unsettled().await?;
        }
        if breaches.is_empty() { Ok(()) } else { Err(breaches) }
    }

    /// What may be said against the tables after as many rounds as may be needed.
    async fn unsettled(&mut self) -> Result<Breaches, Breaches> {
        let mut breaches = Vec::new();
        for round in 0..SETTLING {
            for listing in self.listings() {
                self.step(Call::Tick(*listing)).await?;
                // What a sweep suspects is for the ticks after it to ask about.
                if round % SWEEP_EVERY == 0 {
                    self.step(Call::Sweep(*listing, WHOLE)).await?;
                }
            }
            self.bridge.pass_time(TimeDelta::seconds(31));
            breaches.clear();
            for listing in self.listings() {
                breaches.extend(self.oracle.judge_settled(&self.bridge.server, kind(*listing)).await);
            }
            if breaches.is_empty() {
                break;
            }
        }
        Ok(breaches)
    }

    /// The operator lets through what the bridge says that it holds back. Whether there is something.
    async fn accept_removals(&mut self) -> Result<bool, Breaches> {
        let mut has_held = false;
        for listing in self.listings() {
            if self.oracle.tables.removals_held(*listing).await > 0 {
                self.step(Call::Accept(*listing)).await?;
                has_held = true;
            }
        }
        Ok(has_held)
    }

    /// Once nothing is left to be noticed, rounds are complete and cost next to nothing.
    pub(crate) async fn idle(&mut self) -> Result<(), Breaches> {
        let listings: Vec<Listing> = self.listings().iter().copied().filter(|of| self.can_be_idle(*of)).collect();
        if listings.is_empty() {
            return Ok(());
        }
        self.age();
        for listing in self.listings() {
            self.sweep_and_confirm(*listing).await?;
            // A row that left and was back before the sweep began leaves a doubt, which the daemon sweeps for at once.
            if self.bridge.syncer().sweep_is_due(*listing).await.unwrap() {
                self.sweep_and_confirm(*listing).await?;
            }
        }
        for listing in listings {
            let upset = self.plan.upset;
            self.upset(upset, listing).await?;
            for round in 0..QUIET {
                self.bridge.pass_time(TimeDelta::seconds(10));
                let found = self.quiet(listing).await?;
                if !found.is_empty() {
                    return Err(found
                        .iter()
                        .map(|breach| format!("{breach}; round {round} after {upset:?}"))
                        .collect());
                }
            }
            let found = self.oracle.tables.troubles(listing).await;
            if !found.is_empty() {
                return Err(vec![format!("nothing is wrong with {listing} after {upset:?}, and said is {found}")]);
            }
        }
        Ok(())
    }

    /// A sweep, and the rounds that ask twice about what it suspects.
    async fn sweep_and_confirm(&mut self, listing: Listing) -> Result<(), Breaches> {
        self.step(Call::Sweep(listing, WHOLE)).await?;
        for _ in 0..3 {
            self.bridge.pass_time(TimeDelta::seconds(31));
            self.step(Call::Tick(listing)).await?;
        }
        Ok(())
    }

    /// Every deposit comes to its end, and the last of all is a week ago.
    pub(crate) fn age(&self) {
        let mut live = self.bridge.server.live();
        live.world.pass_time(TimeDelta::seconds(1));
        for index in 0..live.world.rows(Kind::Deposit).len() {
            let state = live.world.rows(Kind::Deposit)[index].now();
            if state.is_some_and(|state| state.status != Status::Confirmed) {
                live.world.change(Kind::Deposit, index, |state| state.status = Status::Confirmed);
            }
        }
        live.world.pass_time(TimeDelta::days(8));
    }

    async fn upset(&mut self, upset: Upset, listing: Listing) -> Result<(), Breaches> {
        self.bridge.pass_time(TimeDelta::seconds(10));
        match upset {
            Upset::Nothing => {}
            Upset::Killed => self.bridge.kill(),
            Upset::Failed(failure) => {
                self.bridge.server.script(move |_, _| Act::Fail(failure));
                let ended = self.judged(Call::Tick(listing)).await;
                self.bridge.server.drop_script();
                ended?;
            }
            Upset::Guest => self.step(Call::Guest(listing)).await?,
            Upset::Accepted => {
                let ended = self.bridge.rival().accept_as_guest(listing).await;
                assert!(matches!(ended, Ended::Done(_)), "{ended:?}");
            }
            Upset::Resized => self.bridge.ask_for_pages_of(self.plan.page_size + MORE_ROWS),
            Upset::DatabaseFailed(percent) => {
                self.bridge.server.live().faults.database = f64::from(percent) / 100.0;
                let ended = self.judged(Call::Tick(listing)).await;
                self.bridge.server.live().faults.database = 0.0;
                ended?;
            }
        }
        Ok(())
    }

    /// One round in which nothing happens, and what may be said against it.
    async fn quiet(&mut self, listing: Listing) -> Result<Breaches, Breaches> {
        let before = self.bridge.server.live().log.len();
        let ended = self.judged(Call::Tick(listing)).await?;
        let requests = self.bridge.server.live().log.len() - before;
        let most = self.most_when_idle(listing);
        let mut breaches = Vec::new();
        if requests > most {
            breaches.push(format!("a quiet round over {listing} took {requests} requests, more than {most}"));
        }
        match &ended {
            Ended::Done(report) if report.outcome == Outcome::Complete => {}
            ended => breaches.push(format!("a quiet round over {listing} is not complete: {}", words(ended))),
        }
        Ok(breaches)
    }

    fn most_when_idle(&self, listing: Listing) -> usize {
        let rows = self.bridge.server.live().world.len(listing);
        let page = usize::try_from(self.plan.quirks[listing as usize].cap.least(self.plan.page_size)).unwrap();
        // Pages share some rows, and a page that is the whole list is read twice.
        let whole = rows / page.saturating_sub(4).max(1) + 2;
        if page < LARGE_PAGE || rows <= SHORT_PAGES * page {
            return 2 * whole + QUIET_REQUESTS;
        }
        QUIET_REQUESTS
    }

    /// Whether the server lets the bridge know where it stands.
    fn can_be_idle(&self, listing: Listing) -> bool {
        let Plan { quirks, .. } = &self.plan;
        let of_kind = Listing::ALL.into_iter().filter(|other| kind(*other) == kind(listing));
        of_kind.into_iter().all(|listing| {
            let Quirks { order, cap, total, ignores_external_id, .. } = quirks[listing as usize];
            let keeps_to_a_size = match cap {
                Cap::None | Cap::Refused(..) => true,
                Cap::Silent(rows) => rows > 4,
                Cap::Changing(..) | Cap::OneShort | Cap::Random(_) => false,
            };
            order.is_time_or_key() && keeps_to_a_size && total == Total::True && !ignores_external_id
        })
    }
}

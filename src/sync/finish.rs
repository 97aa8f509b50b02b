//! The end of a round: what it has learned is stored in one transaction, and what it was is reported.

use lumo_bridge_entity::run::Outcome;

use super::round::Round;
use super::upstream::{Milestone, Upstream};
use super::{Ended, Error, Report};
use crate::chain::Chain;
use crate::store::{Ending, Run};

impl<U: Upstream> Round<'_, U> {
    /// Stores marks, anchors and memory with the record of the round.
    pub(super) async fn finish(mut self, ended: Result<Ended, Error>) -> Result<Report, Error> {
        let finished_at = self.now();
        let (outcome, doubt) = match &ended {
            Ok(Ended::Stopped) => (Outcome::Cancelled, None),
            Ok(Ended::Complete) => (Outcome::Complete, None),
            Ok(Ended::Incomplete(doubt)) => (Outcome::Incomplete, Some(doubt.clone())),
            Err(error) => (Outcome::Failed, Some(Chain(error).to_string())),
        };
        if self.options.ending == Ending::Commit {
            self.progress.first_run_at = self.progress.first_run_at.or(Some(self.started_at));
            self.progress.last_run_at = Some(finished_at);
            self.progress.last_error.clone_from(&doubt);
            let run = Run {
                listing: self.listing,
                started_at: self.started_at,
                finished_at,
                outcome,
                requests: self.tally.requests,
                rows: self.tally.rows,
                appeared: self.tally.appeared,
                changed: self.tally.changed,
                rejected: self.tally.rejected,
                error: doubt.clone(),
            };
            // Without one, the memory that is stored stays.
            let remembers = ended.is_ok() && !self.syncer.is_guest();
            self.progress.memory = remembers.then(|| self.memory.to_json()).flatten();
            let recorded = self.syncer.store.finish_pass(&self.progress, &run, self.syncer.fence()).await;
            // The error that stopped the round is the one to report.
            if ended.is_ok() {
                recorded?;
                self.watch(outcome).await?;
                self.syncer.upstream.milestone(Milestone::Finished).await;
            } else {
                self.watch(outcome).await.ok();
            }
        }
        let Self { syncer, listing, started_at, tally, preview, .. } = self;
        let report = Report { listing, started_at, finished_at, outcome, tally, doubt, preview };
        syncer.meters.count(&report);
        ended.map(|_| report)
    }

    /// Stores what is remembered, outside of a round.
    pub(super) async fn save(mut self) -> Result<(), Error> {
        self.progress.memory = self.memory.to_json();
        let (progress, fence) = (&self.progress, self.syncer.fence());
        Ok(self.syncer.store.remember(progress, fence).await?)
    }

    /// Tells whoever asked for it when a listing falls behind, and when it has caught up.
    async fn watch(&self, outcome: Outcome) -> Result<(), Error> {
        let Self { syncer, listing, progress, .. } = self;
        let now = self.now();
        let fence = syncer.fence();
        if outcome == Outcome::Complete {
            if progress.stalled_since.is_some() {
                syncer.store.note_stalled(*listing, None, fence, now).await?;
            }
            return Ok(());
        }
        let is_getting_on = match outcome {
            Outcome::Cancelled => true,
            // A first import that was interrupted goes on from where it was.
            Outcome::Failed => progress.import_done_at.is_none() && self.tally.rows > 0,
            Outcome::Complete | Outcome::Incomplete => false,
        };
        let last = progress.complete_through.or(progress.import_done_at).or(progress.first_run_at);
        let Some(last) = last.filter(|_| !is_getting_on) else { return Ok(()) };
        if progress.stalled_since.is_none() && now - last > syncer.settings.stalled_after[*listing as usize] {
            syncer.store.note_stalled(*listing, Some(last), fence, now).await?;
        }
        Ok(())
    }
}

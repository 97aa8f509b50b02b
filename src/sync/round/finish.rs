//! Ends a round: stores what it has learned in one transaction, and reports it.

use chrono::{DateTime, SecondsFormat, Utc};
use lumo_bridge_entity::run::Outcome;

use super::Round;
use crate::chain::Chain;
use crate::model::Listing;
use crate::store::{self, Advance, Ending, Remembered, Run};
use crate::sync::learn::gap::gap_of;
use crate::sync::upstream::{Milestone, Upstream};
use crate::sync::{Ended, Error, Report, lock};

impl<U: Upstream> Round<'_, U> {
    /// Stores watermarks, anchors and memory with the record of the round.
    pub(in crate::sync) async fn finish(mut self, ended: Result<Ended, Error>) -> Result<Report, Error> {
        let finished_at = self.now();
        let (outcome, doubt) = match &ended {
            Ok(Ended::Stopped) => (Outcome::Cancelled, None),
            Ok(Ended::Complete) => (Outcome::Complete, None),
            Ok(Ended::Incomplete(doubt)) => (Outcome::Incomplete, Some(doubt.clone())),
            Err(error) => (Outcome::Failed, Some(Chain(error).to_string())),
        };
        if self.options.ending == Ending::Commit {
            let recorded = self.record(finished_at, outcome, doubt.clone()).await;
            // The error that stopped the round is the one to report.
            if ended.is_ok() {
                recorded?;
                self.note_removals().await?;
                self.watch(outcome).await?;
                self.syncer.upstream.milestone(Milestone::Finished).await;
            } else if !ended.as_ref().is_err_and(Error::is_wrong_account) {
                self.watch(outcome).await.ok();
            }
        }
        let removals_held = self.why_held().await.unwrap_or_default();
        let Self { syncer, listing, started_at, tally, preview, .. } = self;
        let report = Report { listing, started_at, finished_at, outcome, tally, doubt, removals_held, preview };
        syncer.meters.count(&report);
        ended.map(|_| report)
    }

    /// Records the round and stores what it has learned, even if it failed: each part was proved before it was noted,
    /// and rests on rows that are stored. If another process leads, only the record is stored.
    async fn record(
        &mut self,
        finished_at: DateTime<Utc>,
        outcome: Outcome,
        doubt: Option<String>,
    ) -> Result<(), store::Error> {
        self.progress.first_run_at = self.progress.first_run_at.or(Some(self.started_at));
        self.progress.last_run_at = Some(finished_at);
        // A round that was stopped has learned nothing new, so the last error still holds.
        if outcome != Outcome::Cancelled {
            self.progress.last_error.clone_from(&doubt);
        }
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
            error: doubt,
        };
        let advance = (!self.is_guest()).then(|| self.advance());
        self.note_due();
        self.syncer.store.finish_pass(&run, advance.as_ref(), self.fence()).await
    }

    /// Sets when the next row is due for re-reading, and how long the list is.
    fn note_due(&self) {
        self.syncer.expect_asks(self.listing, self.memory.rechecks.next_due(), self.memory.length);
    }

    fn advance(&self) -> Advance<'_> {
        let memory = self.memory.to_json().map_or(Remembered::Keep, Remembered::Replace);
        Advance { progress: &self.progress, memory }
    }

    /// Sets the gap as it is after fewer rows are stored as listed. `total` may have been told before these left, so it
    /// is no sign of rows that are never listed.
    pub(in crate::sync) fn correct_gap(&mut self, gap: Option<i64>) {
        let surplus = i64::try_from(self.memory.gap.surplus()).unwrap_or(i64::MAX);
        let most = self.progress.gap.map_or(surplus, |before| before.max(surplus));
        self.progress.gap = gap.map(|gap| gap.min(most));
    }

    /// Stores the memory outside of a round.
    pub(in crate::sync) async fn save(mut self) -> Result<(), Error> {
        if self.is_guest() {
            return Ok(());
        }
        self.note_due();
        if self.listing == Listing::Blocked {
            // Wallets may have turned out to be blocked no longer.
            let total = self.progress.last_total.and_then(|total| u64::try_from(total).ok());
            let listed = self.syncer.store.row_counts(self.listing).await?.listed;
            self.correct_gap(gap_of(total, listed));
        }
        Ok(self.syncer.store.remember(&self.advance(), self.fence()).await?)
    }

    /// Publishes when a listing falls behind, and when it has caught up.
    async fn watch(&self, outcome: Outcome) -> Result<(), Error> {
        if self.is_guest() {
            return Ok(());
        }
        let Self { syncer, listing, progress, .. } = self;
        let (now, fence) = (self.now(), self.fence());
        let incomplete_since = {
            let mut since = lock(&syncer.incomplete_since[*listing]);
            *since = (outcome != Outcome::Complete).then(|| since.unwrap_or(self.started_at));
            *since
        };
        if outcome == Outcome::Complete {
            if progress.stalled_since.is_some() && syncer.store.note_stalled(*listing, None, fence, now).await? {
                tracing::info!(%listing, "the listing is up to date again");
            }
            return Ok(());
        }
        let is_getting_on = match outcome {
            Outcome::Cancelled => true,
            // A first import that was interrupted continues from where it was.
            Outcome::Failed => progress.import_done_at.is_none() && self.tally.appeared > 0,
            Outcome::Complete | Outcome::Incomplete => false,
        };
        let last = progress.complete_through.or(progress.import_done_at).or(progress.first_run_at);
        // A clock that was ahead once has left a time that is yet to come, and nothing may wait for that.
        let last = last.filter(|last| *last <= now).or(incomplete_since);
        let Some(last) = last.filter(|_| !is_getting_on) else { return Ok(()) };
        if progress.stalled_since.is_none()
            && now - last > syncer.settings.stalled_after[*listing]
            && syncer.store.note_stalled(*listing, Some(last), fence, now).await?
        {
            let (since, reason) = (last.to_rfc3339_opts(SecondsFormat::Secs, true), progress.last_error.as_deref());
            tracing::warn!(%listing, since, reason, "the listing is out of date: no round has been complete for long");
        }
        Ok(())
    }
}

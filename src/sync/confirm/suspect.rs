//! Decides for each row that a full scan did not list: hold it back, have it confirmed, or mark it as missing.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};

use crate::model::Listing;
use crate::store::{Ending, HeldRemovals, Whereabouts};
use crate::sync::confirm::Reading;
use crate::sync::confirm::recheck::{Confirmation, Reason, Recheck};
use crate::sync::confirm::removals::Absent;
use crate::sync::learn::memory::Memory;
use crate::sync::round::Round;
use crate::sync::scan::full::FullScan;
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Error, lock};

/// Rows per database query.
const ROWS_PER_QUERY: u64 = 500;

impl<U: Upstream> Round<'_, U> {
    /// Notes the rows that the full scan should have listed and did not. Returns how many known rows the list does not
    /// contain.
    pub(in crate::sync) async fn suspect<R: Source>(&mut self, scan: &FullScan) -> Result<u64, Error> {
        if self.listing == Listing::Blocked {
            return self.suspect_unblocked(scan).await;
        }
        let accepts = self.options.accept_removals && self.options.ending == Ending::Commit;
        // A row that changed during the scan may have moved past it, so only rows on neither of two readings count as
        // gone. If the order or the end of the list is in doubt, none does.
        let earlier = if accepts { self.read_before(scan) } else { None };
        // A server may leave blocked wallets out of the plain list. The list of blocked wallets covers them, also those
        // that cannot be read there.
        let blocked = if R::HOME == Listing::Wallets { self.blocked().await? } else { Vec::new() };
        let blocked: HashSet<i64> = blocked.into_iter().map(|row| row.row_no).collect();
        let (mut absent, mut found, mut gone) = (0_u64, Absent::default(), Vec::new());
        let times = (scan.started_at, self.now());
        let mut numbers = scan.seen.absent(scan.known_until).peekable();
        while numbers.peek().is_some() {
            let chunk: Vec<i64> = numbers.by_ref().take(usize::try_from(ROWS_PER_QUERY).unwrap_or(1)).collect();
            let rows = self.syncer.store.by_row_no::<R>(&chunk).await?;
            let mut accepted = Vec::new();
            for row in rows {
                // An item that cannot be read at present is listed all the same.
                if self.is_unreadable(self.listing, &row.id) {
                    self.absences.note_listed(row.row_no);
                    continue;
                }
                absent += 1;
                let is_on_other_list = R::HOME == Listing::Wallets && self.is_unreadable(Listing::Blocked, &row.id);
                if is_on_other_list || blocked.contains(&row.row_no) {
                    self.absences.note_listed(row.row_no);
                    continue;
                }
                if accepts {
                    if earlier.as_ref().is_some_and(|reading| reading.lacks(row.row_no)) {
                        accepted.push(row.id);
                    }
                } else if self.memory.rechecks.waits(&row.id, Reason::Absent) {
                    found.note_asked();
                    gone.push(row.id);
                } else {
                    found.note(row.row_no);
                }
            }
            absent -= self.mark_missing::<R>(&accepted, scan.started_at).await?;
        }
        if accepts {
            if earlier.is_some() {
                self.memory.removals.accepted();
                self.absences.accepted_at = Some(self.now());
                self.memory.accepted_at = self.absences.accepted_at;
            }
            return Ok(absent);
        }
        let listed = self.listed(self.listing).await?;
        self.memory.removals.found(found, listed, self.tally.total);
        // The scan is an answer about the rows that wait for one. If the order is in doubt, it proves nothing about a
        // single row.
        let is_kept = self.options.ending == Ending::Commit && !self.is_guest();
        if is_kept && !scan.disorder() && !self.memory.removals.is_suspended() {
            gone.retain(|id| self.memory.rechecks.missed(id, times) == Confirmation::Confirmed);
            absent -= self.mark_missing::<R>(&gone, scan.started_at).await?;
        }
        self.admit_removals::<R>().await?;
        Ok(absent)
    }

    /// Keeps the rows of a reading, and returns those of the reading before it. None unless both prove the list.
    fn read_before(&mut self, scan: &FullScan) -> Option<Reading> {
        let is_proof = !scan.disorder() && scan.walk.shows_end();
        let reading = is_proof.then(|| Reading { seen: scan.seen.clone(), known_until: scan.known_until });
        std::mem::replace(&mut self.absences.reading, reading).filter(|_| is_proof)
    }

    /// Notes the wallets that are stored as blocked and were not in the list of blocked wallets, to be confirmed. They
    /// need no guard: a wallet counts as unblocked only once it is seen so.
    async fn suspect_unblocked(&mut self, scan: &FullScan) -> Result<u64, Error> {
        let is_listed = |row: &Whereabouts| {
            row.row_no > scan.known_until || scan.seen.contains(row.row_no) || self.is_unreadable(self.listing, &row.id)
        };
        let mut blocked = self.blocked().await?;
        blocked.retain(|row| !is_listed(row));
        let absent = u64::try_from(blocked.len()).unwrap_or(u64::MAX);
        if absent == 0 {
            return Ok(absent);
        }
        // Some were handed to the rounds over all wallets, and an answer that cannot be read says nothing new.
        let handed_over = Memory::of(&self.syncer.store.progress(Listing::Wallets).await?).rechecks;
        blocked.retain(|row| !handed_over.waits(&row.id, Reason::Absent));
        blocked.retain(|row| !self.is_unreadable(Listing::Wallets, &row.id));
        for row in blocked {
            if let Some(user) = row.external_id {
                self.want(user.as_str(), &row.id, Reason::Unblocked);
            }
        }
        Ok(absent)
    }

    /// Releases the next portion of the rows that are held back, to be confirmed.
    pub(in crate::sync) async fn admit_removals<R: Source>(&mut self) -> Result<(), Error> {
        self.remember();
        if self.memory.removals.held() == 0 {
            return Ok(());
        }
        let listed = self.listed(self.listing).await?;
        let numbers = self.memory.removals.next(self.memory.rechecks.waiting(Reason::Absent), listed);
        for row in self.syncer.store.by_row_no::<R>(&numbers).await? {
            // Without a user the row cannot be asked for. The next full scans answer for it.
            let user = row.external_id.as_ref().map_or("", |user| user.as_str());
            self.want(user, &row.id, Reason::Absent);
        }
        self.remember();
        Ok(())
    }

    /// Whether an answer without a row proves anything about the row.
    pub(in crate::sync) async fn counts_absence(&self) -> Result<bool, Error> {
        let total = self.progress.last_total.and_then(|total| u64::try_from(total).ok());
        Ok(self.memory.removals.is_plausible(total, self.listed(self.listing).await?))
    }

    /// Hands wallets that are neither blocked nor listed elsewhere to the rounds over all wallets. Those rounds decide
    /// whether a wallet is gone: they have the guard, and it is their count that changes.
    pub(in crate::sync) async fn hand_over_unlisted(&mut self) -> Result<(), Error> {
        let unlisted = std::mem::take(&mut self.absences.unlisted);
        if unlisted.is_empty() {
            return Ok(());
        }
        let Ok(_gate) = self.syncer.gate(Listing::Wallets).try_lock() else {
            return self.leave_to_running_round(unlisted).await;
        };
        let mut wallets = Round::begin(self.syncer, Listing::Wallets, self.options).await?;
        let absence_counts = wallets.counts_absence().await?;
        for entry in unlisted {
            if wallets.want_absent(entry.clone(), absence_counts) {
                self.memory.rechecks.done(&entry);
            }
        }
        wallets.save().await
    }

    /// Leaves wallets to the round over all wallets that is running, which takes them when it ends. Waiting for it here
    /// would keep the blocked wallets from being read for as long. They wait in this memory as well until that round is
    /// stored.
    async fn leave_to_running_round(&mut self, unlisted: Vec<Recheck>) -> Result<(), Error> {
        let stored = Memory::of(&self.syncer.store.progress(Listing::Wallets).await?).rechecks;
        for entry in unlisted {
            if stored.waits(&entry.id, Reason::Absent) {
                self.memory.rechecks.done(&entry);
            } else {
                lock(&self.syncer.unlisted).insert(entry.id.clone(), entry);
            }
        }
        Ok(())
    }

    /// Takes the wallets that a round over the blocked ones left to this round.
    pub(in crate::sync) async fn take_unlisted(&mut self) {
        if self.listing != Listing::Wallets || self.is_guest() || self.options.ending == Ending::RollBack {
            return;
        }
        let unlisted = std::mem::take(&mut *lock(&self.syncer.unlisted));
        if unlisted.is_empty() {
            return;
        }
        let absence_counts = self.counts_absence().await.unwrap_or(false);
        for entry in unlisted.into_values() {
            self.want_absent(entry, absence_counts);
        }
    }

    /// Has a wallet confirmed as absent that a round over the blocked ones did not find. False if there is no room.
    fn want_absent(&mut self, entry: Recheck, absence_counts: bool) -> bool {
        let first_seen_at = entry.first_seen_at.filter(|_| absence_counts);
        self.memory.rechecks.want(Recheck { reason: Reason::Absent, first_seen_at, ..entry })
    }

    /// Stores how many rows are held back, if that has changed. Logs it once in each process that reads, whoever has found
    /// it, and its end.
    pub(in crate::sync) async fn note_removals(&mut self) -> Result<(), Error> {
        if self.is_guest() && !self.absences.are_accepted() {
            return Ok(());
        }
        let rows = self.memory.removals.held();
        let is_news = self.memory.removals.is_suspended() && !self.absences.was_suspended;
        let before = self.progress.removals_held.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0);
        let is_logged = &self.syncer.removals_logged[self.listing];
        if rows == 0 && is_logged.swap(false, Ordering::Relaxed) {
            tracing::info!(listing = %self.listing, "no rows that left the list are held back any more");
        }
        let is_unsaid = (before == 0 || self.extent.is_round) && !is_logged.load(Ordering::Relaxed);
        let is_said_now = rows > 0 && (is_news || is_unsaid);
        let is_stored = rows == before && !is_news && !self.absences.are_accepted();
        if is_stored && !is_said_now {
            return Ok(());
        }
        let why = self.why_held().await?;
        if let Some(why) = why.as_deref().filter(|_| is_said_now) {
            tracing::warn!(listing = %self.listing, held = rows, "{why}");
            is_logged.store(true, Ordering::Relaxed);
        }
        if is_stored {
            return Ok(());
        }
        let held = HeldRemovals { rows, why, is_news, accepted_at: self.absences.accepted_at };
        Ok(self.syncer.store.note_removals(self.listing, &held, self.fence(), self.now()).await?)
    }

    /// Says in a sentence which rows are held back; `None` if none is.
    pub(in crate::sync) async fn why_held(&self) -> Result<Option<String>, Error> {
        if self.memory.removals.held() == 0 {
            return Ok(None);
        }
        Ok(self.memory.removals.why(self.listing.as_str(), self.listed(self.listing).await?))
    }

    /// Marks rows as missing that the answer of this time did not list, and stops waiting for them. Raises the gap
    /// and its base by their number: fewer rows are stored as listed, while `total` stays the same. Returns how many.
    pub(in crate::sync) async fn mark_missing<R: Source>(
        &mut self,
        ids: &[String],
        read_at: DateTime<Utc>,
    ) -> Result<u64, Error> {
        let rows = ids.iter().filter_map(|id| id.parse().ok()).collect();
        let vanished = self.syncer.store.vanish::<R>(rows, read_at, self.fence(), self.now()).await?;
        self.tally.vanished += vanished;
        self.memory.removals.marked(vanished);
        self.memory.gap.raise(vanished);
        self.correct_gap(self.progress.gap.map(|gap| gap.saturating_add_unsigned(vanished)));
        for id in ids {
            self.memory.rechecks.present(id);
        }
        Ok(vanished)
    }

    async fn listed(&self, listing: Listing) -> Result<u64, Error> {
        Ok(u64::try_from(self.syncer.store.row_counts(listing).await?.listed).unwrap_or(0))
    }

    /// Every wallet that is stored as blocked.
    async fn blocked(&self) -> Result<Vec<Whereabouts>, Error> {
        let mut all: Vec<Whereabouts> = Vec::new();
        loop {
            let after = all.last().map_or(0, |row| row.row_no);
            let rows = self.syncer.store.blocked_wallets(after, ROWS_PER_QUERY).await?;
            if rows.is_empty() {
                return Ok(all);
            }
            all.extend(rows);
        }
    }
}

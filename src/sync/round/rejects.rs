//! Keeps items that cannot be read in `lumo_rejects`: each is reported once, and counts as known until it changes.
//!
//! A kept item has no row, but it is listed: `total` counts it, and pages share it. So the count check counts it as
//! listed, the walk takes it for a row like any other, and a full scan that no longer finds it deletes it. A pass is
//! incomplete only if there was no room to keep an item.

use chrono::{DateTime, TimeDelta, Utc};

use super::Round;
use crate::model::Listing;
use crate::model::diff::Record;
use crate::model::record::Reject;
use crate::store::{Ending, KnownReject, MAX_REJECTS};
use crate::sync::upstream::Upstream;
use crate::sync::{Error, hash};

/// How often it is stored that a kept item was seen again.
const STORE_SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);
/// The most new items of a page batch that are logged one by one.
const MAX_LOGGED_ONE_BY_ONE: usize = 20;

impl<U: Upstream> Round<'_, U> {
    /// Whether the item is kept with its present content.
    pub(in crate::sync) fn is_kept(&self, listing: Listing, reject: &Reject) -> bool {
        let known = self.rejects.get(&(listing, reject.key.clone()));
        known.is_some_and(|known| known.fingerprint == reject.fingerprint)
    }

    /// Whether the row is listed as an item that cannot be read.
    pub(in crate::sync) fn is_unreadable(&self, listing: Listing, id: &str) -> bool {
        self.rejects.contains_key(&(listing, id.to_owned()))
    }

    /// Takes the number of items that could not be kept for lack of room.
    pub(in crate::sync) fn take_unkept(&mut self) -> u64 {
        std::mem::take(&mut self.unkept)
    }

    /// Keeps the items of a page that could not be read, and counts those for which there is no room.
    pub(super) async fn keep_rejects(&mut self, listing: Listing, rejects: Vec<Reject>) -> Result<(), Error> {
        for reject in &rejects {
            // A page may be read twice.
            self.tally.rejected += u64::from(self.shown.insert(hash(&format!("{listing}/{}", reject.key))));
        }
        if rejects.is_empty() || self.options.ending == Ending::RollBack {
            return Ok(());
        }
        let now = self.now();
        let is_recent = |known: &KnownReject| known.last_seen_at <= now && now - known.last_seen_at < STORE_SEEN_EVERY;
        let is_news = |reject: &Reject| {
            let known = self.rejects.get(&(listing, reject.key.clone()));
            known.is_none_or(|known| known.fingerprint != reject.fingerprint || !is_recent(known))
        };
        let noted: Vec<Reject> = rejects.into_iter().filter(is_news).collect();
        if noted.is_empty() {
            return Ok(());
        }
        let kept = self.syncer.store.keep_rejects(listing, &noted, self.fence(), now).await?;
        self.unkept += kept.refused;
        let logged = noted.iter().filter(|reject| kept.news.contains(&reject.key)).take(MAX_LOGGED_ONE_BY_ONE);
        for Reject { position, key, field, problem, .. } in logged {
            tracing::warn!(
                %listing, item = key, position, field, problem,
                "item cannot be read; it is kept aside, `lumo-bridge sync rejects` lists it"
            );
        }
        if kept.refused > 0 {
            // Loads the kept items anew: the refused ones are not among them.
            self.rejects = self.syncer.store.known_rejects().await?;
            return Ok(());
        }
        for Reject { key, fingerprint, .. } in noted {
            self.rejects.insert((listing, key), KnownReject { fingerprint, last_seen_at: now });
        }
        Ok(())
    }

    /// The keys of those records that were kept because they could not be read before.
    pub(super) fn readable<R: Record>(&mut self, listing: Listing, records: &[R]) -> Vec<(Listing, String)> {
        if self.rejects.is_empty() {
            return Vec::new();
        }
        let keys = records.iter().map(|record| (listing, record.id_str().to_owned()));
        keys.filter(|key| self.rejects.remove(key).is_some()).collect()
    }

    /// Deletes the kept items that a full scan, which began at `started_at`, did not find. Raises the base of the gap
    /// by their number, except for those with a stored row: each counted as a listed row, and `total` stays the same.
    pub(in crate::sync) async fn forget_rejects(&mut self, started_at: DateTime<Utc>) -> Result<(), Error> {
        let (listing, before) = (self.listing, started_at - STORE_SEEN_EVERY);
        let is_gone = |known: &KnownReject| known.last_seen_at < before;
        if self.rejects.iter().any(|((of, _), known)| *of == listing && is_gone(known)) {
            let with_them = self.syncer.store.row_counts(listing).await?.listed;
            self.syncer.store.forget_rejects(listing, before, self.fence()).await?;
            let without = self.syncer.store.row_counts(listing).await?.listed;
            self.memory.gap.raise(with_them.saturating_sub(without).max(0).unsigned_abs());
            self.rejects.retain(|(of, _), known| *of != listing || !is_gone(known));
        }
        Ok(())
    }

    /// Why a pass is incomplete that found items for which there was no room; none if there were none.
    pub(in crate::sync) fn too_many_rejects(unkept: u64) -> Option<String> {
        (unkept > 0).then(|| {
            let items = if unkept == 1 { "1 item".to_owned() } else { format!("{unkept} items") };
            format!("{items} could not be read, and {MAX_REJECTS} others are kept already, which is the limit")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lumo::Client;

    #[test]
    fn more_items_than_there_is_room_for_are_counted() {
        let limit = format!("could not be read, and {MAX_REJECTS} others are kept already, which is the limit");
        let said = Round::<Client>::too_many_rejects;
        assert_eq!(said(0), None);
        assert_eq!(said(1), Some(format!("1 item {limit}")));
        assert_eq!(said(3), Some(format!("3 items {limit}")));
    }
}

//! Remembers the ids that a walk has seen last, in bounded memory.
//!
//! Forgetting an id is harmless: a page that shares only forgotten ids counts as unconnected, and the walk steps back.

use std::collections::{HashMap, VecDeque};

/// How many ids are remembered, within the size of a page.
pub(in crate::sync) const CAPACITY: usize = 50_000;

/// The pages seen last.
#[derive(Debug, Default)]
pub(in crate::sync) struct Window {
    /// The ids of each page, the oldest page first.
    pages: VecDeque<Vec<u64>>,
    /// The number of the latest page that held an id.
    latest: HashMap<u64, u64>,
    /// The number of the oldest page.
    oldest: u64,
    has_forgotten: bool,
}

impl Window {
    #[must_use]
    pub(in crate::sync) fn contains(&self, id: u64) -> bool {
        self.latest.contains_key(&id)
    }

    /// How many ids are remembered.
    #[must_use]
    pub(in crate::sync) fn len(&self) -> usize {
        self.latest.len()
    }

    #[must_use]
    pub(in crate::sync) fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }

    /// Whether some ids were forgotten.
    #[must_use]
    pub(in crate::sync) fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    /// Notes that ids from before are unknown to this window.
    pub(in crate::sync) fn forget_some(&mut self) {
        self.has_forgotten = true;
    }

    /// The ids of the latest page.
    #[must_use]
    pub(in crate::sync) fn last_page(&self) -> &[u64] {
        self.pages.back().map_or(&[], Vec::as_slice)
    }

    /// The first id of each page before the latest, for at most `most` pages, in their order.
    #[must_use]
    pub(in crate::sync) fn trail(&self, most: usize) -> Vec<u64> {
        let before = self.pages.len().saturating_sub(1);
        let pages = self.pages.iter().take(before).skip(before.saturating_sub(most));
        pages.filter_map(|page| page.first().copied()).collect()
    }

    /// Adds a page. Returns how many of its ids were not in the window.
    pub(in crate::sync) fn insert(&mut self, ids: &[u64]) -> u64 {
        let number = self.oldest.saturating_add(u64::try_from(self.pages.len()).unwrap_or(u64::MAX));
        let mut fresh = 0;
        for id in ids {
            fresh += u64::from(self.latest.insert(*id, number).is_none());
        }
        self.pages.push_back(ids.to_vec());
        while self.pages.len() > 1 && self.pages.front().is_some_and(|page| self.latest.len() >= CAPACITY + page.len())
        {
            for id in self.pages.pop_front().unwrap_or_default() {
                if self.latest.get(&id) == Some(&self.oldest) {
                    self.latest.remove(&id);
                    self.has_forgotten = true;
                }
            }
            self.oldest += 1;
        }
        fresh
    }
}

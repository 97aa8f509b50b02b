//! Stores a walk, so that another process can continue it, or the same one on another day.
//!
//! The chain does not depend on when its pages were read, so a walk may rest for any time. It must keep its position
//! and a few ids that the next page can share: those of the last page, and one of each of the pages before, as far as
//! the list is likely to move meanwhile.

use serde::{Deserialize, Serialize};

use super::Walk;
use super::bare::Bare;
use super::budget::Budget;
use super::only::Only;
use super::same::Same;
use super::window::Window;

/// The number of pages before the last one of which an id is kept.
const ANCHOR_PAGES: usize = 128;

/// The state of a walk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    limit: u32,
    start: u64,
    offset: u64,
    requests: u64,
    rows: u64,
    chains: u64,
    /// The first id of each of the pages before the last one.
    trail: Vec<u64>,
    /// The ids of the last page that was part of the chain.
    last_page: Vec<u64>,
    retreat: u64,
    mid_page: Option<u64>,
    mid_pages: u64,
    is_guess: bool,
    #[serde(default)]
    went_on: bool,
    sizes_vary: bool,
    total_missing: bool,
    is_loose: bool,
    last_total: Option<u64>,
    budget: Budget,
    proved_end: Option<u64>,
    #[serde(default)]
    surplus: u64,
}

impl Walk {
    /// The state from which [`Walk::resume`] continues. A page that was to be read twice will again be read twice.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            limit: self.limit,
            start: self.start,
            // A leap that has not found the chain yet is repeated from where it began.
            offset: self.leapt_from.or(self.same.offset()).or(self.bare.offset()).unwrap_or(self.offset),
            requests: self.requests,
            rows: self.rows,
            chains: self.chains,
            trail: self.covered.trail(ANCHOR_PAGES),
            last_page: self.covered.last_page().to_vec(),
            retreat: self.retreat,
            mid_page: self.mid_page,
            mid_pages: self.mid_pages,
            is_guess: self.is_guess,
            went_on: self.went_on,
            sizes_vary: self.sizes_vary,
            total_missing: self.total_missing,
            is_loose: self.is_loose,
            last_total: self.last_total,
            budget: self.budget.clone(),
            proved_end: self.proved_end,
            surplus: self.surplus,
        }
    }

    /// Continues a stored walk. Its next page must share an id with those in the checkpoint; otherwise it steps back as
    /// usual. Rows that it reads again and no longer remembers count again in `rows`.
    #[must_use]
    pub fn resume(checkpoint: Checkpoint) -> Self {
        let mut covered = Window::default();
        for page in [&checkpoint.trail, &checkpoint.last_page] {
            if !page.is_empty() {
                covered.insert(page);
            }
        }
        if u64::try_from(covered.len()).is_ok_and(|remembered| remembered < checkpoint.rows) {
            covered.forget_some();
        }
        Self {
            limit: checkpoint.limit.max(1),
            start: checkpoint.start,
            offset: checkpoint.offset.max(checkpoint.start),
            requests: checkpoint.requests,
            rows: checkpoint.rows,
            chains: checkpoint.chains,
            covered,
            retreat: checkpoint.retreat,
            leapt_from: None,
            mid_page: checkpoint.mid_page,
            mid_pages: checkpoint.mid_pages,
            is_guess: checkpoint.is_guess,
            went_on: checkpoint.went_on,
            sizes_vary: checkpoint.sizes_vary,
            confirming: None,
            total_missing: checkpoint.total_missing,
            is_loose: checkpoint.is_loose,
            last_total: checkpoint.last_total,
            budget: checkpoint.budget,
            bare: Bare::default(),
            same: Same::default(),
            only: Only::default(),
            chain_end: 0,
            is_aside: false,
            surplus: checkpoint.surplus,
            proved_end: checkpoint.proved_end,
            ended_at: None,
        }
    }
}

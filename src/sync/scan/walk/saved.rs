//! Makes a walk storable, so that another process can continue it, or the same one on another day.
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
pub struct SavedWalk {
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
    pub fn save(&self) -> SavedWalk {
        SavedWalk {
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

    /// Continues a stored walk. Its next page must share an id with the saved ones; otherwise it steps back as usual.
    /// Rows that it reads again and no longer remembers count again in `rows`.
    #[must_use]
    pub fn resume(saved: SavedWalk) -> Self {
        let mut covered = Window::default();
        for page in [&saved.trail, &saved.last_page] {
            if !page.is_empty() {
                covered.insert(page);
            }
        }
        if u64::try_from(covered.len()).is_ok_and(|remembered| remembered < saved.rows) {
            covered.forget_some();
        }
        Self {
            limit: saved.limit.max(1),
            start: saved.start,
            offset: saved.offset.max(saved.start),
            requests: saved.requests,
            rows: saved.rows,
            chains: saved.chains,
            covered,
            retreat: saved.retreat,
            leapt_from: None,
            mid_page: saved.mid_page,
            mid_pages: saved.mid_pages,
            is_guess: saved.is_guess,
            went_on: saved.went_on,
            sizes_vary: saved.sizes_vary,
            confirming: None,
            total_missing: saved.total_missing,
            is_loose: saved.is_loose,
            last_total: saved.last_total,
            budget: saved.budget,
            bare: Bare::default(),
            same: Same::default(),
            only: Only::default(),
            chain_end: 0,
            is_aside: false,
            surplus: saved.surplus,
            proved_end: saved.proved_end,
            ended_at: None,
        }
    }
}

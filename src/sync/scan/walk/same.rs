//! Servers that answer the same rows at every offset, as the vendor's documentation mock does.
//!
//! Two pages of different offsets that hold the same rows are no proof: as many rows may have joined before them as lie
//! between the two. A third page, far behind the end of the list, tells.

use super::{Doubt, Seen, Step, Walk};

/// How many pages behind the end the third page lies.
const PAGES_BEHIND_THE_END: u64 = 4;

/// What was noticed.
#[derive(Debug, Default)]
pub(super) struct Same {
    /// Where the latest page of the chain began.
    offset: u64,
    /// Where the walk goes on after the look far behind the end.
    back: Option<u64>,
}

impl Same {
    /// Whether the page that is asked for is no part of the walk.
    pub(super) const fn is_looking(&self) -> bool {
        self.back.is_some()
    }

    /// Where the walk goes on should it be laid aside now.
    pub(super) const fn offset(&self) -> Option<u64> {
        self.back
    }
}

impl Walk {
    /// Takes note of the page far behind the end, if that is what was asked for.
    pub(super) fn note_far(&mut self, seen: &Seen) -> Option<Step> {
        let back = self.same.back.take()?;
        if !seen.ids.is_empty() && seen.ids == self.covered.last_page() {
            return Some(Step::Unproved(Doubt::SameRows));
        }
        self.offset = back;
        Some(Step::Read(self.next()))
    }

    /// Compares a page of the chain with the one before it. `offset` is where it began, `is_same` whether it held the same
    /// rows; `next` is the step that the walk would take.
    pub(super) fn compare(&mut self, offset: u64, is_same: bool, seen: &Seen, next: Step) -> Step {
        let before = std::mem::replace(&mut self.same.offset, offset);
        if !is_same || before == offset || !matches!(next, Step::Read(_)) {
            return next;
        }
        self.same.back = Some(self.offset);
        let behind = seen.total.unwrap_or(0).max(self.offset);
        self.offset = behind.saturating_add(u64::from(self.limit).saturating_mul(PAGES_BEHIND_THE_END));
        Step::Read(self.next())
    }
}

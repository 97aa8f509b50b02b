//! Detects servers that ignore `offset` and always answer the same rows, as the vendor's documentation mock does.
//!
//! Two pages at different offsets with the same rows prove nothing: rows may have joined before them, as many as lie
//! between the two. So a third page is read, far after the end of the list.

use super::{Doubt, Paging, Seen, Step, Walk};

/// How many pages after the end the third page lies.
const PAGES_BEHIND_THE_END: u64 = 4;

/// What is known about repeated pages.
#[derive(Debug, Default)]
pub(super) struct Same {
    /// The offset of the latest page of the chain.
    offset: u64,
    /// The offset at which the walk continues after the third page.
    back: Option<u64>,
}

impl Same {
    /// Whether the page that is requested is not part of the chain.
    pub(super) const fn is_looking(&self) -> bool {
        self.back.is_some()
    }

    /// The offset at which the walk continues if it is stored now.
    pub(super) const fn offset(&self) -> Option<u64> {
        self.back
    }
}

impl Walk {
    /// Takes the third page, if it was requested.
    pub(super) fn note_far(&mut self, seen: &Seen) -> Option<Step> {
        let back = self.same.back.take()?;
        if !seen.ids.is_empty() && seen.ids == self.covered.last_page() {
            return Some(Step::Unproved(Doubt::SameRows));
        }
        self.offset = back;
        Some(Step::Read(self.next()))
    }

    /// Compares a page of the chain with the one before it. `offset` is its offset, `is_same` says whether it has the
    /// same rows, and `next` is the step that the walk would take.
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

//! Reads what a round needs of a long list: the ends where rows join, and rows that have probably changed.
//!
//! Between the rounds, it reads the deposits of watched users.

pub mod ends;
pub(in crate::sync) mod extra_reads;
pub(in crate::sync) mod few;
pub(in crate::sync) mod new_deposits;
pub(in crate::sync) mod read_ends;
pub(in crate::sync) mod recent;
pub mod watch;

use ends::Edge;

/// How much of the list a round reads, and how far it has come.
#[derive(Debug, Default)]
pub(in crate::sync) struct Extent {
    /// Whether it is a round of the schedule. Such a round may rely on what earlier rounds have proved.
    pub(in crate::sync) is_round: bool,
    /// Whether it also reads where no new rows are expected.
    looks_behind: bool,
    /// Whether it leaves out the tail, and looks at the deposits in status `new` instead.
    leaves_tail: bool,
    /// Whether it has read the list from end to end.
    is_whole: bool,
    /// How far it has read the end where new rows join.
    edge: Option<Edge>,
}

impl Extent {
    /// Of a round of the schedule, before it reads anything.
    pub(in crate::sync) fn of_round(looks_behind: bool, leaves_tail: bool) -> Self {
        Self { is_round: true, looks_behind, leaves_tail, ..Self::default() }
    }

    /// Whether the only page of a list, if it is as it was, need not be proved anew.
    pub(in crate::sync) fn trusts_only_page(&self) -> bool {
        self.is_round && !self.looks_behind
    }

    /// Whether it has read all ends that a round reads.
    pub(in crate::sync) fn has_all_ends(&self) -> bool {
        !self.leaves_tail
    }

    /// Has it read the tail after all.
    pub(in crate::sync) fn take_tail(&mut self) {
        self.leaves_tail = false;
    }

    pub(in crate::sync) fn note_whole(&mut self) {
        self.is_whole = true;
    }
}

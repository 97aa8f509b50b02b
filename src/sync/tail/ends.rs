//! Reads one end of a list, a page or two, and proves that no new row has joined there.
//!
//! From the head: the pages form a chain from offset 0, so every row was seen that was listed throughout and lies
//! before the end of the run. A row after the run that is still unknown joined after the pass that left the anchors,
//! because that pass left no unknown row after them. It would then have joined after at least [`RUN_ROWS`] anchors,
//! which the run contains. If rows do not join that deep, there is no such row, and the rows at the head are the new
//! anchors.
//!
//! From the tail, the same in reverse: the pages form a chain from some row to the proved end, so every row was seen
//! that was listed throughout and lies after the beginning of the run. The anchors of the run lie between an unknown
//! row before it and the end. The proof does not depend on where the chain begins, so it begins as near to the end as
//! will probably do. Pages are always read forward, because a reader who goes backward misses rows that new ones push
//! past it.
//!
//! A server that tells no `total` shows where its list ends all the same. The anchors rest on that. That nothing was
//! counted is for the count check to say.
//!
//! Anchors must be replaced only when the pass returns [`EndStep::Met`] or [`EndStep::WholeList`].

mod run;

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
pub use run::{Anchors, MAX_ANCHORS, RUN_ROWS, Row, Run};

use crate::sync::scan::walk::{Doubt, Paging, Read, Seen, Step, Walk};

/// How many rows before the end a tail pass begins, at least: room for the anchors, some of which may be gone.
const TAIL_MARGIN_ROWS: u64 = 48;
/// How many rows of the first page of a tail pass are left free for new rows.
const TAIL_ROOM_ROWS: u64 = 12;

/// How far the end where new rows join was read, and when the row there was created.
#[derive(Clone, Copy, Debug)]
pub(in crate::sync) struct Edge {
    pub(in crate::sync) offset: u64,
    pub(in crate::sync) created_at: DateTime<Utc>,
}

/// What follows from a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndStep {
    Read(Read),
    /// The pass has reached the anchors: no row listed throughout is unknown, unless one joined deeper than rows do.
    Met,
    /// The whole list was read and proved.
    WholeList,
    /// The pass came to what looks like the end, but this proves nothing.
    Unproved(Doubt),
}

/// A pass over the rows at one end.
pub trait EndPass: Paging {
    /// Takes the page that was read. `rows` as for [`Run::absorb`].
    fn absorb(&mut self, seen: &Seen, rows: &[Row]) -> EndStep;
}

/// A pass over the first rows.
#[derive(Debug)]
pub struct HeadPass {
    walk: Walk,
    run: Run,
    known: Anchors,
    first: Vec<u64>,
    pages: usize,
}

impl HeadPass {
    /// `known_page_size` as for [`Walk::new`].
    #[must_use]
    pub fn new(limit: u32, known_page_size: Option<u32>, anchors: &Anchors) -> Self {
        let (walk, run) = (Walk::new(limit, known_page_size), Run::new(anchors));
        Self { walk, run, known: anchors.clone(), first: Vec::with_capacity(MAX_ANCHORS), pages: 0 }
    }

    /// As for [`Walk::counting_surplus`].
    #[must_use]
    pub fn counting_surplus(mut self, surplus: u64) -> Self {
        self.walk = self.walk.counting_surplus(surplus);
        self
    }

    /// The rows that the next pass must reach. Valid once this one has returned [`EndStep::Met`] or
    /// [`EndStep::WholeList`].
    #[must_use]
    pub fn anchors(&self) -> Anchors {
        Anchors::from_head(&self.first).before(&self.known)
    }
}

impl Paging for HeadPass {
    fn next(&self) -> Read {
        self.walk.next()
    }

    /// More pages, the further the pass had to read.
    fn ahead(&self, n: usize) -> Vec<Read> {
        if self.run.is_met() { Vec::new() } else { self.walk.ahead(n.min(self.pages)) }
    }

    fn refused(&mut self) -> Option<Read> {
        self.walk.refused()
    }
}

impl EndPass for HeadPass {
    fn absorb(&mut self, seen: &Seen, rows: &[Row]) -> EndStep {
        self.pages += 1;
        let room = MAX_ANCHORS - self.first.len().min(MAX_ANCHORS);
        let fresh: Vec<u64> = fresh(&self.walk, rows).take(room).collect();
        let chains = self.walk.chains_lost();
        let step = self.walk.absorb(seen);
        if self.walk.chains_lost() > chains {
            self.run = Run::new(&self.known);
        }
        if is_chained(&self.walk, step) {
            self.first.extend(fresh);
            note(&mut self.run, seen, rows);
        }
        match step {
            Step::End | Step::Unproved(Doubt::NoTotal) => EndStep::WholeList,
            _ if self.run.is_met() => EndStep::Met,
            Step::Read(read) => EndStep::Read(read),
            Step::Unproved(doubt) => EndStep::Unproved(doubt),
        }
    }
}

/// A pass over the last rows.
#[derive(Debug)]
pub struct TailPass {
    limit: u32,
    known: Anchors,
    walk: Walk,
    run: Run,
    last: VecDeque<u64>,
    /// How many rows before the end the chain began.
    reach: u64,
    start: u64,
    length: u64,
    surplus: u64,
}

impl TailPass {
    /// `length` is the length of the list when its end was last read. `known_page_size` is what the server is known
    /// to give, even if it equals the limit. If it is not known, the walk reads on after the end.
    #[must_use]
    pub fn new(limit: u32, known_page_size: Option<u32>, anchors: &Anchors, length: u64) -> Self {
        let page = u64::from(known_page_size.map_or(limit, |size| size.min(limit)).max(1));
        let reach = match page {
            // Half a page is left for new rows. The page must not be full, or it is not the last.
            60.. => TAIL_MARGIN_ROWS.max(page / 2),
            40..60 => page - TAIL_ROOM_ROWS,
            _ => TAIL_MARGIN_ROWS,
        };
        // Too few anchors cannot be met, wherever the pass begins; and where it would read most of the list, page by page,
        // the whole costs little more, and much less than both.
        let is_most = reach > page && reach.saturating_mul(4) > length.saturating_mul(3);
        let start = if anchors.len() < RUN_ROWS || is_most { 0 } else { length.saturating_sub(reach) };
        let walk = Walk::starting_at(limit, known_page_size, start).ending_as_before_at(length);
        let (known, run) = (anchors.clone(), Run::new(anchors));
        Self { limit, known, walk, run, last: VecDeque::new(), reach, start, length, surplus: 0 }
    }

    /// As for [`Walk::counting_surplus`].
    #[must_use]
    pub fn counting_surplus(mut self, surplus: u64) -> Self {
        self.walk = self.walk.counting_surplus(surplus);
        self.surplus = surplus;
        self
    }

    fn start_further_back(&mut self) -> EndStep {
        self.reach = self.reach.saturating_mul(2);
        // From the middle of the list on, one more part would cost nearly as much as the whole.
        let reaches_middle = self.reach.saturating_mul(2) > self.length;
        let start = if reaches_middle { 0 } else { self.length - self.reach };
        self.start = self.start.min(start);
        self.walk = Walk::starting_at(self.limit, self.walk.page_size(), self.start)
            .ending_as_before_at(self.length)
            .counting_surplus(self.surplus);
        self.run = Run::new(&self.known);
        self.last.clear();
        EndStep::Read(self.walk.next())
    }

    /// The rows that the next pass must reach. Valid once this one has returned [`EndStep::Met`] or
    /// [`EndStep::WholeList`].
    #[must_use]
    pub fn anchors(&self) -> Anchors {
        let last: Vec<u64> = self.last.iter().copied().collect();
        Anchors::from_tail(&last).before(&self.known)
    }

    /// The length of the list, as read at its end.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Paging for TailPass {
    fn next(&self) -> Read {
        self.walk.next()
    }

    fn ahead(&self, n: usize) -> Vec<Read> {
        self.walk.ahead(n)
    }

    fn refused(&mut self) -> Option<Read> {
        let read = self.walk.refused()?;
        self.limit = read.limit;
        Some(read)
    }
}

impl EndPass for TailPass {
    fn absorb(&mut self, seen: &Seen, rows: &[Row]) -> EndStep {
        let fresh: Vec<u64> = fresh(&self.walk, rows).collect();
        let chains = self.walk.chains_lost();
        let step = self.walk.absorb(seen);
        if self.walk.chains_lost() > chains {
            self.run = Run::new(&self.known);
            self.last.clear();
        }
        if is_chained(&self.walk, step) {
            self.last.extend(fresh);
            note(&mut self.run, seen, rows);
        }
        self.last.drain(..self.last.len().saturating_sub(MAX_ANCHORS));
        self.length = self.walk.end_offset().unwrap_or(self.length);
        match step {
            Step::Read(read) => EndStep::Read(read),
            Step::End | Step::Unproved(Doubt::NoTotal) if self.start == 0 => EndStep::WholeList,
            Step::End | Step::Unproved(Doubt::NoTotal) if self.run.is_met() => EndStep::Met,
            Step::End | Step::Unproved(Doubt::NoTotal) => self.start_further_back(),
            Step::Unproved(doubt) => EndStep::Unproved(doubt),
        }
    }
}

/// The rows that the walk has not seen.
fn fresh(walk: &Walk, rows: &[Row]) -> impl Iterator<Item = u64> {
    rows.iter().map(|row| row.id).filter(|id| !walk.has_seen(*id))
}

/// Whether the page became a part of the chain.
fn is_chained(walk: &Walk, step: Step) -> bool {
    !walk.is_broken() && !matches!(step, Step::Unproved(Doubt::OutOfBudget | Doubt::SingleRows | Doubt::SameRows))
}

fn note(run: &mut Run, seen: &Seen, rows: &[Row]) {
    if u64::try_from(rows.len()).is_ok_and(|told| told >= seen.returned) {
        return run.absorb(rows);
    }
    // The places of the items without an id are not known, so every row may be new.
    let suspects: Vec<Row> = rows.iter().map(|row| Row { unchanged: false, ..*row }).collect();
    run.absorb(&suspects);
}

#[cfg(test)]
mod tests;

//! Reads a part of a list as a chain of pages.

use std::collections::HashSet;

use crate::sync::scan::walk::{Paging, Read, Seen, Step, Walk};

/// The reading of a part.
#[derive(Debug)]
pub struct Stretch {
    walk: Walk,
    until: u64,
    ids: Vec<u64>,
    known: HashSet<u64>,
}

impl Stretch {
    /// The rows from one offset up to another. `known_page_size` as for [`Walk::new`].
    #[must_use]
    pub fn new(limit: u32, known_page_size: Option<u32>, from: u64, until: u64) -> Self {
        Self { walk: Walk::starting_at(limit, known_page_size, from), until, ids: Vec::new(), known: HashSet::new() }
    }

    /// The page to read.
    #[must_use]
    pub fn next(&self) -> Read {
        self.walk.next()
    }

    /// Takes the page that was read. Returns the next one; none at the end.
    pub fn absorb(&mut self, seen: &Seen) -> Option<Read> {
        let read = self.walk.next();
        let chains = self.walk.chains_lost();
        let step = self.walk.absorb(seen);
        if self.walk.chains_lost() > chains {
            self.ids.clear();
            self.known.clear();
        }
        if self.walk.is_broken() {
            return Some(self.walk.next());
        }
        self.ids.extend(seen.ids.iter().copied().filter(|id| self.known.insert(*id)));
        let is_read = read.offset.saturating_add(seen.returned) >= self.until;
        match step {
            Step::Read(next) if !is_read => Some(next),
            _ => None,
        }
    }

    /// The rows, in their order.
    #[must_use]
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }
}

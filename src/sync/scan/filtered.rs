//! Reads a list of one user, of one status, or without a filter, in a limited number of pages, and collects the ids.
//!
//! The pages are stored as they are read.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use crate::lumo;
use crate::sync::round::{Round, Taken};
use crate::sync::scan::reader::Reader;
use crate::sync::scan::walk::{Doubt, Step, Walk};
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Error, refuses_limit};

/// The most ids of a list that is read over several rounds. A longer list is read anew from its beginning.
const MAX_IDS: usize = 200_000;

/// The ids of a list that was read whole, or why it was not.
#[derive(Debug)]
pub(in crate::sync) enum Listed {
    Whole(HashSet<String>),
    /// The server does not filter, or refuses to.
    NotFiltered,
    /// The list is too long, or its end was not proved.
    Unproved,
    Stopped,
}

/// How a part of a reading ended.
pub(in crate::sync) enum Reached {
    Ended,
    /// The same, but the server told no `total`.
    Untold,
    /// The most pages that may be read were read.
    Paused,
    NotFiltered,
    Unproved,
    Stopped,
}

impl<U: Upstream> Round<'_, U> {
    /// Reads a list whole, in at most `most` pages, and stores its rows.
    pub(in crate::sync) async fn all_of<R: Source>(
        &mut self,
        mut walk: Walk,
        reader: Reader<U, R>,
        most: u64,
        belongs: &(dyn Fn(&R) -> bool + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Listed, Error> {
        let mut ids = HashSet::new();
        Ok(match self.read_on::<R>(&mut walk, &mut ids, reader, most, belongs, stop).await? {
            Reached::Ended => Listed::Whole(ids),
            Reached::NotFiltered => Listed::NotFiltered,
            Reached::Paused | Reached::Unproved | Reached::Untold => Listed::Unproved,
            Reached::Stopped => Listed::Stopped,
        })
    }

    /// Reads at most `most` further pages of a list, and stores their rows. `belongs` says whether a row matches the
    /// filter, to detect a server that does not filter.
    pub(in crate::sync) async fn read_on<R: Source>(
        &mut self,
        walk: &mut Walk,
        ids: &mut HashSet<String>,
        mut reader: Reader<U, R>,
        most: u64,
        belongs: &(dyn Fn(&R) -> bool + Send + Sync),
        stop: &CancellationToken,
    ) -> Result<Reached, Error> {
        for _ in 0..most {
            let page = match self.page(&mut reader, walk, stop).await {
                Ok(Taken::Page(page)) => page,
                Ok(Taken::Refused) => continue,
                Ok(Taken::Stopped) => return Ok(Reached::Stopped),
                // A request for one user may be refused. That does not fail the round.
                Err(lumo::Error::Refused { .. }) if reader.is_of_user() => return Ok(Reached::Unproved),
                // The server may refuse the filter itself.
                Err(error) if refuses_limit(&error) => return Ok(Reached::NotFiltered),
                Err(error) => return Err(error.into()),
            };
            let seen = page.seen();
            let filtered = !reader.is_filtered()
                || (page.page.items.iter().all(belongs) && self.is_part(seen.total, &page.page.items));
            ids.extend(page.page.items.iter().map(|record| record.id_str().to_owned()));
            ids.extend(page.page.rejects.iter().filter_map(|reject| reject.id.clone()));
            let total = self.tally.total;
            self.keep(page).await?;
            self.tally.total = total;
            if !filtered {
                return Ok(Reached::NotFiltered);
            }
            match walk.absorb(&seen) {
                Step::Read(_) => {}
                Step::End => return Ok(Reached::Ended),
                Step::Unproved(Doubt::NoTotal) => return Ok(Reached::Untold),
                Step::Unproved(_) => return Ok(Reached::Unproved),
            }
        }
        Ok(if ids.len() > MAX_IDS { Reached::Unproved } else { Reached::Paused })
    }

    /// Whether an answer may be the filtered part of the list. If its items do not name their user, its `total` must be
    /// smaller than the list.
    fn is_part<R: Source>(&self, total: Option<u64>, items: &[R]) -> bool {
        items.iter().all(|record| record.user().is_some()) || total.is_some_and(|total| total < self.memory.length)
    }
}

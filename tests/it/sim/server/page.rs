//! Which rows a page has, and what it says of the total: the list as it is, cut and counted as the server's quirks want it.
//!
//! The model of pages is the simulator's. What is drawn, remembered or scripted about them is decided here.

use lumo_simulator::serving::{self, Window};
use rand::RngExt;
use rand::rngs::StdRng;

use super::{Act, Asked, Failure, Live};
use crate::sim::model::State;
use crate::sim::quirks::{Cap, Faults, Total};

/// Longest page that any server gives.
const MOST: u64 = 1_000;

/// The rows of a page, as they are listed, and the total beside them.
pub(super) struct Content {
    pub(super) rows: Vec<(usize, State)>,
    pub(super) total: Option<u64>,
}

impl Live {
    pub(super) fn content(&mut self, asked: &Asked, act: &Act) -> Result<Content, Failure> {
        let listing = asked.listing;
        let most = if let Act::Cut(rows) | Act::Mock(rows) = act { *rows } else { u64::MAX };
        let limit = self.limit(asked)?.min(most);
        let lag = self.lag();
        let moment = if let Act::AsOf(moment) = act { *moment } else { self.world.now().saturating_sub(lag) };
        self.world.given_salt = self.chance.given_salt();
        let mut list =
            if moment < self.world.now() { self.world.list_at(listing, moment) } else { self.world.list(listing) };
        self.chance.note_salt(self.world.last_salt);
        if let Act::Omit(omitted) = act {
            list.retain(|index| index != omitted);
        }
        if let Act::Nothing = act {
            list.clear();
        }
        if !asked.is_plain() {
            list.retain(|index| self.is_asked_for(asked, *index, moment));
        }
        let offset = match act {
            Act::Mock(_) => 0,
            Act::Shift(rows) => asked.offset + rows,
            _ => asked.offset,
        };
        let mut page = Window { offset, limit }.of(list.into_iter());
        match act {
            Act::Empty => page.rows.clear(),
            Act::Short => page.rows.truncate(page.rows.len().saturating_sub(1)),
            _ => {}
        }
        let total = match act {
            Act::Total(total) => *total,
            Act::Mock(_) => Some(0),
            _ => self.total(asked, page.total),
        };
        let listed = |index: usize| Some((index, self.world.row(listing, index).at(moment)?));
        Ok(Content { rows: page.rows.into_iter().filter_map(listed).collect(), total })
    }

    /// How many moments ago the replica was up to date that answers.
    fn lag(&mut self) -> u64 {
        let Faults { lag_rate, lag, .. } = self.faults;
        let drawn = |rng: &mut StdRng| if rng.random_bool(lag_rate) { rng.random_range(1..=lag) } else { 0 };
        if lag_rate > 0.0 { self.chance.of(|lot| &mut lot.lag, drawn) } else { 0 }
    }

    fn is_asked_for(&self, asked: &Asked, index: usize, moment: u64) -> bool {
        let quirks = self.quirks[asked.listing as usize];
        let row = self.world.row(asked.listing, index);
        let of_user = |user: &String| quirks.ignores_external_id || *user == row.external_id();
        let of_status = |status: &String| {
            quirks.ignores_status || row.at(moment).is_some_and(|state| status == state.status.as_str())
        };
        asked.external_id.as_ref().is_none_or(of_user) && asked.status.as_ref().is_none_or(of_status)
    }

    /// How many rows this answer has at most.
    fn limit(&mut self, asked: &Asked) -> Result<u64, Failure> {
        let limit = u64::from(asked.limit).min(MOST);
        let last = &mut self.caps[asked.listing as usize];
        let (rows, refusal) = match self.quirks[asked.listing as usize].cap {
            Cap::Silent(cap) => (cap, None),
            Cap::Refused(cap, status) => (cap, Some(status)),
            Cap::Changing(one, other) => {
                if self.chance.of(|lot| &mut lot.changes, |rng| rng.random_bool(0.1)) {
                    *last = if *last == one { other } else { one };
                }
                (*last, None)
            }
            Cap::OneShort if limit > 1 => {
                (limit - u64::from(self.chance.of(|lot| &mut lot.short, |rng| rng.random_bool(0.2))), None)
            }
            Cap::None | Cap::OneShort => (limit, None),
            Cap::Random(least) => {
                let most = |rng: &mut StdRng| Some(rng.random_range(least..=limit.max(least)));
                (self.chance.of(|lot| &mut lot.most, most).unwrap_or(limit), None)
            }
        };
        serving::Cap { rows, refusal }.limit(limit).map_err(Failure::Refused)
    }

    fn total(&mut self, asked: &Asked, length: u64) -> Option<u64> {
        let total = self.quirks[asked.listing as usize].total;
        let counted = match total {
            Total::Torn(off) => {
                let torn = |rng: &mut StdRng| {
                    let off = i64::try_from(off).unwrap();
                    if rng.random_bool(0.3) { rng.random_range(0..=2 * off) - off } else { 0 }
                };
                length.saturating_add_signed(self.chance.of(|lot| &mut lot.torn, torn))
            }
            Total::Cached(age) if asked.is_plain() => {
                let now = self.world.now();
                let cached = self.totals[asked.listing as usize].filter(|(since, _)| now - since <= age);
                let (since, total) = cached.unwrap_or((now, length));
                self.totals[asked.listing as usize] = Some((since, total));
                total
            }
            Total::CountsHidden(hidden) if asked.is_plain() => length + hidden,
            Total::Low(by) => length.saturating_sub(by),
            _ => length,
        };
        let said = match total {
            Total::Capped(most) => serving::Total::CappedAt(most),
            Total::Zero => serving::Total::CappedAt(0),
            Total::Missing => serving::Total::Missing,
            _ => serving::Total::Present,
        };
        said.of(counted)
    }
}

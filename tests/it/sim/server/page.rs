//! Which rows a page has, and what it says of the total: the list as it is, cut and counted as the server's quirks want it.

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
        let cap = if let Act::Cut(rows) | Act::Mock(rows) = act { *rows } else { u64::MAX }.min(self.cap(asked)?);
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
        let total = match act {
            Act::Total(total) => *total,
            Act::Mock(_) => Some(0),
            _ => self.total(asked, u64::try_from(list.len()).unwrap()),
        };
        let shift = if let Act::Shift(rows) = act { *rows } else { 0 };
        let offset = if let Act::Mock(_) = act { 0 } else { asked.offset };
        let from = usize::try_from(offset + shift).unwrap_or(usize::MAX).min(list.len());
        let until = from.saturating_add(usize::try_from(cap).unwrap()).min(list.len());
        let page = match (act, &list[from..until]) {
            (Act::Empty, _) | (Act::Short, []) => &[],
            (Act::Short, [page @ .., _]) | (_, page) => page,
        };
        let listed = |index: &usize| Some((*index, self.world.row(listing, *index).at(moment)?));
        Ok(Content { rows: page.iter().filter_map(listed).collect(), total })
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
    fn cap(&mut self, asked: &Asked) -> Result<u64, Failure> {
        let limit = u64::from(asked.limit).min(MOST);
        let last = &mut self.caps[asked.listing as usize];
        Ok(match self.quirks[asked.listing as usize].cap {
            Cap::None => limit,
            Cap::Silent(cap) => limit.min(cap),
            Cap::Refused(cap, status) if limit > cap => return Err(Failure::Refused(status)),
            Cap::Refused(..) => limit,
            Cap::Changing(one, other) => {
                if self.chance.of(|lot| &mut lot.changes, |rng| rng.random_bool(0.1)) {
                    *last = if *last == one { other } else { one };
                }
                limit.min(*last)
            }
            Cap::OneShort if limit > 1 => {
                limit - u64::from(self.chance.of(|lot| &mut lot.short, |rng| rng.random_bool(0.2)))
            }
            Cap::OneShort => limit,
            Cap::Random(least) => {
                let most = |rng: &mut StdRng| Some(rng.random_range(least..=limit.max(least)));
                self.chance.of(|lot| &mut lot.most, most).map_or(limit, |most| limit.min(most))
            }
        })
    }

    fn total(&mut self, asked: &Asked, length: u64) -> Option<u64> {
        match self.quirks[asked.listing as usize].total {
            Total::True => Some(length),
            Total::Torn(off) => {
                let torn = |rng: &mut StdRng| {
                    let off = i64::try_from(off).unwrap();
                    if rng.random_bool(0.3) { rng.random_range(0..=2 * off) - off } else { 0 }
                };
                Some(length.saturating_add_signed(self.chance.of(|lot| &mut lot.torn, torn)))
            }
            Total::Cached(age) if asked.is_plain() => {
                let now = self.world.now();
                let cached = self.totals[asked.listing as usize].filter(|(since, _)| now - since <= age);
                let (since, total) = cached.unwrap_or((now, length));
                self.totals[asked.listing as usize] = Some((since, total));
                Some(total)
            }
            Total::Cached(_) => Some(length),
            Total::Capped(most) => Some(length.min(most)),
            Total::Zero => Some(0),
            Total::Missing => None,
            Total::CountsHidden(hidden) if asked.is_plain() => Some(length + hidden),
            Total::CountsHidden(_) => Some(length),
            Total::Low(by) => Some(length.saturating_sub(by)),
        }
    }
}

//! The company as a model: rows that come, change and go, and the order of the lists that show them.
//!
//! It remembers everything that it ever was, moment by moment, so that whoever judges the bridge can ask what was listed
//! throughout a pass. Which wallets a list shows is the simulator's model; what a page of it looks like is the business
//! of [`super::server`].

pub(crate) mod deed;
pub(crate) mod row;

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::clock::Clock;
use lumo_bridge::model::Listing;
use lumo_simulator::serving::View;
use rand::RngExt;
use rand::rngs::StdRng;

use deed::Deed;
pub(crate) use row::{Kind, Moment, Row, State, Status};

use super::quirks::Order;

/// The distance between the ranks of two rows that join at the same end.
const GAP: i64 = 1 << 24;

/// Where a row joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Head,
    Tail,
    /// Before the row that is at this position now.
    At(usize),
    /// Where the order of the list puts a new row.
    AsOrdered,
}

/// How one list shows its rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) order: Order,
    /// Which rows are listed. A deposit is neither blocked nor replaced.
    pub(crate) view: View,
}

/// Everything that is there, was there, and when.
pub(crate) struct World {
    clock: Clock,
    /// The time of each moment; the last one is now.
    times: Vec<DateTime<Utc>>,
    wallets: Vec<Row>,
    deposits: Vec<Row>,
    shown: [Shown; 3],
    /// The smallest and the largest rank of a kind, those of rows that are gone included.
    ends: [(i64, i64); 2],
    /// Every list in order, until something changes.
    sorted: [Option<Vec<usize>>; 3],
    rng: StdRng,
    /// Where the next rows join that may join anywhere; what is not given is drawn.
    pub(crate) given_ranks: VecDeque<i64>,
    /// What decides about rows whose order is not fixed. Drawn if it is not given.
    pub(crate) given_salt: Option<u64>,
    pub(crate) last_salt: u64,
    /// What happened since somebody took note of it.
    pub(crate) deeds: Vec<Deed>,
}

impl World {
    pub(crate) fn new(clock: Clock, shown: [Shown; 3], rng: StdRng) -> Self {
        let times = vec![clock.now()];
        let (wallets, deposits) = (Vec::new(), Vec::new());
        Self {
            clock,
            times,
            wallets,
            deposits,
            shown,
            ends: [(0, 0); 2],
            sorted: [None, None, None],
            rng,
            given_ranks: VecDeque::new(),
            given_salt: None,
            last_salt: 0,
            deeds: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::try_from(self.times.len() - 1).unwrap()
    }

    pub(crate) fn time(&self, moment: Moment) -> DateTime<Utc> {
        self.times[usize::try_from(moment).unwrap()]
    }

    /// The last moment that was over before this time; none if there was none.
    pub(crate) fn last_before(&self, time: DateTime<Utc>) -> Option<Moment> {
        let later = self.times.partition_point(|then| *then < time);
        later.checked_sub(1).map(|index| Moment::try_from(index).unwrap())
    }

    /// Lets time pass; what happens from here on happens in a moment of its own.
    pub(crate) fn pass_time(&mut self, by: TimeDelta) {
        self.clock.advance(by);
        self.times.push(self.clock.now());
    }

    pub(crate) fn shown(&self, listing: Listing) -> Shown {
        self.shown[listing as usize]
    }

    pub(crate) fn rows(&self, kind: Kind) -> &[Row] {
        match kind {
            Kind::Wallet => &self.wallets,
            Kind::Deposit => &self.deposits,
        }
    }

    pub(crate) fn of(&self, listing: Listing) -> &[Row] {
        self.rows(kind(listing))
    }

    pub(crate) fn row(&self, listing: Listing, index: usize) -> &Row {
        &self.of(listing)[index]
    }

    fn table(&mut self, kind: Kind) -> &mut Vec<Row> {
        match kind {
            Kind::Wallet => &mut self.wallets,
            Kind::Deposit => &mut self.deposits,
        }
    }

    /// Whether a row that is such is in the list.
    pub(crate) fn lists(&self, listing: Listing, state: &State) -> bool {
        self.shown(listing).view.shows(state.blocked, state.replaced)
    }

    /// How many rows the list has now.
    pub(crate) fn len(&mut self, listing: Listing) -> usize {
        self.list(listing).len()
    }

    /// The list as it is now: the numbers of its rows, in order.
    pub(crate) fn list(&mut self, listing: Listing) -> Vec<usize> {
        let order = self.shown(listing).order;
        if !order.is_fixed() {
            return self.sort(listing, self.now());
        }
        if self.sorted[listing as usize].is_none() {
            self.sorted[listing as usize] = Some(self.sort(listing, self.now()));
        }
        self.sorted[listing as usize].clone().unwrap_or_default()
    }

    /// The list as it was, for a replica that lags.
    pub(crate) fn list_at(&mut self, listing: Listing, moment: Moment) -> Vec<usize> {
        self.sort(listing, moment)
    }

    fn sort(&mut self, listing: Listing, moment: Moment) -> Vec<usize> {
        let order = self.shown(listing).order;
        let salt = if order.is_fixed() { 0 } else { self.given_salt.unwrap_or_else(|| self.rng.random()) };
        self.last_salt = salt;
        let rows = self.of(listing).iter().enumerate();
        let listed = rows.filter_map(|(index, row)| {
            let state = row.at(moment).filter(|state| self.lists(listing, state))?;
            Some((order.key(row, &state, salt), index))
        });
        let mut listed: Vec<_> = listed.collect();
        listed.sort_unstable();
        listed.into_iter().map(|(_, index)| index).collect()
    }

    fn changed(&mut self) {
        self.sorted = [None, None, None];
    }
}

/// What changes a row or a list. All of it happens at the present moment.
impl World {
    /// A row joins; returns its index.
    pub(crate) fn add(&mut self, listing: Listing, place: Place, user: Option<u64>) -> usize {
        let order = self.shown(listing).order;
        let place = if place == Place::AsOrdered { order.place() } else { place };
        let rank = self.rank(listing, place);
        let created_at = self.created_at(listing, place, rank);
        let kind = kind(listing);
        let number = u64::try_from(self.rows(kind).len()).unwrap() + 1;
        let user = user.unwrap_or(number);
        let mut state = State::fresh(self.now());
        state.blocked = listing == Listing::Blocked;
        self.join(Row { kind, number, user, rank, created_at, history: Vec::new() }, state)
    }

    fn join(&mut self, mut row: Row, state: State) -> usize {
        let (kind, moment) = (row.kind, self.now());
        let (first, last) = self.ends[kind as usize];
        self.ends[kind as usize] = (first.min(row.rank), last.max(row.rank));
        row.set(moment, Some(state));
        self.deeds.push(Deed::joins(&row, &state, self.time(moment)));
        self.table(kind).push(row);
        self.changed();
        self.rows(kind).len() - 1
    }

    /// Makes of a row what it is from now on.
    fn set(&mut self, kind: Kind, index: usize, state: Option<State>) {
        let moment = self.now();
        let row = &mut self.table(kind)[index];
        row.set(moment, state);
        let deed = Deed::becomes(row, state.as_ref());
        self.deeds.push(deed);
        self.changed();
    }

    fn rank(&mut self, listing: Listing, place: Place) -> i64 {
        let (first, last) = self.ends[kind(listing) as usize];
        match place {
            Place::Head => first - GAP,
            Place::Tail => last + GAP,
            Place::AsOrdered => match self.given_ranks.pop_front() {
                Some(rank) => rank,
                None => self.rng.random_range(-GAP * 4096..GAP * 4096),
            },
            Place::At(position) => {
                let list = self.list(listing);
                let rank = |index: usize| self.row(listing, index).rank;
                let below = list.get(position).map_or_else(|| rank(*list.last().unwrap()) + GAP, |index| rank(*index));
                let above = match position.checked_sub(1).and_then(|before| list.get(before)) {
                    Some(index) => rank(*index),
                    None => below - GAP,
                };
                above + (below - above) / 2
            }
        }
    }

    /// A row that is older or younger than its neighbours would not be where it is, where time is the order.
    fn created_at(&mut self, listing: Listing, place: Place, rank: i64) -> DateTime<Utc> {
        let now = self.time(self.now());
        match (self.shown(listing).order, place) {
            (Order::Newest | Order::Oldest, Place::At(_)) => {
                let below = self.of(listing).iter().filter(|row| row.rank >= rank).min_by_key(|row| row.rank);
                below.map_or(now, |row| row.created_at)
            }
            _ => now,
        }
    }

    /// Lets the list have this many rows, as if they had been there for long. The youngest of them are still in status `new`.
    pub(crate) fn fill(&mut self, listing: Listing, rows: usize, young: usize) {
        let order = self.shown(listing).order;
        let begun = self.time(self.now()) - TimeDelta::days(10);
        for age in 0..rows {
            let index = self.add(listing, if order == Order::Newest { Place::Head } else { Place::AsOrdered }, None);
            let created_at = begun + TimeDelta::minutes(i64::try_from(age).unwrap());
            let row = &mut self.table(kind(listing))[index];
            row.created_at = created_at;
            if let Some((_, Some(state))) = row.history.first_mut()
                && age + young < rows
            {
                state.status = Status::Confirmed;
            }
        }
    }

    /// Changes what is listed of a row that is there.
    pub(crate) fn change(&mut self, kind: Kind, index: usize, change: impl FnOnce(&mut State)) {
        if let Some(mut state) = self.rows(kind)[index].now() {
            change(&mut state);
            state.touched = self.now();
            self.set(kind, index, Some(state));
        }
    }

    pub(crate) fn remove(&mut self, kind: Kind, index: usize) {
        self.set(kind, index, None);
    }

    /// Removes what is at this position of the list now.
    pub(crate) fn remove_at(&mut self, listing: Listing, position: usize) -> usize {
        let index = self.list(listing)[position];
        self.remove(kind(listing), index);
        index
    }

    /// Lets a row that is gone be there again, as it last was.
    pub(crate) fn bring_back(&mut self, kind: Kind, index: usize) {
        let row = &self.rows(kind)[index];
        let before = row.history.iter().rev().find_map(|(_, state)| *state);
        if let (None, Some(mut state)) = (row.now(), before) {
            state.touched = self.now();
            self.set(kind, index, Some(state));
        }
    }

    /// Gives a wallet's user another wallet.
    pub(crate) fn replace(&mut self, index: usize) -> usize {
        self.change(Kind::Wallet, index, |state| state.replaced = true);
        let user = self.wallets[index].user;
        self.add(Listing::Wallets, Place::AsOrdered, Some(user))
    }

    /// Lets the rows join that a list of this order gets after a moment's rest.
    pub(crate) fn burst(&mut self, listing: Listing, rows: usize) {
        for _ in 0..rows {
            self.add(listing, Place::AsOrdered, None);
        }
    }
}

pub(crate) const fn kind(listing: Listing) -> Kind {
    match listing {
        Listing::Wallets | Listing::Blocked => Kind::Wallet,
        Listing::Deposits => Kind::Deposit,
    }
}

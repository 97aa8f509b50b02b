//! How a server behaves, and how its company lives: what one seed chooses of all that is possible.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::model::{Moment, Place, Row, State};
use super::upset::Upset;

/// As many rows as a real server's pages have.
const LARGE_PAGE: u32 = 100;

/// In which order a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    Newest,
    Oldest,
    /// By a key that tells nothing of time, as a random id.
    Scattered,
    RecentlyChanged,
    /// Newest first by a key that few rows share; these trade places from query to query.
    Ties,
    /// Another order with every query.
    Unstable,
}

impl Order {
    /// Whether two rows that do not change never trade places.
    pub(crate) const fn is_fixed(self) -> bool {
        !matches!(self, Self::Ties | Self::Unstable)
    }

    /// Whether where a row stands follows from when it was made, or from nothing that changes.
    pub(crate) const fn is_time_or_key(self) -> bool {
        matches!(self, Self::Newest | Self::Oldest | Self::Scattered)
    }

    pub(crate) const fn place(self) -> Place {
        match self {
            Self::Newest | Self::RecentlyChanged | Self::Ties => Place::Head,
            Self::Oldest => Place::Tail,
            Self::Scattered | Self::Unstable => Place::AsOrdered,
        }
    }

    /// What the list is sorted by.
    pub(crate) fn key(self, row: &Row, state: &State, salt: u64) -> (i64, i64, u64) {
        let shuffled = || {
            let mut hasher = DefaultHasher::new();
            (row.number, salt).hash(&mut hasher);
            hasher.finish()
        };
        match self {
            Self::Newest | Self::Oldest | Self::Scattered => (row.rank, 0, row.number),
            Self::RecentlyChanged => (-i64::try_from(state.touched).unwrap(), row.rank, row.number),
            Self::Ties => (row.rank.div_euclid(3 << 24), 0, shuffled()),
            Self::Unstable => (0, 0, shuffled()),
        }
    }
}

/// How many rows a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cap {
    /// As many as were asked for.
    None,
    /// At most so many, without a word.
    Silent(u64),
    /// At most so many, and another number with every tenth request or so.
    Changing(u64, u64),
    /// A request for more is refused with this status.
    Refused(u64, u16),
    /// Now and then one less than there are.
    OneShort,
    /// Another number with every request, at least this.
    Random(u64),
}

impl Cap {
    /// The size of the smallest page that comes of it where so many rows are wished for.
    pub(crate) fn least(self, wished: u32) -> u64 {
        let wished = u64::from(wished);
        match self {
            Self::None => wished,
            Self::OneShort => wished - 1,
            Self::Silent(cap) | Self::Random(cap) => wished.min(cap),
            Self::Changing(one, other) => wished.min(one).min(other),
            Self::Refused(cap, _) => {
                let halves = std::iter::successors(Some(wished), |limit| Some(limit / 2));
                halves.into_iter().find(|limit| *limit <= cap).unwrap_or(1)
            }
        }
    }
}

/// What a list says of its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Total {
    True,
    /// Off by up to so many in one request of three.
    Torn(u64),
    /// As it was up to so many moments ago.
    Cached(Moment),
    /// Never more than this.
    Capped(u64),
    Zero,
    Missing,
    /// So many more than are ever listed.
    CountsHidden(u64),
    /// So many less than are listed.
    Low(u64),
}

/// What goes wrong between the two.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Share of requests that fail.
    pub(crate) rate: f64,
    /// Share of requests that an older state answers.
    pub(crate) lag_rate: f64,
    /// How old it may be, in moments.
    pub(crate) lag: Moment,
    /// Share of requests, and of milestones, at which the process dies.
    pub(crate) crash: f64,
    /// Share of the statements of a transaction, its commit among them, at which the database fails.
    #[serde(default)]
    pub(crate) database: f64,
    /// Whether the server's clock jumps.
    #[serde(default)]
    pub(crate) clock: bool,
}

/// How much happens between two requests, and what. All but the first two are weights.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Churn {
    /// Share of requests before which something happens.
    pub(crate) rate: f64,
    /// Share of these before which more rows join than fit a page.
    pub(crate) burst: f64,
    /// Nothing joins a table that has had so many rows.
    pub(crate) most_rows: usize,
    pub(crate) arrive: u32,
    /// Joins anywhere, whatever the order.
    pub(crate) late: u32,
    /// Leaves; likelier near the top.
    pub(crate) remove: u32,
    pub(crate) come_back: u32,
    pub(crate) update: u32,
    /// Changes its status, is blocked or unblocked.
    pub(crate) flip: u32,
    pub(crate) replace: u32,
    /// Cannot be read any more, or again.
    #[serde(default)]
    pub(crate) spoil: u32,
}

/// How one listing is served.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Quirks {
    pub(crate) order: Order,
    pub(crate) cap: Cap,
    pub(crate) total: Total,
    pub(crate) ignores_external_id: bool,
    pub(crate) ignores_status: bool,
}

impl Quirks {
    pub(crate) const fn plain(order: Order) -> Self {
        Self { order, cap: Cap::None, total: Total::True, ignores_external_id: false, ignores_status: false }
    }

    /// Whether the end of the list shows: a `total` that may be low *and* pages that may be short have no end to tell from
    /// a page in mid-list.
    pub(crate) const fn shows_its_end(&self) -> bool {
        let low = self.says_too_little();
        let short = matches!(self.cap, Cap::Changing(..) | Cap::OneShort | Cap::Random(_));
        !(low && short)
    }

    /// Whether the total may be lower than what is listed, or is not told.
    pub(crate) const fn says_too_little(&self) -> bool {
        !matches!(self.total, Total::True | Total::CountsHidden(_))
    }

    /// Whether pages have one row, which leaves nothing to tell a shift by.
    pub(crate) const fn is_single(&self) -> bool {
        matches!(self.cap, Cap::Silent(1))
    }

    /// Whether a pass over a list that stands still can prove its end at all.
    pub(crate) const fn lets_itself_be_proved(&self) -> bool {
        self.shows_its_end() && !matches!(self.total, Total::Missing | Total::CountsHidden(_))
    }
}

/// What one seed is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// By listing, in the order of `Listing::ALL`.
    pub(crate) quirks: [Quirks; 3],
    pub(crate) hides_blocked: bool,
    pub(crate) hides_replaced: bool,
    pub(crate) churn: Churn,
    pub(crate) faults: Faults,
    pub(crate) wallets: usize,
    pub(crate) deposits: usize,
    /// How many of them are in status `new`.
    pub(crate) young: usize,
    pub(crate) page_size: u32,
    pub(crate) concurrency: usize,
    /// Everything there is is announced on the first import, and not stored in silence.
    pub(crate) notify: bool,
    /// Only deposits, as most seeds must be quick.
    pub(crate) only_deposits: bool,
    pub(crate) rounds: u32,
    /// What happens when all is quiet.
    pub(crate) upset: Upset,
}

impl Plan {
    /// A server without quirks and a company at rest, with this many deposits.
    pub(crate) fn calm(order: Order, deposits: usize) -> Self {
        Self {
            seed: 0,
            quirks: [Quirks::plain(order); 3],
            hides_blocked: false,
            hides_replaced: false,
            churn: Churn::default(),
            faults: Faults::default(),
            wallets: 0,
            deposits,
            young: 3,
            page_size: 25,
            concurrency: 1,
            notify: false,
            only_deposits: true,
            rounds: 0,
            upset: Upset::Nothing,
        }
    }

    /// The same with this many wallets.
    pub(crate) fn with_wallets(self, wallets: usize) -> Self {
        Self { wallets, only_deposits: false, ..self }
    }

    /// The same where pages are of this size.
    pub(crate) fn with_page(self, page_size: u32) -> Self {
        Self { page_size, ..self }
    }

    pub(crate) fn with_cap(mut self, cap: Cap) -> Self {
        self.quirks.iter_mut().for_each(|quirks| quirks.cap = cap);
        self
    }

    pub(crate) fn with_total(mut self, total: Total) -> Self {
        self.quirks.iter_mut().for_each(|quirks| quirks.total = total);
        self
    }

    pub(crate) fn of(seed: u64, rng: &mut StdRng) -> Self {
        let wallets = quirks(rng);
        let mut blocked = quirks(rng);
        // One table: its rows join at one end only.
        blocked.order = wallets.order;
        let quirks = [wallets, blocked, quirks(rng)];
        let is_large = rng.random_bool(0.05);
        let page_size = if is_large { LARGE_PAGE } else { rng.random_range(8..20) };
        let (mut wallets, mut deposits) = (rows(page_size, rng), rows(page_size, rng));
        // Where a pass has no end but its budget, or takes a page for every row or two, the list is short: it would be the
        // greater part of all requests.
        let is_slow =
            |quirks: &Quirks| quirks.cap.least(page_size) < 8 || matches!(quirks.total, Total::CountsHidden(_));
        if is_slow(&quirks[0]) || is_slow(&quirks[1]) {
            wallets = wallets.min(30);
        }
        if is_large {
            // Too long to be read whole, so that the cost of a round shows.
            deposits = rng.random_range(820..900);
            wallets = if is_slow(&quirks[0]) || is_slow(&quirks[1]) { wallets } else { deposits };
        }
        if is_slow(&quirks[2]) {
            deposits = deposits.min(30);
        }
        let only_deposits = rng.random_bool(0.85);
        let mut plan = Self {
            seed,
            quirks,
            hides_blocked: rng.random_bool(0.3),
            hides_replaced: rng.random_bool(0.5),
            churn: churn(rng),
            faults: faults(rng),
            wallets: if only_deposits { 0 } else { wallets },
            deposits: if only_deposits { deposits } else { deposits.min(12) },
            young: rng.random_range(0..20),
            page_size,
            concurrency: *pick(rng, &[1, 1, 3, 8]),
            notify: rng.random_bool(0.3),
            only_deposits,
            rounds: rng.random_range(1..6),
            upset: Upset::Nothing,
        };
        plan.faults.database = *pick(rng, &[0.0, 0.0, 0.0, 0.003, 0.02]);
        plan.faults.clock = rng.random_bool(0.3);
        plan.upset = Upset::drawn(rng);
        plan
    }
}

fn pick<'a, T>(rng: &mut StdRng, of: &'a [T]) -> &'a T {
    &of[rng.random_range(0..of.len())]
}

fn quirks(rng: &mut StdRng) -> Quirks {
    let order = [Order::Newest, Order::Newest, Order::Oldest, Order::Oldest, Order::Scattered, Order::Scattered];
    let odd = [Order::RecentlyChanged, Order::Ties, Order::Unstable];
    let order = if rng.random_bool(0.12) { *pick(rng, &odd) } else { *pick(rng, &order) };
    let mut quirks = Quirks::plain(order);
    if rng.random_bool(0.4) {
        let cap = rng.random_range(2..14);
        let status = *pick(rng, &[400, 413, 422]);
        let other = rng.random_range(6..14);
        let caps = [
            Cap::Silent(cap),
            Cap::Silent(cap + 4),
            Cap::Silent(1),
            Cap::Changing(cap + 4, other),
            Cap::Refused(cap.max(4), status),
            Cap::OneShort,
            Cap::Random(cap.max(5)),
        ];
        quirks.cap = *pick(rng, &caps);
    }
    if rng.random_bool(0.3) {
        let off = rng.random_range(1..5);
        let totals = [
            Total::Torn(off),
            Total::Torn(off),
            Total::Cached(off * 5),
            Total::Capped(off * 10),
            Total::Zero,
            Total::Missing,
            Total::Low(off),
        ];
        quirks.total = *pick(rng, &totals);
    }
    // Nothing is ever proved of such a list, and each pass spends all that it may: a few seeds of them will do.
    if rng.random_bool(0.01) {
        quirks.total = Total::CountsHidden(rng.random_range(1..5));
    }
    quirks.ignores_external_id = rng.random_bool(0.05);
    quirks.ignores_status = rng.random_bool(0.2);
    quirks
}

fn churn(rng: &mut StdRng) -> Churn {
    let rate = *pick(rng, &[0.1, 0.3, 0.6]);
    let usual = Churn { rate, arrive: 6, update: 2, flip: 2, replace: 1, ..Churn::default() };
    match rng.random_range(0..8) {
        0 => Churn { rate: 0.05, ..usual },
        1 => usual,
        2 | 3 => Churn { remove: 5, come_back: 1, ..usual },
        4 => Churn { remove: 2, burst: 0.1, late: 1, ..usual },
        5 => Churn { remove: 2, spoil: 2, ..usual },
        6 => Churn { remove: 12, come_back: 3, ..usual },
        _ => Churn { remove: 4, come_back: 2, late: 2, flip: 6, update: 6, burst: 0.03, ..usual },
    }
}

fn faults(rng: &mut StdRng) -> Faults {
    match rng.random_range(0..8) {
        0..=3 => Faults::default(),
        4 => Faults { rate: 0.08, ..Faults::default() },
        5 => Faults { crash: 0.02, ..Faults::default() },
        6 => Faults { lag_rate: 0.2, lag: rng.random_range(1..12), ..Faults::default() },
        _ => Faults { rate: 0.08, crash: 0.02, lag_rate: 0.05, lag: 4, ..Faults::default() },
    }
}

/// Most lists are of a few more pages than the bridge reads whole with every tick, or just about.
fn rows(page_size: u32, rng: &mut StdRng) -> usize {
    let page = usize::try_from(page_size).unwrap();
    match rng.random_range(0..10) {
        0 => rng.random_range(0..3),
        1..5 => rng.random_range(3..6 * page),
        _ => rng.random_range(7 * page..9 * page),
    }
}

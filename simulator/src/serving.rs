//! How a server makes pages of a list: which wallets it lists, how long a page is, which rows are on it, and the total.
//!
//! This is the one model of that. It takes values and returns values: it holds no rows, draws nothing and reads no clock.
//! The simulator uses it, and so may tests that keep a list of their own and need no socket.

use clap::ValueEnum;

/// Whether a kind of row appears in a listing that has no filter for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, ValueEnum)]
pub enum Visibility {
    #[default]
    Listed,
    Hidden,
}

/// Which wallets a listing is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    Plain { blocked: Visibility },
    OnlyBlocked,
}

/// A section, with or without the wallets that have been replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct View {
    pub section: Section,
    pub replaced: Visibility,
}

impl View {
    /// Whether a wallet of this state is listed.
    pub fn shows(self, is_blocked: bool, is_replaced: bool) -> bool {
        let section = match self.section {
            Section::Plain { blocked: Visibility::Listed } => true,
            Section::Plain { blocked: Visibility::Hidden } => !is_blocked,
            Section::OnlyBlocked => is_blocked,
        };
        section && (self.replaced == Visibility::Listed || !is_replaced)
    }
}

/// The longest page of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap<S> {
    pub rows: u64,
    /// How a larger `limit` is refused. `None` if it gets a page of this length.
    pub refusal: Option<S>,
}

impl<S> Cap<S> {
    /// The `limit` in force where this one is asked for, or the refusal of it.
    pub fn limit(self, asked: u64) -> Result<u64, S> {
        match self.refusal {
            Some(refusal) if asked > self.rows => Err(refusal),
            _ => Ok(asked.min(self.rows)),
        }
    }
}

/// The part of a list that one request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub offset: u64,
    pub limit: u64,
}

/// One page of rows, and how many rows the whole list has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<R> {
    pub rows: Vec<R>,
    pub total: u64,
}

impl Window {
    /// The page of a list that it shows.
    pub fn of<R>(self, list: impl ExactSizeIterator<Item = R>) -> Page<R> {
        let size = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let total = u64::try_from(list.len()).unwrap_or(u64::MAX);
        Page { rows: list.skip(size(self.offset)).take(size(self.limit)).collect(), total }
    }
}

/// What a page says in `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    Present,
    Missing,
    /// The number as a string.
    Text,
    /// Never more than this.
    CappedAt(u64),
}

impl Total {
    /// The number that is said where so many rows are counted.
    pub fn of(self, counted: u64) -> Option<u64> {
        match self {
            Self::Present | Self::Text => Some(counted),
            Self::Missing => None,
            Self::CappedAt(most) => Some(counted.min(most)),
        }
    }
}

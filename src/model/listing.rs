//! The three lists that are kept in step with the upstream.

use std::fmt;
use std::ops::{Index, IndexMut};
use std::str::FromStr;

/// One of the upstream's paged lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listing {
    Wallets,
    Blocked,
    Deposits,
}

impl Listing {
    /// Every listing, in the order in which a first import reads them.
    pub const ALL: [Self; 3] = [Self::Wallets, Self::Blocked, Self::Deposits];

    /// The name in tables, logs, metrics and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wallets => "wallets",
            Self::Blocked => "blocked",
            Self::Deposits => "deposits",
        }
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Listing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|listing| listing.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no listing; they are wallets, blocked and deposits"))
    }
}

/// A value for each listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerListing<T>([T; Listing::ALL.len()]);

impl<T> PerListing<T> {
    pub fn of(make: impl FnMut(Listing) -> T) -> Self {
        Self(Listing::ALL.map(make))
    }

    /// The values, in the order of [`Listing::ALL`].
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Index<Listing> for PerListing<T> {
    type Output = T;

    fn index(&self, listing: Listing) -> &T {
        let [wallets, blocked, deposits] = &self.0;
        match listing {
            Listing::Wallets => wallets,
            Listing::Blocked => blocked,
            Listing::Deposits => deposits,
        }
    }
}

impl<T> IndexMut<Listing> for PerListing<T> {
    fn index_mut(&mut self, listing: Listing) -> &mut T {
        let [wallets, blocked, deposits] = &mut self.0;
        match listing {
            Listing::Wallets => wallets,
            Listing::Blocked => blocked,
            Listing::Deposits => deposits,
        }
    }
}

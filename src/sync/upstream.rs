//! Defines the source of the listings, as the engine sees it.
//!
//! The client of the Lumo API is the one implementation. The other is the simulation, which drives the engine through
//! histories that no server shows on request.

use std::future::ready;
use std::str::FromStr;

use crate::lumo::{Client, Error, ListQuery, Priority};
use crate::model::Listing;
use crate::model::account::Identity;
use crate::model::id::{ExternalId, WalletId};
use crate::model::record::{Deposit, Page, Wallet};
use crate::store::Publishes;

/// Something that lists wallets and deposits.
pub trait Upstream: Clone + Send + Sync + 'static {
    /// One page of all wallets.
    fn wallets(
        &self,
        priority: Priority,
        query: &ListQuery,
    ) -> impl Future<Output = Result<Page<Wallet>, Error>> + Send;

    /// One page of the blocked wallets.
    fn blocked(
        &self,
        priority: Priority,
        query: &ListQuery,
    ) -> impl Future<Output = Result<Page<Wallet>, Error>> + Send;

    /// One page of the deposits.
    fn deposits(
        &self,
        priority: Priority,
        query: &ListQuery,
    ) -> impl Future<Output = Result<Page<Deposit>, Error>> + Send;

    /// The company that the lists belong to, if Lumo says so. A simulation has none.
    fn identify(&self) -> impl Future<Output = Result<Option<Identity>, Error>> + Send {
        ready(Ok(None))
    }

    /// Signals a point at which a process may die with a step half done, or other work may interleave. Only a
    /// simulation uses it.
    fn milestone(&self, _: Milestone) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

/// A moment between two steps that are not atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// Requests were sent, and other work may happen before they are answered.
    PagesRequested,
    /// A page was read and nothing of it is stored.
    PageRead,
    /// What was read is stored; the walk's position may not be.
    PageStored,
    /// A round is over, and its watermarks and anchors are stored.
    Finished,
}

impl Upstream for Client {
    async fn wallets(&self, priority: Priority, query: &ListQuery) -> Result<Page<Wallet>, Error> {
        self.list_wallets(priority, query).await
    }

    async fn blocked(&self, priority: Priority, query: &ListQuery) -> Result<Page<Wallet>, Error> {
        self.list_blocked(priority, query).await
    }

    async fn deposits(&self, priority: Priority, query: &ListQuery) -> Result<Page<Deposit>, Error> {
        self.list_deposits(priority, query).await
    }

    async fn identify(&self) -> Result<Option<Identity>, Error> {
        Self::identify(self).await
    }
}

/// A record that can be read page by page.
pub(super) trait Source: Publishes<Id: FromStr> {
    /// One page of the listing.
    fn fetch<U: Upstream>(
        upstream: &U,
        listing: Listing,
        priority: Priority,
        query: &ListQuery,
    ) -> impl Future<Output = Result<Page<Self>, Error>> + Send;

    /// The user it belongs to, if the item says so.
    fn user(&self) -> Option<&ExternalId>;

    /// The wallet from which its user is known, if the item does not name the user.
    fn clue(&self) -> Option<&WalletId>;

    /// Its status, if its kind has one.
    fn status(&self) -> Option<&str>;

    /// The listing whose rows these are.
    const HOME: Listing;
}

impl Source for Wallet {
    const HOME: Listing = Listing::Wallets;

    async fn fetch<U: Upstream>(
        upstream: &U,
        listing: Listing,
        priority: Priority,
        query: &ListQuery,
    ) -> Result<Page<Self>, Error> {
        match listing {
            Listing::Blocked => upstream.blocked(priority, query).await,
            _ => upstream.wallets(priority, query).await,
        }
    }

    fn user(&self) -> Option<&ExternalId> {
        Some(&self.external_id)
    }

    fn clue(&self) -> Option<&WalletId> {
        None
    }

    fn status(&self) -> Option<&str> {
        None
    }
}

impl Source for Deposit {
    const HOME: Listing = Listing::Deposits;

    async fn fetch<U: Upstream>(
        upstream: &U,
        _: Listing,
        priority: Priority,
        query: &ListQuery,
    ) -> Result<Page<Self>, Error> {
        upstream.deposits(priority, query).await
    }

    fn user(&self) -> Option<&ExternalId> {
        self.external_id.as_ref()
    }

    fn clue(&self) -> Option<&WalletId> {
        self.only_clue()
    }

    fn status(&self) -> Option<&str> {
        Some(&self.status)
    }
}

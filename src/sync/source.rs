//! Where each kind of record is listed.

use crate::lumo::{Client, Error, ListQuery};
use crate::model::Listing;
use crate::model::record::{Deposit, Page, Wallet};
use crate::store::Told;

/// A record that can be fetched page by page.
pub(super) trait Source: Told {
    fn fetch(
        client: &Client,
        listing: Listing,
        query: &ListQuery,
    ) -> impl Future<Output = Result<Page<Self>, Error>> + Send;
}

impl Source for Wallet {
    async fn fetch(client: &Client, listing: Listing, query: &ListQuery) -> Result<Page<Self>, Error> {
        match listing {
            Listing::Blocked => client.list_blocked(query).await,
            _ => client.list_wallets(query).await,
        }
    }
}

impl Source for Deposit {
    async fn fetch(client: &Client, _: Listing, query: &ListQuery) -> Result<Page<Self>, Error> {
        client.list_deposits(query).await
    }
}

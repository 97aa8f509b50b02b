//! The writes: a wallet is created, blocked or replaced upstream, and what the API answers is stored with its events
//! before the caller hears of it.
//!
//! Should the process die between the answer and the commit, the next pass finds the change; its event has the same id
//! where it can happen only once.

use lumo_bridge_entity::wallet;

use crate::clock::Clock;
use crate::lumo::{self, Client};
use crate::model::facts::Announce;
use crate::model::id::{ExternalId, WalletId};
use crate::model::record::Wallet;
use crate::store::{self, Batch, Checkpoint, Ending, Regressions, Store};

/// Makes wallets what the merchant wants them to be.
pub struct Wallets {
    store: Store,
    client: Client,
    clock: Clock,
}

/// What stopped a write.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the API did not do it")]
    Upstream(#[from] lumo::Error),
    /// It is done upstream; the next pass stores it.
    #[error("the API did it, but the answer could not be stored; the next sync will")]
    NotStored(#[source] store::Error),
}

impl Wallets {
    #[must_use]
    pub fn new(store: Store, client: Client, clock: Clock) -> Self {
        Self { store, client, clock }
    }

    /// Creates the user's wallet, or returns the one that there is.
    ///
    /// # Errors
    /// If the API refuses, or its answer cannot be stored.
    pub async fn create(&self, user: &ExternalId) -> Result<wallet::Model, Error> {
        self.keep(self.client.create_wallet(user).await?).await
    }

    /// Blocks a wallet.
    ///
    /// # Errors
    /// If the API refuses, or its answer cannot be stored.
    pub async fn block(&self, id: &WalletId, reason: &str) -> Result<wallet::Model, Error> {
        self.keep(self.client.block_wallet(id, reason).await?).await
    }

    /// Gives the wallet's user another one, which is returned.
    ///
    /// # Errors
    /// If the API refuses, or its answer cannot be stored.
    pub async fn replace(&self, id: &WalletId, reason: &str) -> Result<wallet::Model, Error> {
        self.keep(self.client.replace_wallet(id, reason).await?).await
    }

    async fn keep(&self, wallet: Wallet) -> Result<wallet::Model, Error> {
        let id = wallet.id.clone();
        let now = self.clock.now();
        let batch = Batch {
            records: vec![wallet],
            heads: None,
            // The answer is the newest that can be known.
            read_at: now,
            announce: Announce::News,
            // Who acts need not wait until it is seen twice.
            regressions: Regressions::Apply,
            checkpoint: Checkpoint::default(),
            // A command is no part of the sync, whoever leads that.
            fence: None,
            ending: Ending::Commit,
        };
        self.store.ingest(batch, now).await.map_err(Error::NotStored)?;
        let stored = self.store.wallet(&id).await.map_err(Error::NotStored)?;
        stored.ok_or(Error::NotStored(store::Error::NotMigrated))
    }
}

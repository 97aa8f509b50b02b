//! The writes: a wallet is created, blocked or replaced upstream, and what the API answers is stored with its events
//! before the caller hears of it.
//!
//! An answer is stored only if it is what was asked for. Where no answer came, or one that proves nothing, the error says
//! that it is not known whether it was done: only a refusal proves that it was not.
//!
//! Should the process die between the answer and the commit, the next pass finds the change; its event has the same id
//! where it can happen only once.

mod error;

use lumo_bridge_entity::wallet;

pub use error::{Error, Write};

use crate::account;
use crate::clock::Clock;
use crate::lumo::{self, Client};
use crate::model::id::{ExternalId, WalletId};
use crate::model::record::Wallet;
use crate::store::{self, Batch, Ending, Noting, Store};

/// Makes wallets what the merchant wants them to be.
pub struct Wallets {
    store: Store,
    client: Client,
    clock: Clock,
}

impl Wallets {
    #[must_use]
    pub fn new(store: Store, client: Client, clock: Clock) -> Self {
        Self { store, client, clock }
    }

    /// Creates the user's wallet, or returns the one that there is.
    ///
    /// # Errors
    /// If the key is another company's, the API refuses or answers oddly, or its answer cannot be stored.
    pub async fn create(&self, user: &ExternalId) -> Result<wallet::Model, Error> {
        let write = Write::Create { user: user.clone() };
        self.admit(&write).await?;
        let answer = self.client.create_wallet(user).await;
        self.settle(write, answer).await
    }

    /// Blocks a wallet.
    ///
    /// # Errors
    /// If the API refuses or answers oddly, or its answer cannot be stored.
    pub async fn block(&self, id: &WalletId, reason: &str) -> Result<wallet::Model, Error> {
        let write = Write::Block { id: id.clone() };
        self.admit(&write).await?;
        let answer = self.client.block_wallet(id, reason).await;
        self.settle(write, answer).await
    }

    /// Gives the wallet's user another one, which is returned.
    ///
    /// # Errors
    /// If the API refuses or answers oddly, or its answer cannot be stored.
    pub async fn replace(&self, id: &WalletId, reason: &str) -> Result<wallet::Model, Error> {
        // Whose it is, as far as that is known: for the check of the answer, and for the words if there is none.
        let user = self.store.wallet(id).await.ok().flatten().map(|known| known.external_id);
        let write = Write::Replace { id: id.clone(), user };
        self.admit(&write).await?;
        let answer = self.client.replace_wallet(id, reason).await;
        self.settle(write, answer).await
    }

    /// Makes sure that the key is of the company that the tables belong to: it would write to somebody else's wallets.
    async fn admit(&self, write: &Write) -> Result<(), Error> {
        let admitted = account::admit(&self.store, self.client.identify(), Noting::First, self.clock.now()).await;
        admitted.map_err(|error| match error {
            account::Error::Upstream(source) => Error::NotDone { write: write.clone(), source },
            source => Error::NotAsked { write: write.clone(), source },
        })
    }

    /// Stores an answer that is what was asked for.
    async fn settle(&self, write: Write, answer: Result<Wallet, lumo::Error>) -> Result<wallet::Model, Error> {
        let wallet = answer.map_err(|error| Error::unanswered(write.clone(), error))?;
        if let Some(oddity) = write.oddity(&wallet) {
            return Err(Error::Odd { write, oddity });
        }
        let id = wallet.id.clone();
        self.keep(wallet).await.map_err(|source| Error::NotStored { write, id, source })
    }

    async fn keep(&self, wallet: Wallet) -> Result<wallet::Model, store::Error> {
        let id = wallet.id.clone();
        let now = self.clock.now();
        let batch = Batch::of_answer(wallet, now, Ending::Commit);
        self.store.ingest(batch, now).await?;
        self.store.wallet(&id).await?.ok_or(store::Error::NotMigrated)
    }
}

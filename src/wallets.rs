//! Creates, blocks and replaces wallets upstream, and stores the answer with its events before the caller receives it.
//!
//! An answer is stored only if it is what was asked for. Where no answer came, or one that proves nothing, the error says
//! that it is not known whether it was done: only a refusal proves that it was not.
//!
//! Should the process die between the answer and the commit, the next pass finds the change; its event has the same id
//! where it can happen only once.

mod error;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::wallet;

pub use error::{Error, Interface, Write};

use crate::account;
use crate::clock::Clock;
use crate::lumo::{self, Client};
use crate::model::actor::Actor;
use crate::model::id::{ExternalId, WalletId};
use crate::model::record::Wallet;
use crate::store::query::WalletFilter;
use crate::store::{self, Batch, Ending, Noting, Store};

/// Makes wallets what the merchant wants them to be.
pub struct Wallets {
    store: Store,
    client: Client,
    clock: Clock,
}

/// Who asked for a write, why, and when.
struct Asked<'a> {
    by: &'a Actor,
    /// Empty if none was given.
    reason: &'a str,
    at: DateTime<Utc>,
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
    pub async fn create(&self, user: &ExternalId, by: &Actor) -> Result<wallet::Model, Error> {
        let write = Write::Create { user: user.clone() };
        let asked = self.admit(&write, by).await?;
        let answer = self.client.create_wallet(user).await;
        self.record(write, answer, asked).await
    }

    /// Blocks a wallet.
    ///
    /// # Errors
    /// If the API refuses or answers oddly, or its answer cannot be stored.
    pub async fn block(&self, id: &WalletId, reason: &str, by: &Actor) -> Result<wallet::Model, Error> {
        let write = Write::Block { id: id.clone() };
        let asked = self.admit(&write, by).await?;
        let answer = self.client.block_wallet(id, reason).await;
        self.record(write, answer, Asked { reason, ..asked }).await
    }

    /// Gives the wallet's user another one, which is returned.
    ///
    /// # Errors
    /// If the API refuses or answers oddly, or its answer cannot be stored.
    pub async fn replace(&self, id: &WalletId, reason: &str, by: &Actor) -> Result<wallet::Model, Error> {
        // Whose it is, as far as that is known: for the check of the answer, and for the words if there is none.
        let user = self.store.wallet(id).await.ok().flatten().map(|known| known.external_id);
        let write = Write::Replace { id: id.clone(), user };
        let asked = self.admit(&write, by).await?;
        let answer = self.client.replace_wallet(id, reason).await;
        self.record(write, answer, Asked { reason, ..asked }).await
    }

    /// What to do about a write that failed. Where Lumo does not know the wallet, a user may have been named in its place.
    pub async fn hint(&self, error: &Error, asked: Interface) -> Option<String> {
        let Some(id) = error.unknown_wallet() else { return error.hint(asked) };
        let Ok(user) = id.as_str().parse() else { return error.hint(asked) };
        if self.store.wallet(id).await.ok().flatten().is_some() {
            return error.hint(asked);
        }
        let filter = WalletFilter { external_id: Some(user), limit: 1, ..WalletFilter::default() };
        let newest = self.store.list_wallets(&filter).await.ok()?.pop();
        Some(error::may_be_a_user(id, newest.as_ref().map(|wallet| &wallet.id), asked))
    }

    /// Makes sure that the key is of the company that the tables belong to: it would write to somebody else's wallets.
    async fn admit<'a>(&self, write: &Write, by: &'a Actor) -> Result<Asked<'a>, Error> {
        let at = self.clock.now();
        let admitted = account::admit(&self.store, self.client.identify(), Noting::First, at).await;
        admitted.map_err(|error| match error {
            account::Error::Upstream(source) => Error::NotDone { write: write.clone(), source },
            source => Error::NotAsked { write: write.clone(), source },
        })?;
        Ok(Asked { by, reason: "", at })
    }

    /// Stores an answer that is what was asked for.
    async fn record(
        &self,
        write: Write,
        answer: Result<Wallet, lumo::Error>,
        asked: Asked<'_>,
    ) -> Result<wallet::Model, Error> {
        let wallet = answer.map_err(|error| Error::unanswered(write.clone(), error))?;
        if let Some(oddity) = write.oddity(&wallet) {
            return Err(Error::Odd { write, oddity });
        }
        let id = wallet.id.clone();
        self.keep(&write, wallet, asked).await.map_err(|source| Error::NotStored { write, id, source })
    }

    async fn keep(&self, write: &Write, wallet: Wallet, asked: Asked<'_>) -> Result<wallet::Model, store::Error> {
        let id = wallet.id.clone();
        let is_news = write.is_news(self.store.wallet(&id).await?.as_ref(), asked.at);
        let now = self.clock.now();
        let mut batch = Batch::of_answer(wallet, now, Ending::Commit);
        if is_news {
            batch.checkpoint.deed = Some((asked.by.clone(), write.deed(&id).because(asked.reason)));
        }
        self.store.ingest(batch, now).await?;
        self.store.wallet(&id).await?.ok_or(store::Error::NotMigrated)
    }
}

//! Reads the wallets before it publishes a deposit that names no user and whose wallet is not stored.
//!
//! The body of an event never changes. A deposit whose wallet is not stored yet would be published without its user,
//! and nobody could credit it. Its wallet existed before it, so a round over the wallets that begins now finds the
//! user. The wait for that round is limited. If it fails or takes longer, the deposits are published as they are.

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::Round;
use super::keep::Heads;
use crate::model::Listing;
use crate::model::diff::Head;
use crate::model::facts::Announce;
use crate::model::id::WalletId;
use crate::store::Ending;
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Error, Syncer};

const WAITED: &str = "deposits name unknown wallets and no user, and reading the wallets takes too long to wait for it";

impl<U: Upstream> Round<'_, U> {
    /// Makes a round over the wallets if one of these records is to be told, names a wallet that is not stored, and does
    /// not name its user. If some wallet is still unknown then, the rest of this round makes no other.
    pub(super) async fn meet_users<R: Source>(
        &mut self,
        records: &[R],
        heads: &Heads,
        announce: Announce,
    ) -> Result<(), Error> {
        if !self.may_meet_users || self.options.ending == Ending::RollBack {
            return Ok(());
        }
        let told = records.iter().zip(heads).filter(|(record, head)| is_told(*record, **head, announce));
        let wallets: Vec<WalletId> = told.filter_map(|(record, _)| record.clue().cloned()).collect();
        if wallets.is_empty() || !self.syncer.store.lacks_wallets(&wallets).await? {
            return Ok(());
        }
        // The page is in hand and will be stored even if the process is to end, so its users are read even then.
        let stop = CancellationToken::new();
        let wait = self.syncer.settings.wallets_wait;
        if tokio::time::timeout(wait, self.syncer.early_wallets(&stop)).await.is_err() {
            tracing::warn!(listing = %self.listing, waited_s = wait.as_secs(), "{WAITED}");
        }
        self.may_meet_users = !self.syncer.store.lacks_wallets(&wallets).await?;
        Ok(())
    }
}

/// Whether the record becomes an event, as far as is known: it is new and no silent history, or it has changed.
fn is_told<R: Source>(record: &R, head: Option<Head>, announce: Announce) -> bool {
    match head {
        Some(head) => !head.matches(record),
        None => announce.origin(record.created_at()).is_some(),
    }
}

impl<U: Upstream> Syncer<U> {
    /// A round over the wallets before its time. Boxed, because it is a part of another round.
    fn early_wallets<'a>(&'a self, stop: &'a CancellationToken) -> BoxFuture<'a, ()> {
        Box::pin(self.on_schedule(Listing::Wallets, stop))
    }
}

//! Defines by what right a process stores what it has read (alone, leader or guest), and checks its key's company.

use tokio_util::sync::CancellationToken;

use crate::account;
use crate::lumo::{self, ListQuery, Priority};
use crate::model::Listing;
use crate::model::account::Identity;
use crate::store::{self, Ending, Fence, Noting};
use crate::sync::{Error, Syncer, Upstream};

/// By what right a process writes what it has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Right {
    /// There is no other process.
    #[default]
    Alone,
    /// It has the lease.
    Lease(Fence),
    /// Another process has the lease. This one may still store rows and events, because unique keys prevent duplicates.
    /// It must not change what the leader remembers, so it reads lists whole.
    Guest,
}

impl Right {
    pub(in crate::sync) fn fence(self) -> Option<Fence> {
        match self {
            Self::Lease(fence) => Some(fence),
            Self::Alone | Self::Guest => None,
        }
    }
}

impl<U: Upstream> Syncer<U> {
    /// The company of this process's key, if Lumo says so.
    pub(in crate::sync) async fn identify(&self) -> Result<Option<Identity>, lumo::Error> {
        self.upstream.identify().await
    }

    /// The same, asked anew: what is known of the key may be older than its end.
    pub(in crate::sync) async fn identify_anew(&self) -> Result<Option<Identity>, lumo::Error> {
        let first = ListQuery { limit: 1, offset: 0, external_id: None, status: None };
        self.upstream.wallets(Priority::Fresh, &first).await?;
        self.upstream.identify().await
    }

    /// Waits until the key's company and server are those that the tables belong to. False if the process is to end
    /// first.
    pub(in crate::sync) async fn admit(&self, ending: Ending, stop: &CancellationToken) -> Result<bool, Error> {
        let noting = match self.right() {
            _ if ending == Ending::RollBack => Noting::Nothing,
            // The key of a guest may be another one.
            Right::Guest => Noting::Nothing,
            right => Noting::All { fence: right.fence() },
        };
        let admitted = account::admit(&self.store, self.upstream.identify(), noting, self.clock.now());
        Ok(stop.run_until_cancelled(admitted).await.transpose()?.is_some())
    }

    /// Notes what a round over a listing has shown of the key: that it is accepted again, or that it was refused.
    pub(in crate::sync) async fn note_key(
        &self,
        listing: Listing,
        is_accepted: bool,
        fence: Option<Fence>,
    ) -> Result<(), store::Error> {
        let now = self.clock.now();
        if !is_accepted {
            return self.store.note_unauthorized(listing, true, fence, now).await.map(drop);
        }
        // The key is one for all listings.
        for listing in Listing::ALL {
            self.store.note_unauthorized(listing, false, fence, now).await?;
        }
        Ok(())
    }
}

/// Whether Lumo has accepted the key since it was last refused: whose key it is, is asked anew after each refusal.
pub(in crate::sync) fn is_key_accepted(admitted: &Result<bool, Error>) -> bool {
    match admitted {
        Ok(is_admitted) => *is_admitted,
        Err(error) => error.is_wrong_account(),
    }
}

//! The right by which a process reads and writes: its lease, and a key of the company that the tables belong to.

use tokio_util::sync::CancellationToken;

use super::{Error, Syncer, Upstream};
use crate::account;
use crate::lumo;
use crate::model::account::Identity;
use crate::store::{Ending, Fence, Noting};

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
    pub(super) fn fence(self) -> Option<Fence> {
        match self {
            Self::Lease(fence) => Some(fence),
            Self::Alone | Self::Guest => None,
        }
    }
}

impl<U: Upstream> Syncer<U> {
    /// The company of this process's key, if Lumo says so.
    pub(super) async fn identify(&self) -> Result<Option<Identity>, lumo::Error> {
        self.upstream.identify().await
    }

    /// Waits until the key's company and server are those that the tables belong to. False if the process is to end first.
    pub(super) async fn admit(&self, ending: Ending, stop: &CancellationToken) -> Result<bool, Error> {
        let noting = match self.right() {
            _ if ending == Ending::RollBack => Noting::Nothing,
            // The key of a guest may be another one.
            Right::Guest => Noting::Nothing,
            right => Noting::All { fence: right.fence() },
        };
        let admitted = account::admit(&self.store, self.upstream.identify(), noting, self.clock.now());
        Ok(stop.run_until_cancelled(admitted).await.transpose()?.is_some())
    }
}

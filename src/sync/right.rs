//! By what right a process reads and writes: its lease, and that the key is the one that the tables are filled with.

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
    /// Another process has the lease. Rows and events may be stored all the same, the keys see to that; what the other one
    /// remembers is not touched, so lists are read whole.
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
    /// Whose key this process has, as far as that can be found out.
    pub(super) async fn identify(&self) -> Result<Option<Identity>, lumo::Error> {
        self.upstream.identify().await
    }

    /// Makes sure that the lists are of the company, and from the server, that the tables are filled from. False if the
    /// process is to end first.
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

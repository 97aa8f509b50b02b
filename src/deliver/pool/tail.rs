//! Follows the end of the log once for all idle endpoints, because most new events are not for them and each would query by
//! itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::chain::Chain;
use crate::model::id::EndpointName;
use crate::store::{Error, Store};

/// How often to look where nobody tells of what was appended.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Who is so many events behind reads for itself.
const MAX_EVENTS: i64 = 10_000;

/// What lies behind a place in the log.
#[derive(Clone, Debug, Default)]
pub(in crate::deliver) struct LogEnd {
    pub(in crate::deliver) from: i64,
    pub(in crate::deliver) through: i64,
    /// The endpoints that want some of it.
    pub(in crate::deliver) wanting: Arc<HashSet<EndpointName>>,
}

/// Follows the end of the log while anybody listens.
#[derive(Clone, Debug)]
pub(in crate::deliver) struct Tail(Arc<watch::Sender<LogEnd>>);

impl Tail {
    pub(in crate::deliver) fn new() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }

    /// The looks from now on. A look may be missed: the next one begins where that ended.
    pub(in crate::deliver) fn listen(&self) -> watch::Receiver<LogEnd> {
        self.0.subscribe()
    }

    /// Looks whenever something was appended, for ever.
    pub(in crate::deliver) async fn follow(&self, store: &Store) {
        let mut appended = store.appended();
        let mut from = None;
        loop {
            // Whether it was told or not makes no difference.
            drop(tokio::time::timeout(POLL_EVERY, appended.changed()).await);
            if self.0.receiver_count() == 0 {
                from = None;
                continue;
            }
            match read_end(store, from).await {
                Ok(Some(end)) => {
                    from = Some(end.through);
                    self.0.send_replace(end);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(error = %Chain(&error), "end of the log not looked at; trying again");
                    tokio::time::sleep(POLL_EVERY).await;
                }
            }
        }
    }
}

/// What is new since `from`. Without it, or if that is long ago, only where the log ends: whoever is not there reads.
async fn read_end(store: &Store, from: Option<i64>) -> Result<Option<LogEnd>, Error> {
    // The end comes first: what is appended meanwhile belongs to the next end.
    let through = store.last_seq().await?;
    let Some(from) = from.filter(|from| through - from <= MAX_EVENTS) else {
        return Ok(Some(LogEnd { from: through, through, wanting: Arc::default() }));
    };
    if through <= from {
        return Ok(None);
    }
    let wanting = Arc::new(store.wanting(from, through).await?);
    Ok(Some(LogEnd { from, through, wanting }))
}

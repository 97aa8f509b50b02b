//! Reads the end of the log once for all idle endpoints, and tells each whether it wants any new event.
//!
//! Most new events are not for them. Without this, each of them would query the log by itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::chain::Chain;
use crate::model::id::EndpointName;
use crate::store::{Error, Store};

/// How often to read the end of the log without a wake-up.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// An endpoint that is further behind, in events, reads the log itself.
const MAX_EVENTS: i64 = 10_000;

/// What was appended after `from`.
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

    /// The ends read from now on. A receiver that misses one must read from its own position.
    pub(in crate::deliver) fn listen(&self) -> watch::Receiver<LogEnd> {
        self.0.subscribe()
    }

    /// Reads the end whenever something was appended. Never returns.
    pub(in crate::deliver) async fn follow(&self, store: &Store) {
        let mut appended = store.appended();
        let mut from = None;
        loop {
            // A wake-up and a timeout are treated alike.
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

/// What is new since `from`. Without it, or if it is too far back, only the end of the log.
async fn read_end(store: &Store, from: Option<i64>) -> Result<Option<LogEnd>, Error> {
    // The end is read first, so what is appended meanwhile belongs to the next reading.
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

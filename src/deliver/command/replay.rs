//! Queues stored events to be sent to an endpoint again, batch after batch, oldest first.

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::model::id::EndpointName;
use crate::store::replay::{Replay, Replayed};
use crate::store::{Ending, Error, Store};

/// Why the statement of an endpoint is not run with events of any type. A receiver that is called by HTTP reads the type;
/// a statement is written for the types that it gets, and books what it gets.
#[must_use]
pub fn only_named_types(endpoint: &EndpointName) -> String {
    format!("{endpoint} is a statement, which is run only with events of the types that its `events` name")
}

/// Queues batch after batch until the last event, or until `stop`. Returns whether it reached the last one. With a
/// rollback, events are only counted. If the future is dropped, it ends between two batches.
///
/// # Errors
/// If the database fails; what was queued by then stays queued.
pub async fn to_the_end(
    store: &Store,
    mut replay: Replay,
    ending: Ending,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<(Replayed, bool), Error> {
    let mut sum = Replayed::default();
    while !stop.is_cancelled() {
        let batch = match ending {
            Ending::RollBack => store.rehearse(&mut replay).await?,
            Ending::Commit => store.replay(&mut replay, clock.now()).await?,
        };
        let Some(batch) = batch else { return Ok((sum, true)) };
        sum.queued += batch.queued;
        sum.unfinished += batch.unfinished;
        sum.unwanted += batch.unwanted;
    }
    Ok((sum, false))
}

//! Queues stored events to be sent to an endpoint again, batch after batch, oldest first.

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::model::id::EndpointName;
use crate::store::replay::{Replay, Replayed};
use crate::store::{Ending, Error, Store};

/// Explains to an operator why a sink is not run with events of any type. An HTTP receiver reads an event's type; the
/// statement of a sink is written for certain types, and would book whatever it is given.
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

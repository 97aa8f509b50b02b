//! Retries the dead or skipped deliveries that a filter selects, batch after batch, oldest first.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::model::actor::Actor;
use crate::model::delivery::State;
use crate::model::id::{DeliveryId, EndpointName, ExternalId};
use crate::model::subscriber::Statements;
use crate::store::query::DeliveryFilter;
use crate::store::retry::Retried;
use crate::store::{Ending, Error, Store};

/// Deliveries per query.
const PAGE: u64 = 500;
/// Deliveries that are made due in one transaction.
const BATCH: usize = 300;

/// The states that a filter may retry: those that are not retried automatically.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    #[default]
    Dead,
    Skipped,
}

/// Selects the deliveries that match every condition given here.
#[derive(Clone, Debug, Default)]
pub struct RetryFilter {
    /// If not given, dead ones.
    pub state: Option<Ended>,
    pub endpoint: Option<EndpointName>,
    /// Of events of this type.
    pub kind: Option<String>,
    pub external_id: Option<ExternalId>,
    /// Only events that were noticed at this time or later.
    pub since: Option<DateTime<Utc>>,
}

/// The result of a retry by filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeDue {
    /// How many deliveries were made due, for each endpoint that has any.
    pub at: BTreeMap<EndpointName, u64>,
    /// How many were left out, for each sink, because its `events` do not name the types of their events.
    pub unwanted: BTreeMap<EndpointName, u64>,
    /// Whether the last one was reached.
    pub is_complete: bool,
}

impl MadeDue {
    fn add(&mut self, id: &DeliveryId) {
        *self.at.entry(id.endpoint.clone()).or_default() += 1;
    }

    fn leave_out(&mut self, id: &DeliveryId) {
        *self.unwanted.entry(id.endpoint.clone()).or_default() += 1;
    }
}

impl Ended {
    pub const ALL: [Self; 2] = [Self::Dead, Self::Skipped];

    #[must_use]
    pub const fn state(self) -> State {
        match self {
            Self::Dead => State::Dead,
            Self::Skipped => State::Skipped,
        }
    }
}

impl RetryFilter {
    /// Whether no condition is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { state, endpoint, kind, external_id, since } = self;
        state.is_none() && endpoint.is_none() && kind.is_none() && external_id.is_none() && since.is_none()
    }

    fn deliveries(&self) -> DeliveryFilter {
        let Self { state, endpoint, kind, external_id, since } = self.clone();
        DeliveryFilter {
            state: Some(state.unwrap_or_default().state()),
            endpoint,
            kind,
            external_id,
            since,
            limit: PAGE,
            ..DeliveryFilter::default()
        }
    }
}

/// Makes the selected deliveries due, batch after batch, until the last or until `stop`. With a rollback, they are only
/// counted. If the future is dropped, it ends between two batches.
///
/// # Errors
/// If the database fails; what was due by then stays due.
pub async fn to_the_end(
    store: &Store,
    filter: &RetryFilter,
    statements: &Statements,
    ending: Ending,
    by: &Actor,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<MadeDue, Error> {
    let mut due = MadeDue::default();
    let ids = matching(store, filter, statements, &mut due).await?;
    if ending == Ending::RollBack {
        ids.iter().for_each(|id| due.add(id));
        return Ok(MadeDue { is_complete: true, ..due });
    }
    for batch in ids.chunks(BATCH) {
        if stop.is_cancelled() {
            return Ok(due);
        }
        let retried = store.retry_deliveries(batch, statements, by, clock.now()).await?;
        let done = batch.iter().zip(retried);
        done.filter(|(_, retried)| matches!(retried, Retried::Due { .. })).for_each(|(id, _)| due.add(id));
    }
    Ok(MadeDue { is_complete: true, ..due })
}

/// The deliveries that match now, in the order of the log, so that those of one user go out in order. What the
/// statements leave out is counted.
async fn matching(
    store: &Store,
    filter: &RetryFilter,
    statements: &Statements,
    due: &mut MadeDue,
) -> Result<Vec<DeliveryId>, Error> {
    let (mut filter, mut ids) = (filter.deliveries(), Vec::new());
    loop {
        let page = store.list_deliveries(&filter).await?;
        let Some(last) = page.last() else { break };
        filter.before = Some((last.seq, last.id.endpoint.clone()));
        for row in page {
            if statements.leave_out(&row.id.endpoint, &row.kind) {
                due.leave_out(&row.id);
            } else {
                ids.push(row.id);
            }
        }
    }
    ids.reverse();
    Ok(ids)
}

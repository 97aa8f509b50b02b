//! Runs the machine's actions on the database.

use chrono::{DateTime, Utc};

use crate::chain::Chain;
use crate::deliver::machine::{Action, Candidate, Input, Read};
use crate::model::id::EndpointName;
use crate::model::subscriber::Order;
use crate::store::delivery::Refreshed;
use crate::store::log::Slice;
use crate::store::{Error, Store};

/// How many events, and bytes of their bodies, are read to find one to probe an endpoint with.
const PROBE_EVENTS: usize = 64;
const PROBE_BYTES: usize = 256 * 1024;

/// Runs one of the machine's database actions.
pub(in crate::deliver) async fn run(
    store: &Store,
    name: &EndpointName,
    order: Order,
    now: DateTime<Utc>,
    action: Action,
) -> Input {
    match action {
        Action::Read { after, limit, bytes, asks_acks } => Input::Read(said(
            "log not read; trying again",
            read(store, (name, order, asks_acks), after, (limit, bytes), now).await,
        )),
        Action::LoadDue { limit } => {
            Input::Due(said("due deliveries not looked for; trying again", store.due(name, limit, now).await))
        }
        Action::FindProbe { after, tried, asks_acks } => Input::ProbeFound(said(
            "nothing to try the endpoint with; trying again",
            probe(store, (name, order, asks_acks), after, tried, now).await,
        )),
        Action::Commit(commit) => {
            let written = store.commit_group(&commit, now).await;
            Input::Committed(said("attempts not written; trying again", written))
        }
        Action::FindOut => {
            Input::FoundOut(said("end of a commit not known yet; trying again", store.confirmed_position(name).await))
        }
        Action::Refresh { epoch, cursor, longest } => {
            let refreshed = store.refresh(name, epoch, cursor, longest, now).await;
            let refreshed = said("endpoint not looked at; trying again", refreshed);
            if let Some(Some(Refreshed { corrected: rows @ 1.., .. })) = &refreshed {
                tracing::warn!(endpoint = %name, rows, "due times in the future are corrected: a clock is wrong, or was");
            }
            Input::Refreshed(refreshed)
        }
        Action::LoadAcks { limit, due_by } => {
            let rows = store.acknowledged(name, limit, due_by).await;
            Input::Acknowledged(said("acknowledgements not looked for; trying again", rows))
        }
        Action::Send(_) | Action::RunSink { .. } | Action::Notify(_) | Action::Stop => Input::Tick,
    }
}

async fn read(
    store: &Store,
    (name, order, asks_acks): (&EndpointName, Order, bool),
    after: i64,
    (limit, bytes): (usize, usize),
    now: DateTime<Utc>,
) -> Result<Read, Error> {
    if order == Order::Endpoint {
        // With one lane for everything, nothing is read from the log while a row goes first.
        let lanes: Vec<String> = order.lane("").into_iter().collect();
        let blocked = store.blocked_lanes(name, &lanes, now).await?;
        if !blocked.is_empty() {
            let slice = Slice { through: after, ..Default::default() };
            return Ok(Read { slice, blocked, acknowledged: Vec::new() });
        }
    }
    let slice = store.read_log(name, after, limit, bytes).await?;
    let mut lanes: Vec<String> = slice.events.iter().filter_map(|event| order.lane(&event.stream)).collect();
    lanes.sort_unstable();
    lanes.dedup();
    let blocked = if lanes.is_empty() { Vec::new() } else { store.blocked_lanes(name, &lanes, now).await? };
    let acknowledged = if asks_acks { store.acknowledged_events(name, &slice.events).await? } else { Vec::new() };
    Ok(Read { slice, blocked, acknowledged })
}

/// Finds a delivery to probe a failing endpoint with: one that failed before or one that was never tried, in turn,
/// because a delivery may fail for a reason of its own. If there is none of the one kind, one of the other.
async fn probe(
    store: &Store,
    (name, order, asks_acks): (&EndpointName, Order, bool),
    after: i64,
    tried: bool,
    now: DateTime<Utc>,
) -> Result<Option<Candidate>, Error> {
    if tried && let Some(row) = store.probe_row(name, true, now).await? {
        return Ok(Some(Candidate::Row(Box::new(row))));
    }
    if let Some(row) = store.probe_row(name, false, now).await? {
        return Ok(Some(Candidate::Row(Box::new(row))));
    }
    let read = read(store, (name, order, asks_acks), after, (PROBE_EVENTS, PROBE_BYTES), now).await?;
    if !read.slice.events.is_empty() {
        return Ok(Some(Candidate::Log(read)));
    }
    let row = if tried { None } else { store.probe_row(name, true, now).await? };
    Ok(row.map(|row| Candidate::Row(Box::new(row))))
}

/// The result of a database operation. A failure is logged, and none is returned.
pub(in crate::deliver) fn said<T>(what: &'static str, result: Result<T, Error>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(error = %Chain(error), "{what}")).ok()
}

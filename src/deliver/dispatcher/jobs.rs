//! Carries out those of the machine's actions that read or write the database.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::chain::Chain;
use crate::deliver::machine::{Action, Candidate, Input, Read};
use crate::model::id::EndpointName;
use crate::model::subscriber::Order;
use crate::outage::Retried;
use crate::store::delivery::{Corrected, Refreshed};
use crate::store::log::Slice;
use crate::store::{Error, Store};

/// How many events, and bytes of their bodies, are read to find one to probe an endpoint with.
const PROBE_EVENTS: usize = 64;
const PROBE_BYTES: usize = 256 * 1024;

/// What the log says of an endpoint's actions on the database.
#[derive(Debug)]
pub(in crate::deliver) struct JobLog(Mutex<Retried>);

impl JobLog {
    pub(in crate::deliver) fn of(endpoint: &EndpointName) -> Self {
        Self(Mutex::new(Retried::of_endpoint(endpoint.as_str(), "the database works for this endpoint again")))
    }

    /// The result of an action that began then; none if it failed, which is logged.
    pub(in crate::deliver) fn said<T>(
        &self,
        what: &'static str,
        began: Instant,
        result: Result<T, Error>,
    ) -> Option<T> {
        match &result {
            Ok(_) => self.lock().succeeded(),
            Err(error) => self.lock().failed(what, began, &Chain(error)),
        }
        result.ok()
    }

    /// Logs the end of an outage that was over since the last action.
    pub(in crate::deliver) fn look(&self) {
        self.lock().look();
    }

    fn lock(&self) -> MutexGuard<'_, Retried> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one of the machine's database actions.
pub(in crate::deliver) async fn run(
    store: &Store,
    log: &JobLog,
    (name, order): (&EndpointName, Order),
    now: DateTime<Utc>,
    action: Action,
) -> Input {
    let began = Instant::now();
    match action {
        Action::Read { after, limit, bytes, asks_acks } => {
            let read = read(store, (name, order, asks_acks), after, (limit, bytes), now).await;
            Input::Read(log.said("log not read", began, read))
        }
        Action::LoadDue { limit } => {
            let due = store.due(name, limit, now).await;
            Input::Due(log.said("due deliveries not looked for", began, due))
        }
        Action::FindProbe { after, tried, asks_acks } => {
            let found = probe(store, (name, order, asks_acks), after, tried, now).await;
            Input::ProbeFound(log.said("the next delivery to probe the endpoint with not looked up", began, found))
        }
        Action::Commit(commit) => {
            let written = store.commit_group(&commit, now).await;
            Input::Committed(log.said("attempts not written", began, written))
        }
        Action::FindOut => {
            let position = store.confirmed_position(name).await;
            Input::FoundOut(log.said("end of a commit not known yet", began, position))
        }
        Action::Refresh { epoch, cursor, longest } => {
            let refreshed = store.refresh(name, epoch, cursor, longest, now).await;
            let refreshed = log.said("endpoint not looked at", began, refreshed);
            if let Some(Some(Refreshed { corrected, .. })) = &refreshed {
                tell(name, *corrected);
            }
            Input::Refreshed(refreshed)
        }
        Action::LoadAcks { limit, due_by } => {
            let rows = store.acknowledged(name, limit, due_by).await;
            Input::Acknowledged(log.said("acknowledgements not looked for", began, rows))
        }
        Action::Send(_) | Action::RunSink { .. } | Action::Notify(_) | Action::Stop => Input::Tick,
    }
}

/// Logs which times were corrected, and why.
fn tell(endpoint: &EndpointName, Corrected { too_long, unasked }: Corrected) {
    if unasked > 0 {
        let why = "`ack` is not configured any more, so the answer is enough for what waited for the receiver's row";
        tracing::info!(%endpoint, rows = unasked, "{why}");
    }
    if too_long > 0 {
        let why = "waits longer than the settings allow are cut short: the settings have changed, or a clock is wrong, or was";
        tracing::warn!(%endpoint, rows = too_long, "{why}");
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

/// Finds a delivery to probe a failing endpoint with. Probes take turns between deliveries that failed before (`tried`)
/// and those that were never tried, because a delivery may fail for a reason of its own. If there is none of one kind,
/// one of the other kind is taken.
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

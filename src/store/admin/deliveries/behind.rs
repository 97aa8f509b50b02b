//! Finds, for a waiting delivery, the earlier one of its lane that holds it back.

use std::collections::BTreeMap;

use lumo_bridge_entity::exception::State as Row;
use sea_orm::FromQueryResult;

use super::DeliveryRow;
use crate::model::delivery::State;
use crate::model::id::{EndpointName, EventId};
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

/// Lanes in one statement.
const LANES: usize = 500;

/// A row that other rows of its lane wait for: it is in flight, or has its own due time. Once it has ended, the leader
/// lets the next one continue.
#[derive(Debug, FromQueryResult)]
struct Blocker {
    lane: String,
    seq: i64,
    event_id: EventId,
}

impl Store {
    /// Fills in which event goes first, for each delivery and its lane.
    pub(super) async fn note_who_goes_first(
        &self,
        all: Vec<(DeliveryRow, Option<String>)>,
    ) -> Result<Vec<DeliveryRow>, Error> {
        let mut lanes: BTreeMap<EndpointName, Vec<&str>> = BTreeMap::new();
        for (row, lane) in all.iter().filter(|(row, _)| waits(row)) {
            if let Some(lane) = lane {
                lanes.entry(row.id.endpoint.clone()).or_default().push(lane);
            }
        }
        let mut blockers: BTreeMap<EndpointName, Vec<Blocker>> = BTreeMap::new();
        for (endpoint, mut lanes) in lanes {
            lanes.sort_unstable();
            lanes.dedup();
            blockers.insert(endpoint.clone(), self.blockers(&endpoint, &lanes).await?);
        }
        let first = |row: &DeliveryRow, lane: &str| {
            let of_lane = blockers.get(&row.id.endpoint)?.iter().filter(|blocker| blocker.lane == lane);
            let before = of_lane.filter(|blocker| blocker.seq < row.seq);
            before.max_by_key(|blocker| blocker.seq).map(|blocker| blocker.event_id.clone())
        };
        let noted = |(row, lane): (DeliveryRow, Option<String>)| {
            let is_behind = lane.filter(|_| waits(&row)).and_then(|lane| first(&row, &lane));
            DeliveryRow { is_behind, ..row }
        };
        Ok(all.into_iter().map(noted).collect())
    }

    async fn blockers(&self, endpoint: &EndpointName, lanes: &[&str]) -> Result<Vec<Blocker>, Error> {
        let mut blockers = Vec::new();
        for chunk in lanes.chunks(LANES) {
            let text = "SELECT lane, seq, event_id FROM lumo_exceptions WHERE endpoint = ?";
            let sql = Sql::new(self.backend(), text, [endpoint.clone().into()])
                .and(" AND state NOT IN ('dead', 'skipped', 'delivered')", [])
                .and(" AND (state <> ? OR next_attempt_at IS NOT NULL) AND ", [Row::Waiting.as_str().into()])
                .and_texts("lane", chunk);
            blockers.extend(Blocker::find_by_statement(sql.statement()).all(self.read()).await?);
        }
        Ok(blockers)
    }
}

/// Whether another delivery may go first.
const fn waits(row: &DeliveryRow) -> bool {
    matches!(row.state, State::Pending | State::Held)
}

//! Reads acknowledgements: an answered delivery is done once its receiver inserts a row into `lumo_acks`.
//!
//! A receiver that inserts the row in the transaction of its own work commits both or neither. So an answer that was
//! sent too early, or was lost, decides nothing. A row that comes late counts like one in time.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::ack;
use lumo_bridge_entity::attempt::AttemptResult;
use lumo_bridge_entity::exception::{self, State};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::Delivery;
use super::commit::{Amend, Fate, GroupCommit, Item, KnownRow};
use super::due::{COLUMNS, DueRow};
use super::target::LockedEndpoint;
use crate::model::id::{EndpointName, EventId};
use crate::store::db::statement::{Sql, padded};
use crate::store::log::LogEvent;
use crate::store::mirror::{among, at_once};
use crate::store::{Error, Store, Tx};

/// A row that was acknowledged, or was not acknowledged in time.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub row: DueRow,
    pub is_acknowledged: bool,
}

impl Store {
    /// Up to `limit` rows of the endpoint that were acknowledged, or should have been by now. A row in flight is among
    /// them only if its process is gone.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn acknowledged(
        &self,
        endpoint: &EndpointName,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Result<Vec<Acknowledged>, Error> {
        let text = format!(
            "SELECT {COLUMNS}, CASE WHEN k.event_id IS NULL THEN 0 ELSE 1 END AS acknowledged FROM lumo_exceptions x \
             LEFT JOIN lumo_acks k ON k.event_id = x.event_id AND k.endpoint = x.endpoint \
             WHERE x.endpoint = ? AND (x.state = 'awaiting_ack' AND (k.event_id IS NOT NULL OR x.ack_by <= ?) \
             OR x.state IN ('waiting', 'retrying') AND k.event_id IS NOT NULL \
             OR x.state = 'sending' AND x.next_attempt_at <= ? AND k.event_id IS NOT NULL) ORDER BY x.seq LIMIT {limit}"
        );
        let sql = Sql::new(self.backend(), &text, [endpoint.clone().into(), now.into(), now.into()]);
        let rows = self.read().query_all_raw(sql.statement()).await?;
        let mut acknowledged: HashSet<i64> = HashSet::new();
        for row in &rows {
            if row.try_get::<i32>("", "acknowledged")? != 0 {
                acknowledged.insert(row.try_get("", "seq")?);
            }
        }
        let mut rows = self.due_rows(endpoint, rows).await?;
        for row in rows.iter_mut().filter(|row| row.state == State::Sending) {
            // The acknowledgement shows that an attempt was made. It was not recorded, because its process is gone.
            row.tries = row.tries.saturating_add(1);
            row.attempts = row.attempts.saturating_add(1);
        }
        Ok(rows
            .into_iter()
            .map(|row| Acknowledged { is_acknowledged: acknowledged.contains(&row.event.seq), row })
            .collect())
    }
}

impl Store {
    /// Which of these events the receiver has acknowledged by row, checked before a new leader sends them again.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn acknowledged_events(
        &self,
        endpoint: &EndpointName,
        events: &[LogEvent],
    ) -> Result<Vec<EventId>, Error> {
        let ids: Vec<EventId> = events.iter().map(|event| event.id.clone()).collect();
        let mut noted = Vec::new();
        for chunk in ids.chunks(at_once(self.backend())) {
            let rows = ack::Entity::find()
                .filter(among(self.backend(), ack::Column::EventId, chunk.iter().cloned()))
                .filter(ack::Column::Endpoint.eq(endpoint.clone()))
                .all(self.read())
                .await?;
            noted.extend(rows.into_iter().map(|row| row.event_id));
        }
        Ok(noted)
    }
}

impl Delivery<'_> {
    /// Finishes the items whose events the receiver has acknowledged by row, whatever the results of their attempts.
    pub(super) async fn acknowledge(&self, endpoint: &EndpointName, items: &mut [Item]) -> Result<Vec<i64>, Error> {
        let is_open = |item: &&Item| matches!(item.fate, Fate::RetryAt(_) | Fate::AwaitAck { .. } | Fate::Dead);
        let asked: Vec<EventId> = items.iter().filter(is_open).map(|item| item.event.clone()).collect();
        let noted = self.noted(endpoint, &asked).await?;
        let mut acknowledged = Vec::new();
        for item in items.iter_mut().filter(|item| noted.contains(&item.event)) {
            item.fate = Fate::Done;
            if let Some(attempt) = &mut item.attempt {
                attempt.result = AttemptResult::Delivered;
            }
            if item.amend.is_some() {
                item.amend = Some(Amend { result: AttemptResult::Delivered, error: None });
            }
            acknowledged.push(item.seq);
        }
        Ok(acknowledged)
    }

    /// Which of these events the receiver has acknowledged by row.
    async fn noted(&self, endpoint: &EndpointName, events: &[EventId]) -> Result<HashSet<EventId>, Error> {
        let mut noted: HashSet<EventId> = HashSet::new();
        let backend = self.tx.backend();
        for chunk in events.chunks(at_once(backend)) {
            let rows = ack::Entity::find()
                .filter(among(backend, ack::Column::EventId, chunk.iter().cloned()))
                .filter(ack::Column::Endpoint.eq(endpoint.clone()))
                .all(self.tx.session())
                .await?;
            noted.extend(rows.into_iter().map(|row| row.event_id));
        }
        Ok(noted)
    }

    /// Finishes the rows among these that the receiver has acknowledged, for an endpoint that no leader serves. Returns
    /// their numbers.
    pub(super) async fn finish_acknowledged(
        &self,
        place: &LockedEndpoint,
        rows: &[exception::Model],
        now: DateTime<Utc>,
    ) -> Result<HashSet<i64>, Error> {
        let endpoint = &place.endpoint.name;
        let events: Vec<EventId> = rows.iter().map(|row| row.event_id.clone()).collect();
        let noted = self.noted(endpoint, &events).await?;
        let rows: Vec<&exception::Model> = rows.iter().filter(|row| noted.contains(&row.event_id)).collect();
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        if seqs.is_empty() {
            return Ok(HashSet::new());
        }
        let wanted: HashSet<i64> = self.tx.log().wanted_among(endpoint, &seqs).await?.into_iter().collect();
        let items: Vec<Item> = rows.iter().map(|row| finished(row, wanted.contains(&row.seq))).collect();
        let commit = GroupCommit {
            endpoint: endpoint.clone(),
            epoch: 0,
            revision: place.revision,
            commits: 0,
            position: place.position,
            items: Vec::new(),
            note: None,
            asks_acks: true,
        };
        self.write_items(&commit, &items, now).await?;
        Ok(seqs.into_iter().collect())
    }
}

/// The end of a row that was acknowledged.
fn finished(row: &exception::Model, is_wanted: bool) -> Item {
    // The acknowledgement shows that an attempt was made; that of a process which is gone was not recorded.
    let unrecorded = i32::from(row.state == State::Sending || row.attempts == 0);
    Item {
        seq: row.seq,
        event: row.event_id.clone(),
        lane: row.lane.clone(),
        reason: row.reason,
        row: Some(KnownRow { touched: row.touched, is_wanted }),
        tries: row.tries.saturating_add(unrecorded),
        attempts: row.attempts.saturating_add(unrecorded),
        attempt: None,
        amend: Some(Amend { result: AttemptResult::Delivered, error: None }),
        fate: Fate::Done,
        hold_until: None,
    }
}

impl Tx {
    /// Deletes the acknowledgements of these events, because a replay must be acknowledged anew.
    pub(in crate::store) async fn forget_acknowledgements(
        &self,
        endpoint: &EndpointName,
        events: &[EventId],
    ) -> Result<(), Error> {
        ack::Entity::delete_many()
            .filter(ack::Column::EventId.is_in(padded(events.iter().cloned())))
            .filter(ack::Column::Endpoint.eq(endpoint.clone()))
            .exec(self.session())
            .await?;
        Ok(())
    }
}

//! Acknowledgement by row: a delivery that was answered is finished by what the receiver writes into `lumo_acks`.
//!
//! A receiver that inserts there in the transaction in which it works commits both or neither, so an answer that was given
//! too early, or never arrived, decides nothing. While the row is waited for the delivery is `sending` without a time: no
//! claim finds it, and it keeps its lane and the token of its lease, which still guards what is settled. Where it has failed
//! it keeps the token as well: a row may come late, and is then as good as one in time.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{ack, attempt};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, Statement};

use super::mirror::{among, at_once, padded, time};
use super::{Error, Lease, Settlement, Store, Tx};
use crate::model::id::{DeliveryId, EndpointName, EventId};

/// What finishes a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// The answer to the attempt.
    Unasked,
    /// A row, for which there is so much time after the answer.
    Asked { within: Duration },
    /// A row, and the time for it is over or it is there. The attempt is settled already.
    Awaited,
}

/// A delivery whose acknowledgement is there, or did not come in time.
#[derive(Debug)]
pub struct Overdue {
    pub lease: Lease,
    /// Attempts made.
    pub attempts: u32,
    pub last_status: Option<u16>,
    pub is_acknowledged: bool,
}

#[derive(FromQueryResult)]
struct Waiting {
    id: DeliveryId,
    lease_token: i64,
    attempts: i32,
    last_status: Option<i32>,
    acknowledged: i32,
}

impl Store {
    /// Up to `limit` deliveries of the endpoint that were acknowledged, or should have been by `now`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn acknowledgements(
        &self,
        endpoint: &EndpointName,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Result<Vec<Overdue>, Error> {
        let marks = if self.backend() == DbBackend::Postgres { ["$1", "$2"] } else { ["?", "?"] };
        // Raw SQL because the two tables are joined by both columns. What is being sent again is left to its own end.
        let sql = format!(
            "SELECT d.id, d.lease_token, d.attempts, d.last_status,
                CASE WHEN a.event_id IS NULL THEN 0 ELSE 1 END AS acknowledged
             FROM lumo_deliveries d
             LEFT JOIN lumo_acks a ON a.event_id = d.event_id AND a.endpoint = d.endpoint
             WHERE d.endpoint = {} AND d.ack_by IS NOT NULL AND d.lease_token IS NOT NULL
             AND (a.event_id IS NOT NULL AND d.state IN ('pending', 'retrying')
                OR d.state = 'sending' AND d.next_attempt_at IS NULL AND (a.event_id IS NOT NULL OR d.ack_by <= {}))
             ORDER BY d.ack_by LIMIT {limit}",
            marks[0], marks[1]
        );
        let values = [endpoint.clone().into(), time(Some(now), self.backend())];
        let rows = Waiting::find_by_statement(Statement::from_sql_and_values(self.backend(), sql, values));
        let overdue = |row: Waiting| Overdue {
            lease: Lease { delivery: row.id, token: row.lease_token, until: now },
            attempts: u32::try_from(row.attempts).unwrap_or(0),
            last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
            is_acknowledged: row.acknowledged != 0,
        };
        Ok(rows.all(self.read()).await?.into_iter().map(overdue).collect())
    }
}

impl Tx {
    /// Which of the events were acknowledged by which endpoint, as far as a settlement asks for it.
    pub(super) async fn acknowledged<'a>(
        &self,
        settled: impl Iterator<Item = (&'a Settlement, &'a EventId)>,
    ) -> Result<HashSet<(EventId, EndpointName)>, Error> {
        let asked: Vec<EventId> =
            settled.filter(|(settlement, _)| settlement.acks != Acks::Unasked).map(|(_, id)| id.clone()).collect();
        let mut acknowledged = HashSet::new();
        for chunk in asked.chunks(at_once(self.backend())) {
            let rows = ack::Entity::find()
                .filter(among(self.backend(), ack::Column::EventId, chunk.iter().cloned()))
                .all(self.session())
                .await?;
            acknowledged.extend(rows.into_iter().map(|row| (row.event_id, row.endpoint)));
        }
        Ok(acknowledged)
    }

    /// Writes into the history that an attempt was answered and not acknowledged.
    pub(super) async fn note_unacknowledged(&self, settlement: &Settlement) -> Result<(), Error> {
        attempt::Entity::update_many()
            .col_expr(attempt::Column::Error, Expr::value(settlement.attempted.error.clone()))
            .filter(attempt::Column::DeliveryId.eq(settlement.lease.delivery.clone()))
            .filter(attempt::Column::Attempt.eq(i32::try_from(settlement.attempts).unwrap_or(i32::MAX)))
            .exec(self.session())
            .await?;
        Ok(())
    }

    /// A replay wants to be acknowledged anew.
    pub(super) async fn forget_acknowledgements(
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

    /// Takes away the acknowledgements of these events that belong to no delivery any more. Raw SQL because the builder has
    /// no correlated delete.
    pub(super) async fn prune_acknowledgements(&self, events: &[EventId]) -> Result<(), Error> {
        let events = padded(events.iter().cloned());
        let marks: Vec<String> = match self.backend() {
            DbBackend::Postgres => (1..=events.len()).map(|number| format!("${number}")).collect(),
            _ => vec!["?".to_owned(); events.len()],
        };
        let sql = format!(
            "DELETE FROM lumo_acks WHERE event_id IN ({}) AND NOT EXISTS (
                SELECT 1 FROM lumo_deliveries d
                WHERE d.event_id = lumo_acks.event_id AND d.endpoint = lumo_acks.endpoint)",
            marks.join(", ")
        );
        let values = events.into_iter().map(Into::into);
        self.session().execute_raw(Statement::from_sql_and_values(self.backend(), sql, values)).await?;
        Ok(())
    }
}

impl Settlement {
    /// Whether it is the end of an attempt that counts.
    pub(super) fn is_attempt(&self) -> bool {
        self.counts && self.acks != Acks::Awaited
    }
}

//! Claiming: due deliveries become leases, in one statement.
//!
//! A claim stamps each delivery with a token and with the end of the lease as its next attempt. If the process dies the
//! lease ends and the same query finds the delivery again; if it comes back too late, its token is no longer there and what
//! it settles is not written.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::delivery::{self, Reason};
use lumo_bridge_entity::event;
use sea_orm::sea_query::LockBehavior;
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement};

use super::mirror::padded;
use super::{Error, Store};
use crate::model::id::{DeliveryId, EndpointName, EventId};

/// The right to settle a delivery, until it ends. Not `Clone`: settling consumes it, so nothing is settled twice.
#[derive(Debug)]
pub struct Lease {
    pub(super) delivery: DeliveryId,
    pub(super) token: i64,
    /// When somebody else may claim it.
    pub until: DateTime<Utc>,
}

impl Lease {
    /// What is leased.
    #[must_use]
    pub fn delivery(&self) -> &DeliveryId {
        &self.delivery
    }
}

/// A claimed delivery with what is to be sent.
#[derive(Debug)]
pub struct Claimed {
    pub lease: Lease,
    pub event_id: EventId,
    pub event_type: String,
    pub body: String,
    pub reason: Reason,
    /// Attempts made so far.
    pub attempts: u32,
}

#[derive(Debug, FromQueryResult)]
struct Due {
    id: DeliveryId,
    event_id: EventId,
    reason: Reason,
    attempts: i32,
}

impl Store {
    /// Claims up to `limit` deliveries of the endpoint that are due, oldest first, for `lease`.
    ///
    /// # Errors
    /// If the database fails; nothing is claimed then, or what is claimed is claimed again when the lease ends.
    pub async fn claim(
        &self,
        endpoint: &EndpointName,
        limit: usize,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> Result<Vec<Claimed>, Error> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let token: i64 = rand::random();
        let until = now + TimeDelta::from_std(lease).unwrap_or(TimeDelta::hours(1));
        let mut due = match self.backend() {
            DbBackend::MySql => self.claim_by_ids(endpoint, limit, token, until, now).await?,
            DbBackend::Sqlite => {
                // Through the one writer, in a transaction that begins as a writer.
                self.tx("delivery.claim", |tx| async move {
                    let statement = claim_statement(DbBackend::Sqlite, endpoint, limit, token, until, now);
                    let rows = Due::find_by_statement(statement).all(tx.session()).await?;
                    Ok(rows)
                })
                .await?
            }
            backend => {
                let statement = claim_statement(backend, endpoint, limit, token, until, now);
                Due::find_by_statement(statement).all(&self.inner.write).await?
            }
        };
        if due.is_empty() {
            return Ok(Vec::new());
        }
        due.sort_by(|a, b| a.id.cmp(&b.id));
        let mut events = self.bodies(&due).await?;
        let claimed = due.into_iter().filter_map(|due| {
            // An event is only pruned when it has no delivery to make, so it is there.
            let (event_type, body) = events.remove(&due.id)?;
            let lease = Lease { delivery: due.id, token, until };
            let attempts = u32::try_from(due.attempts).unwrap_or(0);
            Some(Claimed { lease, event_id: due.event_id, event_type, body, reason: due.reason, attempts })
        });
        Ok(claimed.collect())
    }

    /// MySQL has no RETURNING: lock, read and stamp in one transaction.
    async fn claim_by_ids(
        &self,
        endpoint: &EndpointName,
        limit: u64,
        token: i64,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Due>, Error> {
        self.tx("delivery.claim", |tx| async move {
            let due: Vec<Due> = delivery::Entity::find()
                .select_only()
                .columns([
                    delivery::Column::Id,
                    delivery::Column::EventId,
                    delivery::Column::Reason,
                    delivery::Column::Attempts,
                ])
                .filter(delivery::Column::Endpoint.eq(endpoint.clone()))
                .filter(delivery::Column::NextAttemptAt.lte(now))
                .order_by_asc(delivery::Column::NextAttemptAt)
                .order_by_asc(delivery::Column::Id)
                .limit(limit)
                .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                .into_model()
                .all(tx.session())
                .await?;
            if !due.is_empty() {
                delivery::Entity::update_many()
                    .set(delivery::ActiveModel {
                        state: sea_orm::ActiveValue::Set(delivery::State::Sending),
                        lease_token: sea_orm::ActiveValue::Set(Some(token)),
                        next_attempt_at: sea_orm::ActiveValue::Set(Some(until)),
                        ..Default::default()
                    })
                    .filter(delivery::Column::Id.is_in(padded(due.iter().map(|due| due.id.clone()))))
                    .exec(tx.session())
                    .await?;
            }
            Ok(due)
        })
        .await
    }

    /// Type and body of each delivery's event.
    async fn bodies(&self, due: &[Due]) -> Result<HashMap<DeliveryId, (String, String)>, Error> {
        let rows: Vec<(EventId, String, String)> = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::Kind, event::Column::Body])
            .filter(event::Column::Id.is_in(padded(due.iter().map(|due| due.event_id.clone()))))
            .into_tuple()
            .all(self.read())
            .await?;
        let events: HashMap<EventId, (String, String)> =
            rows.into_iter().map(|(id, kind, body)| (id, (kind, body))).collect();
        Ok(due.iter().filter_map(|due| Some((due.id.clone(), events.get(&due.event_id)?.clone()))).collect())
    }

    /// When the endpoint's next delivery is due, if one has a time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn next_due(&self, endpoint: &EndpointName) -> Result<Option<DateTime<Utc>>, Error> {
        let due: Option<Option<DateTime<Utc>>> = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::NextAttemptAt)
            .filter(delivery::Column::Endpoint.eq(endpoint.clone()))
            .filter(delivery::Column::NextAttemptAt.is_not_null())
            .order_by_asc(delivery::Column::NextAttemptAt)
            .limit(1)
            .into_tuple()
            .one(self.read())
            .await?;
        Ok(due.flatten())
    }
}

/// Raw SQL because the builder has neither a materialised CTE nor `UPDATE … FROM` a subquery. The CTE must be materialised:
/// PostgreSQL may run a plain subquery more than once and then claims more than the limit.
fn claim_statement(
    backend: DbBackend,
    endpoint: &EndpointName,
    limit: u64,
    token: i64,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Statement {
    let sql = match backend {
        DbBackend::Postgres => {
            "WITH due AS MATERIALIZED (
                SELECT id FROM lumo_deliveries
                WHERE endpoint = $3 AND next_attempt_at <= $4
                ORDER BY next_attempt_at, id LIMIT $5 FOR UPDATE SKIP LOCKED
             )
             UPDATE lumo_deliveries d SET state = 'sending', lease_token = $1, next_attempt_at = $2
             FROM due WHERE d.id = due.id
             RETURNING d.id, d.event_id, d.reason, d.attempts"
        }
        _ => {
            "UPDATE lumo_deliveries SET state = 'sending', lease_token = $1, next_attempt_at = $2
             WHERE id IN (
                SELECT id FROM lumo_deliveries
                WHERE endpoint = $3 AND next_attempt_at <= $4
                ORDER BY next_attempt_at, id LIMIT $5
             )
             RETURNING id, event_id, reason, attempts"
        }
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Statement::from_sql_and_values(
        backend,
        sql,
        [token.into(), until.into(), endpoint.clone().into(), now.into(), limit.into()],
    )
}

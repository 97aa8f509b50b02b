//! Settling: what attempts met is written, in one transaction for many, guarded by the leases' tokens.
//!
//! A settlement whose token is gone is not written: somebody else has the delivery by now. The first failure of a delivery
//! starts the time for which it may hold its lane; when that has passed, the next one of the lane is due by itself. The end
//! of a delivery makes the next one of its lane due.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::delivery::{self, State};
use lumo_bridge_entity::{attempt, endpoint};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveValue::Set, ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, Statement, Value};

use super::mirror::padded;
use super::{Error, Lease, Store, Tx};
use crate::model::id::{DeliveryId, EndpointName};
use crate::model::retry::Verdict;

/// What an attempt met, for the history.
#[derive(Debug)]
pub struct Attempted {
    pub started_at: DateTime<Utc>,
    pub duration: Duration,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub response_body: Option<String>,
}

/// The end of one attempt.
#[derive(Debug)]
pub struct Settlement {
    pub lease: Lease,
    pub endpoint: EndpointName,
    /// Attempts made, this one included.
    pub attempts: u32,
    pub attempted: Attempted,
    pub verdict: Verdict,
    /// For how long a failing delivery holds its lane, from its first failure.
    pub max_hold: Duration,
    /// Until when the endpoint asked not to be called.
    pub endpoint_hold: Option<DateTime<Utc>>,
    /// The endpoint said that it is gone for good.
    pub gone: bool,
}

/// How a delivery ended; all that ended alike are written together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct End<'a> {
    delivered: bool,
    status: Option<u16>,
    error: Option<&'a str>,
}

/// A row as it stands when it is settled.
#[derive(FromQueryResult)]
struct Standing {
    id: DeliveryId,
    lease_token: Option<i64>,
    lane: Option<String>,
    hold_until: Option<DateTime<Utc>>,
    successor: Option<DeliveryId>,
}

impl Store {
    /// Writes the settlements; returns those deliveries whose lease was lost and that were left as they are.
    ///
    /// # Errors
    /// If the database fails; nothing is written then.
    pub async fn settle(&self, settlements: &[Settlement], now: DateTime<Utc>) -> Result<Vec<DeliveryId>, Error> {
        if settlements.is_empty() {
            return Ok(Vec::new());
        }
        self.tx("delivery.settle", |tx| async move { tx.settle(settlements, now).await }).await
    }
}

impl Tx {
    async fn settle(&self, settlements: &[Settlement], now: DateTime<Utc>) -> Result<Vec<DeliveryId>, Error> {
        self.share_outbox().await?;
        let standing = self.standing(settlements).await?;
        let mut lost = Vec::new();
        let mut kept = Vec::new();
        for settlement in settlements {
            match standing.get(&settlement.lease.delivery) {
                Some(row) if row.lease_token == Some(settlement.lease.token) => kept.push((settlement, row)),
                _ => lost.push(settlement.lease.delivery.clone()),
            }
        }
        if kept.is_empty() {
            return Ok(lost);
        }

        let mut finished: BTreeMap<End<'_>, Vec<DeliveryId>> = BTreeMap::new();
        let mut freed = Vec::new();
        for (settlement, row) in &kept {
            let Attempted { status, error, .. } = &settlement.attempted;
            let end = match settlement.verdict {
                Verdict::RetryAt(at) => {
                    self.retry_later(settlement, row, at, now).await?;
                    continue;
                }
                Verdict::Done => End { delivered: true, status: *status, error: None },
                Verdict::Dead => End { delivered: false, status: *status, error: error.as_deref() },
            };
            finished.entry(end).or_default().push(row.id.clone());
            if row.lane.is_some() {
                freed.extend(row.successor.clone());
            }
        }
        for (end, ids) in finished {
            self.finish(end, &ids, now).await?;
        }
        self.make_due(freed, now).await?;
        self.record_attempts(kept.iter().map(|(settlement, _)| *settlement)).await?;
        self.record_endpoints(kept.iter().map(|(settlement, _)| *settlement), now).await?;
        Ok(lost)
    }

    /// The rows to settle, locked, each with the next one in its lane. Raw SQL because the builder cannot correlate a
    /// scalar subquery with a limit.
    async fn standing(&self, settlements: &[Settlement]) -> Result<HashMap<DeliveryId, Standing>, Error> {
        let ids = padded(settlements.iter().map(|settlement| settlement.lease.delivery.clone()));
        let (placeholders, lock): (Vec<String>, _) = match self.backend() {
            DbBackend::Postgres => ((1..=ids.len()).map(|n| format!("${n}")).collect(), " FOR UPDATE OF d"),
            DbBackend::MySql => (vec!["?".to_owned(); ids.len()], " FOR UPDATE"),
            _ => (vec!["?".to_owned(); ids.len()], ""),
        };
        let sql = format!(
            "SELECT d.id, d.lease_token, d.lane, d.hold_until,
                (SELECT n.id FROM lumo_deliveries n
                 WHERE n.endpoint = d.endpoint AND n.lane = d.lane AND n.id > d.id
                 ORDER BY n.id LIMIT 1) AS successor
             FROM lumo_deliveries d WHERE d.id IN ({}) ORDER BY d.id{lock}",
            placeholders.join(", ")
        );
        let statement = Statement::from_sql_and_values(self.backend(), sql, ids.into_iter().map(Value::from));
        let rows = Standing::find_by_statement(statement).all(self.session()).await?;
        Ok(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
    }

    async fn finish(&self, end: End<'_>, ids: &[DeliveryId], now: DateTime<Utc>) -> Result<(), Error> {
        let state = if end.delivered { State::Delivered } else { State::Dead };
        for chunk in ids.chunks(500) {
            delivery::Entity::update_many()
                .col_expr(delivery::Column::State, Expr::value(state.as_str()))
                .col_expr(delivery::Column::Attempts, Expr::col(delivery::Column::Attempts).add(1))
                .col_expr(delivery::Column::NextAttemptAt, Expr::value(Option::<DateTime<Utc>>::None))
                .col_expr(delivery::Column::DeliveredAt, Expr::value(end.delivered.then_some(now)))
                .col_expr(delivery::Column::LastStatus, Expr::value(end.status.map(i32::from)))
                .col_expr(delivery::Column::LastError, Expr::value(end.error.map(str::to_owned)))
                .col_expr(delivery::Column::Lane, Expr::value(Option::<String>::None))
                .col_expr(delivery::Column::LeaseToken, Expr::value(Option::<i64>::None))
                .filter(delivery::Column::Id.is_in(padded(chunk.iter().cloned())))
                .exec(self.session())
                .await?;
        }
        Ok(())
    }

    async fn retry_later(
        &self,
        settlement: &Settlement,
        row: &Standing,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let hold_until = row.hold_until.unwrap_or_else(|| {
            now + TimeDelta::from_std(settlement.max_hold).unwrap_or(TimeDelta::MAX).min(TimeDelta::days(3650))
        });
        delivery::Entity::update_many()
            .set(delivery::ActiveModel {
                state: Set(State::Retrying),
                attempts: Set(i32::try_from(settlement.attempts).unwrap_or(i32::MAX)),
                next_attempt_at: Set(Some(at)),
                last_status: Set(settlement.attempted.status.map(i32::from)),
                last_error: Set(settlement.attempted.error.clone()),
                hold_until: Set(Some(hold_until)),
                lease_token: Set(None),
                ..Default::default()
            })
            .filter(delivery::Column::Id.eq(row.id.clone()))
            .exec(self.session())
            .await?;
        if let (None, Some(_), Some(successor)) = (row.hold_until, &row.lane, &row.successor) {
            delivery::Entity::update_many()
                .col_expr(delivery::Column::NextAttemptAt, Expr::value(hold_until))
                .filter(delivery::Column::Id.eq(successor.clone()))
                .filter(delivery::Column::NextAttemptAt.is_null())
                .exec(self.session())
                .await?;
        }
        Ok(())
    }

    /// What waited in a lane behind a delivery that ended is due now.
    pub(super) async fn make_due(&self, ids: Vec<DeliveryId>, now: DateTime<Utc>) -> Result<(), Error> {
        for chunk in ids.chunks(500) {
            delivery::Entity::update_many()
                .col_expr(delivery::Column::NextAttemptAt, Expr::value(now))
                .filter(delivery::Column::Id.is_in(padded(chunk.iter().cloned())))
                .filter(delivery::Column::State.eq(State::Pending))
                .filter(
                    sea_orm::Condition::any()
                        .add(delivery::Column::NextAttemptAt.is_null())
                        .add(delivery::Column::NextAttemptAt.gt(now)),
                )
                .exec(self.session())
                .await?;
            self.note_queued();
        }
        Ok(())
    }

    async fn record_attempts(&self, settlements: impl Iterator<Item = &Settlement>) -> Result<(), Error> {
        let rows = settlements.map(|settlement| {
            let attempted = &settlement.attempted;
            attempt::ActiveModel {
                delivery_id: Set(settlement.lease.delivery.clone()),
                attempt: Set(i32::try_from(settlement.attempts).unwrap_or(i32::MAX)),
                started_at: Set(attempted.started_at),
                duration_ms: Set(i64::try_from(attempted.duration.as_millis()).unwrap_or(i64::MAX)),
                status: Set(attempted.status.map(i32::from)),
                error: Set(attempted.error.clone()),
                response_body: Set(attempted.response_body.clone()),
            }
        });
        let rows: Vec<_> = rows.collect();
        for chunk in rows.chunks(500) {
            attempt::Entity::insert_many(chunk.to_vec()).exec_without_returning(self.session()).await?;
        }
        Ok(())
    }

    async fn record_endpoints(
        &self,
        settlements: impl Iterator<Item = &Settlement>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let mut by_endpoint: BTreeMap<&EndpointName, Vec<&Settlement>> = BTreeMap::new();
        for settlement in settlements {
            by_endpoint.entry(&settlement.endpoint).or_default().push(settlement);
        }
        for (name, settlements) in by_endpoint {
            let failures =
                settlements.iter().rev().take_while(|settlement| settlement.verdict != Verdict::Done).count();
            let failures = i32::try_from(failures).unwrap_or(i32::MAX);
            let mut update = endpoint::Entity::update_many().filter(endpoint::Column::Name.eq(name.clone()));
            update = if usize::try_from(failures).ok() == Some(settlements.len()) {
                let failures = Expr::col(endpoint::Column::ConsecutiveFailures).add(failures);
                update.col_expr(endpoint::Column::ConsecutiveFailures, failures)
            } else {
                update
                    .col_expr(endpoint::Column::ConsecutiveFailures, Expr::value(failures))
                    .col_expr(endpoint::Column::LastSuccessAt, Expr::value(now))
            };
            if let Some(until) = settlements.iter().filter_map(|settlement| settlement.endpoint_hold).max() {
                update = update.col_expr(endpoint::Column::HoldUntil, Expr::value(until));
            }
            if settlements.iter().any(|settlement| settlement.gone) {
                update = update
                    .col_expr(endpoint::Column::State, Expr::value(endpoint::State::Suspended.as_str()))
                    .col_expr(endpoint::Column::Since, Expr::value(now));
            }
            update.exec(self.session()).await?;
        }
        Ok(())
    }
}

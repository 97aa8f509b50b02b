//! Settling: what attempts met is written, in one transaction for many, guarded by the leases' tokens.
//!
//! A settlement whose token is gone is not written: somebody else has the delivery by now. The first failure of a delivery
//! starts the time for which it may hold its lane; when that has passed, the next one of the lane is due by itself. The end
//! of a delivery makes the next one of its lane due, or hands it over at once to whoever settled, which saves a claim.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::delivery::{self, State};
use lumo_bridge_entity::{attempt, endpoint, stream};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DbBackend, EntityTrait, FromQueryResult, QueryFilter, Statement, Value,
};

use super::ack::Acks;
use super::claim::{Claimed, Stamp};
use super::mirror::{among, at_once, insert, padded};
use super::{Error, Lease, Store, Tx};
use crate::model::facts::{Died, dead_event};
use crate::model::id::{DeliveryId, EndpointName, EventId};
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
    /// Attempts made, this one included if it counts.
    pub attempts: u32,
    /// Whether the attempt counts; only what counts is in the history, and only a failure that counts starts the time for
    /// which a delivery holds its lane.
    pub counts: bool,
    pub attempted: Attempted,
    pub verdict: Verdict,
    /// Whether a failure is the endpoint's; what its configuration makes of an event is not.
    pub blames_endpoint: bool,
    /// For how long a failing delivery holds its lane, from its first failure.
    pub max_hold: Duration,
    /// Until when the endpoint asked not to be called.
    pub endpoint_hold: Option<DateTime<Utc>>,
    /// For how long the next delivery of the lane is claimed, if it is to be.
    pub hand_over: Option<Duration>,
    /// What finishes the delivery.
    pub acks: Acks,
}

/// What settling came to.
#[derive(Debug, Default)]
pub struct Settled {
    /// Deliveries whose lease was lost and that were left as they are.
    pub lost: Vec<DeliveryId>,
    /// What was claimed on the way.
    pub handed: Vec<(EndpointName, Claimed)>,
    /// How the endpoints stand now.
    pub endpoints: Vec<endpoint::Model>,
}

impl Settled {
    /// Takes in what was settled later; of an endpoint, how it stood last.
    pub fn add(&mut self, later: Self) {
        let Self { lost, handed, endpoints } = later;
        self.lost.extend(lost);
        self.handed.extend(handed);
        self.endpoints.retain(|row| endpoints.iter().all(|later| later.name != row.name));
        self.endpoints.extend(endpoints);
    }
}

/// How a delivery ended; all that ended alike are written together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct End<'a> {
    delivered: bool,
    /// Attempts to add to those made.
    attempts: i32,
    status: Option<u16>,
    error: Option<&'a str>,
}

/// How a delivery goes on that has not ended.
struct Onward {
    state: State,
    next_attempt_at: Option<DateTime<Utc>>,
    ack_by: Option<DateTime<Utc>>,
}

/// A row as it stands when it is settled.
#[derive(FromQueryResult)]
struct Standing {
    id: DeliveryId,
    event_id: EventId,
    lease_token: Option<i64>,
    lane: Option<String>,
    hold_until: Option<DateTime<Utc>>,
    successor: Option<DeliveryId>,
}

impl Store {
    /// Writes the settlements.
    ///
    /// # Errors
    /// If the database fails; nothing is written then.
    pub async fn settle(&self, settlements: &[Settlement], now: DateTime<Utc>) -> Result<Settled, Error> {
        if settlements.is_empty() {
            return Ok(Settled::default());
        }
        let generation = self.generation().await?;
        self.tx("delivery.settle", |tx| async move { tx.settle(settlements, generation, now).await }).await
    }
}

impl Tx {
    pub(super) async fn settle(
        &self,
        settlements: &[Settlement],
        generation: &str,
        now: DateTime<Utc>,
    ) -> Result<Settled, Error> {
        // A death is told, and whoever tells locks first.
        if settlements.iter().any(|settlement| settlement.verdict == Verdict::Dead) {
            self.lock_counter(stream::ALL).await?;
        } else {
            self.share_outbox().await?;
        }
        let standing = self.standing(settlements).await?;
        let mut settled = Settled::default();
        let mut kept = Vec::new();
        for settlement in settlements {
            match standing.get(&settlement.lease.delivery) {
                Some(row) if row.lease_token == Some(settlement.lease.token) => kept.push((settlement, row)),
                _ => settled.lost.push(settlement.lease.delivery.clone()),
            }
        }
        if kept.is_empty() {
            return Ok(settled);
        }

        let mut finished: BTreeMap<End<'_>, Vec<DeliveryId>> = BTreeMap::new();
        let mut freed = Vec::new();
        let mut handed: BTreeMap<(&EndpointName, Duration), Vec<DeliveryId>> = BTreeMap::new();
        let mut died = Vec::new();
        let acknowledged = self.acknowledged(kept.iter().map(|(settlement, row)| (*settlement, &row.event_id))).await?;
        for (settlement, row) in &kept {
            let Attempted { status, error, .. } = &settlement.attempted;
            let attempts = i32::from(settlement.is_attempt());
            // Whatever became of the answer, a receiver that has noted the event has taken it.
            let is_acknowledged = acknowledged.contains(&(row.event_id.clone(), settlement.endpoint.clone()));
            let verdict = if is_acknowledged { Verdict::Done } else { settlement.verdict };
            let end = match (verdict, settlement.acks) {
                (Verdict::RetryAt(at), acks) => {
                    if acks == Acks::Awaited {
                        self.note_unacknowledged(settlement).await?;
                    }
                    let state = if settlement.attempts == 0 { State::Pending } else { State::Retrying };
                    let ack_by = (acks != Acks::Unasked).then_some(now);
                    self.keep(settlement, row, Onward { state, next_attempt_at: Some(at), ack_by }, now).await?;
                    continue;
                }
                (Verdict::Done, Acks::Asked { within }) if !is_acknowledged => {
                    let ack_by =
                        Some(now + TimeDelta::from_std(within).unwrap_or(TimeDelta::MAX).min(TimeDelta::days(3650)));
                    let onward = Onward { state: State::Sending, next_attempt_at: None, ack_by };
                    self.keep(settlement, row, onward, now).await?;
                    continue;
                }
                (Verdict::Done, _) => End { delivered: true, attempts, status: *status, error: None },
                (Verdict::Dead, acks) => {
                    if acks == Acks::Awaited {
                        self.note_unacknowledged(settlement).await?;
                    }
                    died.push((settlement, &row.event_id));
                    End { delivered: false, attempts, status: *status, error: error.as_deref() }
                }
            };
            finished.entry(end).or_default().push(row.id.clone());
            if let (Some(_), Some(successor)) = (&row.lane, &row.successor) {
                match settlement.hand_over {
                    Some(lease) => handed.entry((&settlement.endpoint, lease)).or_default().push(successor.clone()),
                    None => freed.push(successor.clone()),
                }
            }
        }
        for (end, ids) in finished {
            self.finish(end, &ids, now).await?;
        }
        self.make_due(freed, now).await?;
        for ((name, lease), ids) in handed {
            let stamp = Stamp::new(self.store(), lease, now);
            let claimed = self.hand_over(&ids, stamp).await?;
            settled.handed.extend(claimed.into_iter().map(|claimed| (name.clone(), claimed)));
        }
        self.record_attempts(kept.iter().map(|(settlement, _)| *settlement)).await?;
        settled.endpoints = self.record_endpoints(kept.iter().map(|(settlement, _)| *settlement), now).await?;
        for (settlement, event_id) in died {
            let died = Died {
                delivery: &settlement.lease.delivery,
                event: event_id,
                endpoint: &settlement.endpoint,
                attempts: settlement.attempts,
                status: settlement.attempted.status,
                error: settlement.attempted.error.as_deref(),
            };
            self.publish_but(vec![dead_event(&died, generation, now)?], Some(&settlement.endpoint), now).await?;
        }
        Ok(settled)
    }

    /// The rows to settle, locked, each with the next one in its lane. Raw SQL because the builder cannot correlate a
    /// scalar subquery with a limit.
    async fn standing(&self, settlements: &[Settlement]) -> Result<HashMap<DeliveryId, Standing>, Error> {
        let ids = settlements.iter().map(|settlement| settlement.lease.delivery.clone());
        let (among, ids, lock): (String, Vec<Value>, _) = match self.backend() {
            DbBackend::MySql => {
                let ids: Vec<Value> = padded(ids).into_iter().map(Value::from).collect();
                (vec!["?"; ids.len()].join(", "), ids, " FOR UPDATE")
            }
            backend => {
                let ids: Vec<String> = ids.map(|id| id.as_str().to_owned()).collect();
                let list = serde_json::Value::from(ids).to_string();
                match backend {
                    DbBackend::Postgres => {
                        let unfold = "SELECT json_array_elements_text($1::text::json)";
                        (unfold.to_owned(), vec![list.into()], " FOR UPDATE OF d")
                    }
                    _ => ("SELECT value FROM json_each($1)".to_owned(), vec![list.into()], ""),
                }
            }
        };
        let hint = lane_hint(self.backend());
        let sql = format!(
            "SELECT d.id, d.event_id, d.lease_token, d.lane, d.hold_until,
                (SELECT n.id FROM lumo_deliveries n{hint}
                 WHERE n.endpoint = d.endpoint AND n.lane = d.lane AND n.id > d.id
                 ORDER BY n.id LIMIT 1) AS successor
             FROM lumo_deliveries d WHERE d.id IN ({among}) ORDER BY d.id{lock}"
        );
        let statement = Statement::from_sql_and_values(self.backend(), sql, ids);
        let rows = Standing::find_by_statement(statement).all(self.session()).await?;
        Ok(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
    }

    async fn finish(&self, end: End<'_>, ids: &[DeliveryId], now: DateTime<Utc>) -> Result<(), Error> {
        let state = if end.delivered { State::Delivered } else { State::Dead };
        for chunk in ids.chunks(at_once(self.backend())) {
            delivery::Entity::update_many()
                .col_expr(delivery::Column::State, Expr::value(state.as_str()))
                .col_expr(delivery::Column::Attempts, Expr::col(delivery::Column::Attempts).add(end.attempts))
                .col_expr(delivery::Column::NextAttemptAt, Expr::value(Option::<DateTime<Utc>>::None))
                .col_expr(delivery::Column::DeliveredAt, Expr::value(end.delivered.then_some(now)))
                .col_expr(delivery::Column::LastStatus, Expr::value(end.status.map(i32::from)))
                .col_expr(delivery::Column::LastError, Expr::value(end.error.map(str::to_owned)))
                .col_expr(delivery::Column::Lane, Expr::value(Option::<String>::None))
                .col_expr(delivery::Column::LeaseToken, Expr::value(Option::<i64>::None))
                .col_expr(delivery::Column::AckBy, Expr::value(Option::<DateTime<Utc>>::None))
                .filter(among(self.backend(), delivery::Column::Id, chunk.iter().cloned()))
                .exec(self.session())
                .await?;
        }
        Ok(())
    }

    /// Writes how a delivery goes on. The time for which it holds its lane begins with its first failure, or answer.
    async fn keep(
        &self,
        settlement: &Settlement,
        row: &Standing,
        onward: Onward,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let hold_until = row.hold_until.or_else(|| {
            let hold = TimeDelta::from_std(settlement.max_hold).unwrap_or(TimeDelta::MAX).min(TimeDelta::days(3650));
            settlement.counts.then(|| now + hold)
        });
        delivery::Entity::update_many()
            .set(delivery::ActiveModel {
                state: Set(onward.state),
                attempts: Set(i32::try_from(settlement.attempts).unwrap_or(i32::MAX)),
                next_attempt_at: Set(onward.next_attempt_at),
                last_status: Set(settlement.attempted.status.map(i32::from)),
                last_error: Set(settlement.attempted.error.clone()),
                hold_until: Set(hold_until),
                lease_token: Set(onward.ack_by.and(row.lease_token)),
                ack_by: Set(onward.ack_by),
                ..Default::default()
            })
            .filter(delivery::Column::Id.eq(row.id.clone()))
            .exec(self.session())
            .await?;
        if let (None, Some(hold_until), Some(_), Some(successor)) =
            (row.hold_until, hold_until, &row.lane, &row.successor)
        {
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
        for chunk in ids.chunks(at_once(self.backend())) {
            delivery::Entity::update_many()
                .col_expr(delivery::Column::NextAttemptAt, Expr::value(now))
                .filter(among(self.backend(), delivery::Column::Id, chunk.iter().cloned()))
                .filter(delivery::Column::State.eq(State::Pending))
                .filter(
                    Condition::any()
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
        // In the order of the entity's columns.
        let row = |settlement: &Settlement| {
            let attempted = &settlement.attempted;
            vec![
                settlement.lease.delivery.clone().into(),
                i32::try_from(settlement.attempts).unwrap_or(i32::MAX).into(),
                attempted.started_at.into(),
                i64::try_from(attempted.duration.as_millis()).unwrap_or(i64::MAX).into(),
                attempted.status.map(i32::from).into(),
                attempted.error.clone().into(),
                attempted.response_body.clone().into(),
            ]
        };
        let rows: Vec<Vec<Value>> = settlements.filter(|settlement| settlement.is_attempt()).map(row).collect();
        Ok(insert::<attempt::Entity>(self.session(), rows).await?)
    }

    async fn record_endpoints(
        &self,
        settlements: impl Iterator<Item = &Settlement>,
        now: DateTime<Utc>,
    ) -> Result<Vec<endpoint::Model>, Error> {
        let mut by_endpoint: BTreeMap<&EndpointName, Vec<&Settlement>> = BTreeMap::new();
        for settlement in settlements.filter(|settlement| settlement.acks != Acks::Awaited) {
            by_endpoint.entry(&settlement.endpoint).or_default().push(settlement);
        }
        let mut endpoints = Vec::with_capacity(by_endpoint.len());
        for (name, mut settlements) in by_endpoint {
            settlements.retain(|settlement| settlement.blames_endpoint || settlement.verdict == Verdict::Done);
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
            update.exec(self.session()).await?;
            endpoints.extend(endpoint::Entity::find_by_id(name.clone()).one(self.session()).await?);
        }
        Ok(endpoints)
    }
}

/// What makes MySQL look for a neighbour in the index of lanes. By itself it prefers the primary key, which gives the order that
/// is asked for, and reads whatever else waits.
pub(super) const fn lane_hint(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::MySql => " FORCE INDEX (lumo_deliveries_lane)",
        _ => "",
    }
}

//! Claiming: due deliveries become leases.
//!
//! A claim stamps each delivery with a token and with the end of the lease as its next attempt. If the process dies the
//! lease ends and the same query finds the delivery again; if it comes back too late, its token is no longer there and what
//! it settles is not written. First attempts have a share of every claim that retries cannot take.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::delivery::{self, Reason, State};
use lumo_bridge_entity::{endpoint, event};
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, Statement,
};

use super::mirror::{among, at_once};
use super::{Error, Store, Tx};
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
    /// When it would have been due; set where it is sent before its time.
    pub not_due_until: Option<DateTime<Utc>>,
}

/// A delivery as its row says, without what is to be sent.
#[derive(Debug, FromQueryResult)]
pub(super) struct Due {
    id: DeliveryId,
    event_id: EventId,
    reason: Reason,
    attempts: i32,
}

/// Its columns.
const DUE: [delivery::Column; 4] =
    [delivery::Column::Id, delivery::Column::EventId, delivery::Column::Reason, delivery::Column::Attempts];

/// The columns of a [`Due`], and when it is due.
type Timed = (DeliveryId, EventId, Reason, i32, Option<DateTime<Utc>>);

/// Which deliveries a claim is about. History lets everything else go first; there is never much of it, see
/// [`super::backfill`], so passing over it costs nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    News,
    All,
}

/// What a claim writes.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    pub(super) token: i64,
    pub(super) until: DateTime<Utc>,
}

impl Stamp {
    pub(super) fn new(store: &Store, lease: Duration, now: DateTime<Utc>) -> Self {
        Self { token: store.new_token(), until: now + TimeDelta::from_std(lease).unwrap_or(TimeDelta::hours(1)) }
    }
}

impl Store {
    /// Claims up to `limit` deliveries of the endpoint that are due, for `lease`: first attempts up to half of them and
    /// whatever the others leave, each kind oldest first; and history if nothing else is due.
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
        let stamp = Stamp::new(self, lease, now);
        let claimed = self.tx("delivery.claim", |tx| async move {
            let half = limit / 2;
            let shares = [
                (State::Sending, What::All, half),
                (State::Retrying, What::All, half),
                (State::Pending, What::News, limit),
                (State::Sending, What::All, limit),
                (State::Retrying, What::All, limit),
                (State::Pending, What::All, limit),
            ];
            let (mut due, mut exhausted) = (Vec::new(), Vec::new());
            for (state, what, most) in shares {
                let wanted = most.saturating_sub(due.len());
                if wanted == 0 || exhausted.contains(&state) {
                    continue;
                }
                let found = tx.stamp(endpoint, state, what, wanted, stamp, now).await?;
                if found.len() < wanted && what == What::All {
                    exhausted.push(state);
                }
                due.extend(found);
            }
            tx.with_bodies(due, stamp).await
        });
        claimed.await
    }

    /// Claims one delivery of an endpoint that fails, for `lease`, to see whether it is well again: the one that has waited
    /// longest, if it failed before even ahead of its time. `tried_before` prefers such a one, else one that was never tried,
    /// so that a delivery that fails for its own sake cannot be the probe every time. None while the endpoint is held, as it
    /// is from now on until the lease ends or the probe is settled: there is one probe at a time, however many processes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn claim_probe(
        &self,
        endpoint: &EndpointName,
        tried_before: bool,
        lease: Duration,
        now: DateTime<Utc>,
    ) -> Result<Option<Claimed>, Error> {
        let stamp = Stamp::new(self, lease, now);
        // What was never tried and has a time to come waits for another of its lane.
        let (tried, untried) = ((State::Retrying, None), (State::Pending, Some(now)));
        let [first, second] = if tried_before { [tried, untried] } else { [untried, tried] };
        let claimed = self.tx("delivery.probe", |tx| async move {
            for (state, due_by) in [first, second, (State::Sending, Some(now))] {
                let mut due = tx.lock_due(endpoint, state, What::All, 1, due_by).await?;
                let Some((due, at)) = due.pop() else { continue };
                if !tx.reserve_probe(endpoint, stamp.until, now).await? {
                    return Ok(None);
                }
                tx.mark(std::slice::from_ref(&due.id), stamp).await?;
                let not_due_until = at.filter(|at| *at > now);
                let claimed = tx.with_bodies(vec![due], stamp).await?.pop();
                return Ok(claimed.map(|claimed| Claimed { not_due_until, ..claimed }));
            }
            Ok(None)
        });
        claimed.await
    }

    /// Gives back what was claimed and not sent: it is due again, now.
    ///
    /// # Errors
    /// If the database fails; it is due when its lease ends then.
    pub async fn release(&self, leases: Vec<Lease>, now: DateTime<Utc>) -> Result<(), Error> {
        let mut by_token: HashMap<i64, Vec<DeliveryId>> = HashMap::new();
        for lease in leases {
            by_token.entry(lease.token).or_default().push(lease.delivery);
        }
        let by_token = &by_token;
        self.tx("delivery.release", |tx| async move {
            for (token, ids) in by_token {
                for chunk in ids.chunks(at_once(tx.backend())) {
                    let ours = Condition::all()
                        .add(among(tx.backend(), delivery::Column::Id, chunk.iter().cloned()))
                        .add(delivery::Column::LeaseToken.eq(*token));
                    tx.put_back(ours, now).await?;
                }
            }
            Ok(())
        })
        .await
    }
}

impl Tx {
    /// Claims due deliveries in one state.
    async fn stamp(
        &self,
        endpoint: &EndpointName,
        state: State,
        what: What,
        limit: usize,
        stamp: Stamp,
        now: DateTime<Utc>,
    ) -> Result<Vec<Due>, Error> {
        if self.backend() == DbBackend::MySql {
            let due = self.lock_due(endpoint, state, what, limit, Some(now)).await?;
            let due: Vec<Due> = due.into_iter().map(|(due, _)| due).collect();
            let ids: Vec<DeliveryId> = due.iter().map(|due| due.id.clone()).collect();
            self.mark(&ids, stamp).await?;
            return Ok(due);
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = [
            stamp.token.into(),
            stamp.until.into(),
            endpoint.clone().into(),
            state.as_str().into(),
            now.into(),
            limit.into(),
            (what == What::All).into(),
        ];
        let sql = if self.backend() == DbBackend::Postgres { ON_POSTGRES } else { ON_SQLITE };
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        Ok(Due::find_by_statement(statement).all(self.session()).await?)
    }

    /// Locks up to `limit` deliveries in this state that have a time, those due by `now` if it is given, each with its time.
    async fn lock_due(
        &self,
        endpoint: &EndpointName,
        state: State,
        what: What,
        limit: usize,
        now: Option<DateTime<Utc>>,
    ) -> Result<Vec<(Due, Option<DateTime<Utc>>)>, Error> {
        let mut query = delivery::Entity::find()
            .select_only()
            .columns([
                delivery::Column::Id,
                delivery::Column::EventId,
                delivery::Column::Reason,
                delivery::Column::Attempts,
                delivery::Column::NextAttemptAt,
            ])
            .filter(delivery::Column::Endpoint.eq(endpoint.clone()))
            .filter(delivery::Column::State.eq(state))
            .filter(delivery::Column::NextAttemptAt.is_not_null());
        if what == What::News {
            query = query.filter(delivery::Column::Reason.ne(Reason::Backfill));
        }
        if let Some(now) = now {
            query = query.filter(delivery::Column::NextAttemptAt.lte(now));
        }
        let rows: Vec<Timed> = query
            .order_by_asc(delivery::Column::NextAttemptAt)
            .order_by_asc(delivery::Column::Id)
            .limit(u64::try_from(limit).unwrap_or(u64::MAX))
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
            .into_tuple()
            .all(self.session())
            .await?;
        let due = |(id, event_id, reason, attempts, at): Timed| (Due { id, event_id, reason, attempts }, at);
        Ok(rows.into_iter().map(due).collect())
    }

    /// Holds an endpoint that fails; false if it does not, or is held already.
    async fn reserve_probe(
        &self,
        name: &EndpointName,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let free =
            Condition::any().add(endpoint::Column::HoldUntil.is_null()).add(endpoint::Column::HoldUntil.lte(now));
        let reserved = endpoint::Entity::update_many()
            .col_expr(endpoint::Column::HoldUntil, Expr::value(until))
            .filter(endpoint::Column::Name.eq(name.clone()))
            .filter(endpoint::Column::State.eq(endpoint::State::Failing))
            .filter(free)
            .exec(self.session())
            .await?;
        Ok(reserved.rows_affected > 0)
    }

    /// Stamps deliveries that are locked.
    async fn mark(&self, ids: &[DeliveryId], stamp: Stamp) -> Result<(), Error> {
        for chunk in ids.chunks(at_once(self.backend())) {
            delivery::Entity::update_many()
                .col_expr(delivery::Column::State, Expr::value(State::Sending.as_str()))
                .col_expr(delivery::Column::LeaseToken, Expr::value(stamp.token))
                .col_expr(delivery::Column::NextAttemptAt, Expr::value(stamp.until))
                .filter(among(self.backend(), delivery::Column::Id, chunk.iter().cloned()))
                .exec(self.session())
                .await?;
        }
        Ok(())
    }

    /// Claims those of these deliveries that are pending, due or not.
    pub(super) async fn hand_over(&self, ids: &[DeliveryId], stamp: Stamp) -> Result<Vec<Claimed>, Error> {
        let mut due: Vec<Due> = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(at_once(self.backend())) {
            let these = || among(self.backend(), delivery::Column::Id, chunk.iter().cloned());
            let mut update = Query::update();
            update
                .table(delivery::Entity)
                .value(delivery::Column::State, State::Sending.as_str())
                .value(delivery::Column::LeaseToken, stamp.token)
                .value(delivery::Column::NextAttemptAt, stamp.until)
                .and_where(these())
                .and_where(delivery::Column::State.eq(State::Pending));
            if self.backend() != DbBackend::MySql {
                update.returning(Query::returning().columns(DUE));
                due.extend(rows_of(self.session().query_all(&update).await?)?);
                continue;
            }
            self.session().execute(&update).await?;
            let ours = Query::select()
                .columns(DUE)
                .from(delivery::Entity)
                .and_where(these())
                .and_where(delivery::Column::LeaseToken.eq(stamp.token))
                .take();
            due.extend(rows_of(self.session().query_all(&ours).await?)?);
        }
        self.with_bodies(due, stamp).await
    }

    /// Deliveries with the type and body of their events, oldest first.
    async fn with_bodies(&self, mut due: Vec<Due>, stamp: Stamp) -> Result<Vec<Claimed>, Error> {
        due.sort_by(|a, b| a.id.cmp(&b.id));
        let mut events: HashMap<EventId, (String, String)> = HashMap::with_capacity(due.len());
        for chunk in due.chunks(at_once(self.backend())) {
            let rows: Vec<(EventId, String, String)> = event::Entity::find()
                .select_only()
                .columns([event::Column::Id, event::Column::Kind, event::Column::Body])
                .filter(among(self.backend(), event::Column::Id, chunk.iter().map(|due| due.event_id.clone())))
                .into_tuple()
                .all(self.session())
                .await?;
            events.extend(rows.into_iter().map(|(id, kind, body)| (id, (kind, body))));
        }
        let claimed = due.into_iter().filter_map(|Due { id, event_id, reason, attempts }| {
            // An event is only pruned when it has no delivery to make, so it is there. It may have more than one.
            let (event_type, body) = events.get(&event_id).cloned()?;
            let lease = Lease { delivery: id, token: stamp.token, until: stamp.until };
            let attempts = u32::try_from(attempts).unwrap_or(0);
            Some(Claimed { lease, event_id, event_type, body, reason, attempts, not_due_until: None })
        });
        Ok(claimed.collect())
    }

    /// Makes deliveries that were claimed due now, as what they were before.
    pub(super) async fn put_back(&self, which: Condition, now: DateTime<Utc>) -> Result<u64, Error> {
        let before = Expr::case(Expr::col(delivery::Column::Attempts).eq(0), State::Pending.as_str())
            .finally(State::Retrying.as_str());
        let updated = delivery::Entity::update_many()
            .col_expr(delivery::Column::State, before.into())
            .col_expr(delivery::Column::LeaseToken, Expr::value(Option::<i64>::None))
            .col_expr(delivery::Column::NextAttemptAt, Expr::value(now))
            .filter(which)
            .filter(delivery::Column::State.eq(State::Sending))
            // What was answered and waits to be acknowledged has no time, and is in nobody's hands.
            .filter(delivery::Column::NextAttemptAt.is_not_null())
            .exec(self.session())
            .await?;
        Ok(updated.rows_affected)
    }
}

fn rows_of(rows: Vec<QueryResult>) -> Result<Vec<Due>, DbErr> {
    rows.iter().map(|row| Due::from_query_result(row, "")).collect()
}

/// Raw SQL because the builder has no materialised CTE. It must be materialised: PostgreSQL may run a plain subquery more than
/// once and then claims more than the limit.
const ON_POSTGRES: &str = "\
WITH due AS MATERIALIZED (
    SELECT id FROM lumo_deliveries
    WHERE endpoint = $3 AND state = $4 AND next_attempt_at <= $5 AND ($7 OR reason <> 'backfill')
    ORDER BY next_attempt_at, id LIMIT $6 FOR UPDATE SKIP LOCKED
)
UPDATE lumo_deliveries d SET state = 'sending', lease_token = $1, next_attempt_at = $2
FROM due WHERE d.id = due.id
RETURNING d.id, d.event_id, d.reason, d.attempts";

const ON_SQLITE: &str = "\
UPDATE lumo_deliveries SET state = 'sending', lease_token = $1, next_attempt_at = $2
WHERE id IN (
    SELECT id FROM lumo_deliveries
    WHERE endpoint = $3 AND state = $4 AND next_attempt_at <= $5 AND ($7 OR reason <> 'backfill')
    ORDER BY next_attempt_at, id LIMIT $6
)
RETURNING id, event_id, reason, attempts";

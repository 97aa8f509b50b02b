//! Skipping: deliveries that are given up before their end. Their lane goes on as if they had never been in it.
//!
//! What comes after a skipped delivery is let go by the one before it: at once if there is none, when its hold has
//! passed if it has failed, and else not yet. Whoever skips holds the row `*` of `lumo_streams`, so nothing is queued,
//! settled or skipped at the same time; what is being claimed at that moment is not skipped.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery::{self, State};
use lumo_bridge_entity::stream;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement, Value,
};

use super::mirror::padded;
use super::settle::lane_hint;
use super::{Error, Store, Tx};
use crate::model::id::{DeliveryId, EndpointName};

/// Deliveries in one transaction.
const BATCH: u64 = 500;

/// Why a delivery was skipped that waited when its endpoint was resumed without it.
const RESUMED: &str = "skipped as its endpoint was resumed";

/// States in which a delivery can be skipped.
pub(super) const SKIPPABLE: [State; 3] = [State::Pending, State::Retrying, State::Held];

/// Whether a delivery in this state can be skipped.
#[must_use]
pub fn is_skippable(state: State) -> bool {
    SKIPPABLE.contains(&state)
}

/// What became of a request to skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// It will not be attempted any more.
    Skipped,
    /// There is no such delivery.
    Unknown,
    /// It is under way, or was at its end already; nothing was changed.
    Untouched(State),
}

/// A delivery that is to be skipped, and why.
pub(super) struct Skip {
    pub(super) id: DeliveryId,
    pub(super) reason: String,
}

/// A row as it stands when it is to be skipped.
#[derive(FromQueryResult)]
struct Standing {
    id: DeliveryId,
    state: State,
    /// The ones around it in its lane; none if it has no lane.
    predecessor: Option<DeliveryId>,
    successor: Option<DeliveryId>,
}

impl Store {
    /// Gives up a delivery that is not under way; `reason` is kept as its last error.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn skip_delivery(&self, id: &DeliveryId, reason: &str, now: DateTime<Utc>) -> Result<Skipped, Error> {
        self.tx("delivery.skip", |tx| async move {
            tx.lock_counter(stream::ALL).await?;
            let skip = Skip { id: id.clone(), reason: reason.to_owned() };
            let state = tx.skip(vec![skip], now).await?.remove(id);
            Ok(match state {
                None => Skipped::Unknown,
                Some(state) if SKIPPABLE.contains(&state) => Skipped::Skipped,
                Some(state) => Skipped::Untouched(state),
            })
        })
        .await
    }

    /// Gives up everything that waits for an endpoint by now which is about to be resumed, a few hundred at a time. Returns how
    /// many.
    ///
    /// # Errors
    /// If the database fails; what was skipped before stays so.
    pub async fn skip_all_waiting(&self, endpoint: &EndpointName, now: DateTime<Utc>) -> Result<u64, Error> {
        let (mut sum, mut after) = (0, None);
        while let Some((skipped, last)) = self.skip_waiting(endpoint, after.as_ref(), now, RESUMED, now).await? {
            sum += skipped;
            after = Some(last);
        }
        Ok(sum)
    }

    /// Gives up the next few hundred deliveries to the endpoint, of those that were queued up to `through` and come
    /// after `after`. Returns how many, and after which to go on; none when there are no more. What is under way is
    /// left alone.
    ///
    /// # Errors
    /// If the database fails; nothing of the batch is skipped then.
    pub async fn skip_waiting(
        &self,
        endpoint: &EndpointName,
        after: Option<&DeliveryId>,
        through: DateTime<Utc>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<(u64, DeliveryId)>, Error> {
        // Found before the outbox is held up: this may take a look at many that are not for the endpoint.
        let mut query = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::Id)
            .filter(delivery::Column::Endpoint.eq(endpoint.clone()))
            .filter(delivery::Column::State.is_in(SKIPPABLE))
            .filter(delivery::Column::CreatedAt.lte(through))
            .order_by_asc(delivery::Column::Id)
            .limit(BATCH);
        if let Some(after) = after {
            query = query.filter(delivery::Column::Id.gt(after.clone()));
        }
        let ids: Vec<DeliveryId> = query.into_tuple().all(self.read()).await?;
        let Some(last) = ids.last().cloned() else { return Ok(None) };
        let ids = &ids;
        let skipped = self.tx("delivery.skip", |tx| async move {
            tx.lock_counter(stream::ALL).await?;
            let skip = |id: &DeliveryId| Skip { id: id.clone(), reason: reason.to_owned() };
            let states = tx.skip(ids.iter().map(skip).collect(), now).await?;
            Ok(states.into_values().filter(|state| SKIPPABLE.contains(state)).count())
        });
        Ok(Some((u64::try_from(skipped.await?).unwrap_or(u64::MAX), last)))
    }
}

impl Tx {
    /// Skips those of the deliveries that can be; the counter of all events must be locked already. Returns the state
    /// that each was in, as far as it is there.
    pub(super) async fn skip(&self, skips: Vec<Skip>, now: DateTime<Utc>) -> Result<HashMap<DeliveryId, State>, Error> {
        let mut states = HashMap::new();
        for chunk in skips.chunks(500) {
            let rows = self.neighbours(chunk).await?;
            states.extend(rows.iter().map(|(id, row)| (id.clone(), row.state)));
            let mut by_reason: BTreeMap<&str, Vec<DeliveryId>> = BTreeMap::new();
            for skip in chunk {
                if can_skip(&rows, &skip.id) {
                    by_reason.entry(&skip.reason).or_default().push(skip.id.clone());
                }
            }
            for (reason, ids) in by_reason {
                self.mark_skipped(&ids, reason).await?;
            }
            self.let_go(&rows, now).await?;
        }
        Ok(states)
    }

    /// The rows to skip, locked, each with those around it in its lane. Raw SQL because the builder cannot correlate a
    /// scalar subquery with a limit.
    async fn neighbours(&self, skips: &[Skip]) -> Result<HashMap<DeliveryId, Standing>, Error> {
        let ids = padded(skips.iter().map(|skip| skip.id.clone()));
        let (placeholders, lock): (Vec<String>, _) = match self.backend() {
            DbBackend::Postgres => ((1..=ids.len()).map(|n| format!("${n}")).collect(), " FOR UPDATE OF d"),
            DbBackend::MySql => (vec!["?".to_owned(); ids.len()], " FOR UPDATE"),
            _ => (vec!["?".to_owned(); ids.len()], ""),
        };
        let (hint, placeholders) = (lane_hint(self.backend()), placeholders.join(", "));
        let sql = format!(
            "SELECT d.id, d.state,
                (SELECT p.id FROM lumo_deliveries p{hint}
                 WHERE p.endpoint = d.endpoint AND p.lane = d.lane AND p.id < d.id
                 ORDER BY p.id DESC LIMIT 1) AS predecessor,
                (SELECT n.id FROM lumo_deliveries n{hint}
                 WHERE n.endpoint = d.endpoint AND n.lane = d.lane AND n.id > d.id
                 ORDER BY n.id LIMIT 1) AS successor
             FROM lumo_deliveries d WHERE d.id IN ({placeholders}) ORDER BY d.id{lock}"
        );
        let statement = Statement::from_sql_and_values(self.backend(), sql, ids.into_iter().map(Value::from));
        let rows = Standing::find_by_statement(statement).all(self.session()).await?;
        Ok(rows.into_iter().map(|row| (row.id.clone(), row)).collect())
    }

    async fn mark_skipped(&self, ids: &[DeliveryId], reason: &str) -> Result<(), Error> {
        delivery::Entity::update_many()
            .col_expr(delivery::Column::State, Expr::value(State::Skipped.as_str()))
            .col_expr(delivery::Column::NextAttemptAt, Expr::value(Option::<DateTime<Utc>>::None))
            .col_expr(delivery::Column::LastError, Expr::value(reason))
            .col_expr(delivery::Column::Lane, Expr::value(Option::<String>::None))
            .col_expr(delivery::Column::LeaseToken, Expr::value(Option::<i64>::None))
            .col_expr(delivery::Column::AckBy, Expr::value(Option::<DateTime<Utc>>::None))
            .filter(delivery::Column::Id.is_in(padded(ids.iter().cloned())))
            .exec(self.session())
            .await?;
        Ok(())
    }

    /// Lets those go that the skipped ones stood in front of, as far as what is in front of them now allows.
    async fn let_go(&self, rows: &HashMap<DeliveryId, Standing>, now: DateTime<Utc>) -> Result<(), Error> {
        let mut free = Vec::new();
        let mut behind: BTreeMap<DeliveryId, DeliveryId> = BTreeMap::new();
        for row in rows.values().filter(|row| can_skip(rows, &row.id)) {
            let Some(next) = row.successor.clone().filter(|next| !can_skip(rows, next)) else { continue };
            let mut before = row.predecessor.as_ref();
            while let Some(skipped) = before.filter(|before| can_skip(rows, before)) {
                before = rows.get(skipped).and_then(|row| row.predecessor.as_ref());
            }
            match before {
                None => free.push(next),
                Some(before) => drop(behind.insert(next, before.clone())),
            }
        }
        let holds = self.holds(behind.values()).await?;
        for (next, before) in behind {
            match holds.get(&before).copied().flatten() {
                Some(until) if until > now => self.due_no_later_than(&next, until).await?,
                Some(_) => free.push(next),
                // It has not failed: its end, or its first failure, sees to the next one.
                None => {}
            }
        }
        // Writers that lock in the same order cannot lock each other out.
        free.sort();
        self.make_due(free, now).await
    }

    /// Until when these hold their lanes, as far as they do.
    async fn holds(
        &self,
        ids: impl Iterator<Item = &DeliveryId>,
    ) -> Result<HashMap<DeliveryId, Option<DateTime<Utc>>>, Error> {
        let ids: Vec<DeliveryId> = ids.cloned().collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<(DeliveryId, Option<DateTime<Utc>>)> = delivery::Entity::find()
            .select_only()
            .columns([delivery::Column::Id, delivery::Column::HoldUntil])
            .filter(delivery::Column::Id.is_in(padded(ids)))
            .into_tuple()
            .all(self.session())
            .await?;
        Ok(rows.into_iter().collect())
    }

    async fn due_no_later_than(&self, id: &DeliveryId, until: DateTime<Utc>) -> Result<(), Error> {
        let later = delivery::Column::NextAttemptAt.is_null().or(delivery::Column::NextAttemptAt.gt(until));
        delivery::Entity::update_many()
            .col_expr(delivery::Column::NextAttemptAt, Expr::value(until))
            .filter(delivery::Column::Id.eq(id.clone()))
            .filter(delivery::Column::State.eq(State::Pending))
            .filter(later)
            .exec(self.session())
            .await?;
        Ok(())
    }
}

fn can_skip(rows: &HashMap<DeliveryId, Standing>, id: &DeliveryId) -> bool {
    rows.get(id).is_some_and(|row| is_skippable(row.state))
}

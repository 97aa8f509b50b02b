//! Makes a delivery due again by command, with a fresh retry schedule: one that failed, died or was skipped.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::{self, Reason, State as Row};
use lumo_bridge_entity::operator_action::Action;
use lumo_bridge_entity::subscription;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::Delivery;
use super::command::batches;
use super::target::{Events, LockedEndpoint, Target, targets};
use crate::model::actor::Actor;
use crate::model::delivery::{Reach, State};
use crate::model::id::{DeliveryId, EndpointName, EventId};
use crate::model::subscriber::Statements;
use crate::store::db::statement::padded;
use crate::store::{Deed, Error, Store};

/// The result of a request to retry a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It is due; if its endpoint is not called at present, it is sent when the endpoint is called again.
    Due { reach: Reach },
    /// There is no such delivery.
    Unknown,
    /// It was in this state, in which there is nothing to retry; nothing was changed.
    Unchanged(State),
    /// It stays in this state: its endpoint is a statement, whose `events` do not name the event's type.
    Unwanted(State),
}

/// What a retry does to a delivery.
enum RetryAct {
    /// Makes its row due now.
    Hasten,
    /// Adds a row, or restarts the row's schedule.
    BeginAnew,
    Nothing,
}

impl Store {
    /// Makes deliveries due, a few hundred at a time. Returns the result of each, in the order given. A delivery
    /// that has ended at one of the `statements` is retried only if that statement's `events` name the event's type.
    ///
    /// # Errors
    /// If the database fails; what was done before stays done.
    pub async fn retry_deliveries(
        &self,
        ids: &[DeliveryId],
        statements: &Statements,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Vec<Retried>, Error> {
        let mut done: HashMap<DeliveryId, Retried> = HashMap::new();
        for (endpoint, events) in batches(ids) {
            let (name, events) = (&endpoint, &events);
            let batch = self
                .tx("delivery.retry", |tx| async move { tx.delivery().retry(name, events, statements, by, now).await });
            let named = |(event, retried)| (DeliveryId { event, endpoint: endpoint.clone() }, retried);
            done.extend(batch.await?.into_iter().map(named));
        }
        Ok(ids.iter().map(|id| done.get(id).copied().unwrap_or(Retried::Unknown)).collect())
    }
}

impl Delivery<'_> {
    async fn retry(
        &self,
        endpoint: &EndpointName,
        events: &[EventId],
        statements: &Statements,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Vec<(EventId, Retried)>, Error> {
        let Some(place) = self.enter(endpoint).await? else { return Ok(Vec::new()) };
        let (mut hasten, mut anew, mut done) = (Vec::new(), Vec::new(), Vec::new());
        for target in targets(self.tx.session(), Events::Locked, &place, events).await? {
            let Some(state) = target.state() else { continue };
            let due = Retried::Due { reach: place.reach() };
            let event = target.event.clone();
            let retried = match act(&target) {
                RetryAct::Nothing => Retried::Unchanged(state),
                RetryAct::Hasten => {
                    hasten.push(target.seq);
                    due
                }
                RetryAct::BeginAnew if statements.leave_out(endpoint, &target.kind) => Retried::Unwanted(state),
                RetryAct::BeginAnew => {
                    anew.push(target);
                    due
                }
            };
            done.push((event, retried));
        }
        self.hasten(&place, &hasten, now).await?;
        let rows = anew.iter().map(|target| target.anew(&place, reason(target), now)).collect();
        let seqs: Vec<i64> = anew.iter().map(|target| target.seq).collect();
        self.replace_rows(endpoint, &seqs, rows).await?;
        let due = done.iter().filter(|(_, retried)| matches!(retried, Retried::Due { .. })).map(|(event, _)| event);
        self.tx.record(by, Deed::to_deliveries(Action::Retry, due, endpoint), now).await?;
        Ok(done)
    }

    /// Makes rows due now. The times until which they hold their lanes stay, because the rows behind them have waited
    /// for those.
    async fn hasten(&self, place: &LockedEndpoint, seqs: &[i64], now: DateTime<Utc>) -> Result<(), Error> {
        if seqs.is_empty() {
            return Ok(());
        }
        exception::Entity::update_many()
            .col_expr(exception::Column::State, Expr::value(Row::Waiting.as_str()))
            .col_expr(exception::Column::Tries, Expr::value(0))
            .col_expr(exception::Column::NextAttemptAt, Expr::value(now))
            .col_expr(exception::Column::Touched, Expr::value(place.revision))
            .filter(exception::Column::Endpoint.eq(place.endpoint.name.clone()))
            .filter(exception::Column::Seq.is_in(padded(seqs.iter().copied())))
            .exec(self.tx.session())
            .await?;
        Ok(())
    }
}

fn act(target: &Target) -> RetryAct {
    match (target.recorded.row, target.recorded.range) {
        (Some(Row::Retrying), _) => RetryAct::Hasten,
        (Some(Row::Dead | Row::Skipped), _) | (None, Some(subscription::State::Skipped)) => RetryAct::BeginAnew,
        _ => RetryAct::Nothing,
    }
}

/// The reason of a new row: a replay that died stays a replay.
fn reason(target: &Target) -> Reason {
    target.row.as_ref().map_or(Reason::Live, |row| row.reason)
}

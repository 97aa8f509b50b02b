//! Skips single deliveries by command.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::{self, State as Row};
use lumo_bridge_entity::operator_action::Action;
use lumo_bridge_entity::subscription;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::Delivery;
use super::command::batches;
use super::target::{Events, LockedEndpoint, Target, targets};
use crate::model::actor::Actor;
use crate::model::delivery::State;
use crate::model::id::{DeliveryId, EndpointName, EventId};
use crate::store::db::statement::padded;
use crate::store::{Deed, Error, Store};

/// The result of a request to skip a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// It is skipped. If that is not certain, a request for it may be in flight already.
    Skipped { is_certain: bool },
    /// It was dead, and is skipped now. No request for it was in flight.
    PutAway,
    /// There is no such delivery.
    Unknown,
    /// It was in this state, in which there is nothing to skip; nothing was changed.
    Unchanged(State),
}

/// What a skip does to a delivery.
enum SkipAct {
    /// Ends its row.
    End,
    /// Adds a row in state `skipped`, before the position reaches the event.
    Note,
    Nothing,
}

impl Store {
    /// Skips deliveries, a few hundred at a time; `reason` is stored as their last error. Waits a moment for the
    /// leaders, so that they do not start what was skipped. Returns the result of each, in the order given.
    ///
    /// # Errors
    /// If the database fails; what was done before stays done.
    pub async fn skip_deliveries(
        &self,
        ids: &[DeliveryId],
        reason: &str,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Vec<Skipped>, Error> {
        let mut done: HashMap<DeliveryId, Skipped> = HashMap::new();
        for (endpoint, events) in batches(ids) {
            let (name, events) = (&endpoint, &events);
            let batch =
                self.tx("delivery.skip", |tx| async move { tx.delivery().skip(name, events, reason, by, now).await });
            let (revision, skipped) = batch.await?;
            let is_any = skipped.iter().any(|(_, skipped)| matches!(skipped, Skipped::Skipped { .. }));
            let is_certain = !is_any || self.until_seen(name, revision).await?;
            for (event, skipped) in skipped {
                let skipped = match skipped {
                    Skipped::Skipped { .. } => Skipped::Skipped { is_certain },
                    other => other,
                };
                done.insert(DeliveryId { event, endpoint: endpoint.clone() }, skipped);
            }
        }
        Ok(ids.iter().map(|id| done.get(id).copied().unwrap_or(Skipped::Unknown)).collect())
    }
}

#[cfg(test)]
impl Store {
    /// Like [`Store::skip_deliveries`], without waiting for the leaders.
    pub(crate) async fn skip_unseen(
        &self,
        ids: &[DeliveryId],
        reason: &str,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        for (endpoint, events) in batches(ids) {
            let (name, events) = (&endpoint, &events);
            self.tx("delivery.skip", |tx| async move { tx.delivery().skip(name, events, reason, by, now).await })
                .await?;
        }
        Ok(())
    }
}

impl Delivery<'_> {
    /// Skips deliveries to one endpoint. Returns the new revision, and the result of each.
    async fn skip(
        &self,
        endpoint: &EndpointName,
        events: &[EventId],
        reason: &str,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<(i64, Vec<(EventId, Skipped)>), Error> {
        let Some(place) = self.enter(endpoint).await? else { return Ok((0, Vec::new())) };
        let (mut ended, mut noted, mut done) = (Vec::new(), Vec::new(), Vec::new());
        // Retention does not remove an event that the position has not reached.
        for target in targets(self.tx.session(), Events::Read, &place, events).await? {
            let Some(state) = target.state() else { continue };
            let act = act(&target);
            let skipped = match act {
                SkipAct::Nothing => Skipped::Unchanged(state),
                SkipAct::End | SkipAct::Note if state == State::Dead => Skipped::PutAway,
                SkipAct::End | SkipAct::Note => Skipped::Skipped { is_certain: false },
            };
            done.push((target.event.clone(), skipped));
            match act {
                SkipAct::End => ended.push(target.seq),
                SkipAct::Note => noted.push(target),
                SkipAct::Nothing => {}
            }
        }
        self.end_rows(&place, &ended, reason, now).await?;
        let rows = noted.iter().map(|target| target.skipped(&place, reason, now)).collect();
        let seqs: Vec<i64> = noted.iter().map(|target| target.seq).collect();
        self.replace_rows(endpoint, &seqs, rows).await?;
        let is_skipped = |skipped: &Skipped| matches!(skipped, Skipped::Skipped { .. } | Skipped::PutAway);
        let skipped = done.iter().filter(|(_, skipped)| is_skipped(skipped));
        let deeds = Deed::to_deliveries(Action::Skip, skipped.map(|(event, _)| event), endpoint);
        self.tx.record(by, deeds.into_iter().map(|deed| deed.because(reason)).collect(), now).await?;
        Ok((place.revision, done))
    }

    /// Ends rows, or puts dead ones away. They keep their lanes; the leader releases the rows behind them.
    pub(super) async fn end_rows(
        &self,
        place: &LockedEndpoint,
        seqs: &[i64],
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        if seqs.is_empty() {
            return Ok(());
        }
        let never = || Expr::value(None::<DateTime<Utc>>);
        exception::Entity::update_many()
            .col_expr(exception::Column::State, Expr::value(Row::Skipped.as_str()))
            .col_expr(exception::Column::NextAttemptAt, never())
            .col_expr(exception::Column::AckBy, never())
            .col_expr(exception::Column::LastError, Expr::value(reason))
            .col_expr(exception::Column::Touched, Expr::value(place.revision))
            .col_expr(exception::Column::EndedAt, Expr::value(now))
            .filter(exception::Column::Endpoint.eq(place.endpoint.name.clone()))
            .filter(exception::Column::Seq.is_in(padded(seqs.iter().copied())))
            .exec(self.tx.session())
            .await?;
        Ok(())
    }
}

fn act(target: &Target) -> SkipAct {
    match (target.recorded.row, target.recorded.range) {
        (Some(Row::Waiting | Row::Retrying | Row::AwaitingAck | Row::Dead), _) => SkipAct::End,
        (None, Some(subscription::State::Wanted)) if !target.recorded.is_passed => SkipAct::Note,
        _ => SkipAct::Nothing,
    }
}

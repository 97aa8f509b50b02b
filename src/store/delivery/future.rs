//! Corrects stored times that are further ahead than the endpoint's longest wait.
//!
//! Such a time was written by a clock that was wrong, or before the endpoint's settings were changed to shorter waits.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::endpoint;
use lumo_bridge_entity::exception::{self, State};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::Delivery;
use crate::model::id::EndpointName;
use crate::store::Error;

/// A failing endpoint waits for its next probe, whatever its retries.
const LONGEST_PROBE: TimeDelta = TimeDelta::minutes(1);

/// The longest waits that an endpoint's configuration allows.
#[derive(Clone, Copy, Debug)]
pub struct LongestWaits {
    /// Until the next attempt of a delivery, and for a hold of the whole endpoint.
    pub retry: TimeDelta,
    /// For how long a failed row holds back its lane.
    pub hold: TimeDelta,
    /// For an acknowledgement; none if the endpoint requires none.
    pub ack: Option<TimeDelta>,
}

/// How many rows were corrected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Corrected {
    /// Rows whose wait exceeded the longest one.
    pub too_long: u64,
    /// Rows that waited for an acknowledgement which the endpoint no longer requires.
    pub unasked: u64,
}

impl Delivery<'_> {
    /// Corrects the times that are further ahead than the longest waits: to now, or to the end of the longest wait.
    pub(super) async fn correct_future(
        &self,
        endpoint: &EndpointName,
        longest: &LongestWaits,
        now: DateTime<Utc>,
    ) -> Result<Corrected, Error> {
        use exception::Column::{AckBy, HoldUntil, Lane, NextAttemptAt};
        const UNFINISHED: [State; 4] = [State::Waiting, State::Retrying, State::Sending, State::AwaitingAck];
        let set = async |column: exception::Column, states: &[State], value: TimeDelta, most: TimeDelta| {
            let set = exception::Entity::update_many()
                .col_expr(column, Expr::value(now + value))
                .filter(exception::Column::Endpoint.eq(endpoint.clone()))
                .filter(exception::Column::State.is_in(states.iter().copied()))
                .filter(column.gt(now + most))
                .exec(self.tx.session());
            Ok::<u64, Error>(set.await?.rows_affected)
        };
        let mut too_long = set(HoldUntil, &UNFINISHED, longest.hold, longest.hold).await?;
        let ack = longest.ack.unwrap_or_default();
        let acks = set(AckBy, &[State::AwaitingAck], ack, ack).await?;
        let unasked = if longest.ack.is_none() { acks } else { 0 };
        too_long += acks - unasked;
        too_long += set(NextAttemptAt, &[State::Retrying, State::Sending], TimeDelta::zero(), longest.retry).await?;
        // What waits in a lane depends on the row before it, whose hold is right now.
        let waiting = exception::Entity::find()
            .select_only()
            .column(exception::Column::Seq)
            .filter(exception::Column::Endpoint.eq(endpoint.clone()))
            .filter(exception::Column::State.eq(State::Waiting))
            .filter(Lane.is_not_null())
            .filter(NextAttemptAt.gt(now + longest.hold));
        let waiting: Vec<i64> = waiting.into_tuple().all(self.tx.session()).await?;
        self.place(endpoint, &waiting, now).await?;
        too_long += waiting.len() as u64;
        too_long += set(NextAttemptAt, &[State::Waiting], TimeDelta::zero(), longest.hold).await?;
        endpoint::Entity::update_many()
            .col_expr(endpoint::Column::HoldUntil, Expr::value(None::<DateTime<Utc>>))
            .filter(endpoint::Column::Name.eq(endpoint.clone()))
            .filter(endpoint::Column::HoldUntil.gt(now + longest.retry.max(LONGEST_PROBE)))
            .exec(self.tx.session())
            .await?;
        Ok(Corrected { too_long, unasked })
    }
}

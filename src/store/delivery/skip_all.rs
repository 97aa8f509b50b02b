//! Skips everything that waits for an endpoint.
//!
//! One range covers what is beyond its position, and each row is ended by itself.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::{self, State as Row};
use lumo_bridge_entity::operator_action::Action;
use lumo_bridge_entity::subscription::{self, State};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
};

use super::Delivery;
use super::target::{BATCH, LockedEndpoint};
use crate::model::actor::Actor;
use crate::model::id::EndpointName;
use crate::store::db::statement::Sql;
use crate::store::mirror::insert_rows;
use crate::store::{Deed, Error, Store, Tx};

/// The reason of deliveries that were skipped when their endpoint was resumed.
const RESUMED: &str = "skipped as its endpoint was resumed";

#[derive(FromQueryResult)]
struct SkipCount {
    events: i64,
}

impl Store {
    /// Skips everything that waits now for an endpoint that is about to be resumed. Requests in flight are left alone,
    /// and so is what was answered and waits for its acknowledgement. If the endpoint is no longer configured, no leader
    /// will finish these: they are skipped as well, and what was acknowledged is finished as delivered.
    ///
    /// Returns how many deliveries were skipped. They count as one action of the operator, which the transaction that
    /// skips the first one records.
    ///
    /// # Errors
    /// If the database fails; what was given up before stays so.
    pub async fn skip_all_waiting(
        &self,
        endpoint: &EndpointName,
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<u64, Error> {
        let beyond = self.tx("endpoint.skip", |tx| async move {
            let (skipped, last) = tx.delivery().skip_beyond(endpoint).await?;
            tx.record_skip(endpoint, by, skipped, now).await?;
            Ok((skipped, last))
        });
        let (mut sum, last) = beyond.await?;
        let mut after = 0;
        loop {
            let is_recorded = sum > 0;
            let rows = self.tx("delivery.skip", |tx| async move {
                let (skipped, through) = tx.delivery().skip_rows(endpoint, after, last, now).await?;
                if !is_recorded {
                    tx.record_skip(endpoint, by, skipped, now).await?;
                }
                Ok((skipped, through))
            });
            let (skipped, through) = rows.await?;
            let Some(through) = through else { return Ok(sum) };
            sum += skipped;
            after = through;
        }
    }
}

impl Tx {
    /// Records the operator's action, if anything was skipped.
    async fn record_skip(
        &self,
        endpoint: &EndpointName,
        by: &Actor,
        skipped: u64,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        if skipped == 0 {
            return Ok(());
        }
        self.record(by, vec![Deed::new(Action::Skip, endpoint)], now).await
    }
}

impl Delivery<'_> {
    /// Turns the events after the position into ranges that are given up. Returns how many events these contain, and
    /// the last one of the log.
    async fn skip_beyond(&self, endpoint: &EndpointName) -> Result<(u64, i64), Error> {
        let last = self.tx.log().lock().await?;
        let Some(place) = self.enter(endpoint).await? else { return Ok((0, last)) };
        let events = self.count_beyond(endpoint, place.position, last).await?;
        let wanted = subscription::Entity::find()
            .filter(subscription::Column::Endpoint.eq(endpoint.clone()))
            .filter(subscription::Column::State.eq(State::Wanted))
            .all(self.tx.session())
            .await?;
        for range in wanted {
            let pieces = split(&range, place.position, last);
            if pieces.iter().all(|piece| piece.state == State::Wanted) {
                continue;
            }
            let key = (range.endpoint, range.kind, range.from_seq);
            subscription::Entity::delete_by_id(key).exec(self.tx.session()).await?;
            insert_rows(self.tx.session(), pieces.into_iter().map(row).collect()).await?;
        }
        Ok((u64::try_from(events).unwrap_or(0), last))
    }

    async fn count_beyond(&self, endpoint: &EndpointName, position: i64, last: i64) -> Result<i64, Error> {
        let name = || endpoint.clone().into();
        let text = r#"SELECT COUNT(*) AS events FROM lumo_events e JOIN lumo_subscriptions s ON s.endpoint = ? AND s."type" = e."type"
AND s.from_seq <= e.seq AND (s.through_seq IS NULL OR s.through_seq >= e.seq) AND s.state = 'wanted'
AND (e.audience IS NULL OR e.audience <> 'nobody' AND SUBSTR(e.audience, 2) <> ?)
LEFT JOIN lumo_exceptions x ON x.endpoint = ? AND x.seq = e.seq WHERE e.seq > ? AND e.seq <= ? AND x.seq IS NULL"#;
        let sql = Sql::new(self.tx.backend(), text, [name(), name(), name(), position.into(), last.into()]);
        let counted = SkipCount::find_by_statement(sql.statement()).one(self.tx.session()).await?;
        Ok(counted.map_or(0, |counted| counted.events))
    }

    /// Ends the next few hundred waiting rows, up to this event. Returns how many were skipped, and the last one read.
    async fn skip_rows(
        &self,
        endpoint: &EndpointName,
        after: i64,
        last: i64,
        now: DateTime<Utc>,
    ) -> Result<(u64, Option<i64>), Error> {
        let Some(place) = self.enter(endpoint).await? else { return Ok((0, None)) };
        let mut rows = exception::Entity::find()
            .filter(exception::Column::Endpoint.eq(endpoint.clone()))
            .filter(waits(&place, now))
            .filter(exception::Column::Seq.gt(after))
            .filter(exception::Column::Seq.lte(last))
            .order_by_asc(exception::Column::Seq)
            .limit(u64::try_from(BATCH).unwrap_or(u64::MAX))
            .all(self.tx.session())
            .await?;
        let through = rows.last().map(|row| row.seq);
        if place.endpoint.removed_at.is_some() {
            let finished = self.finish_acknowledged(&place, &rows, now).await?;
            rows.retain(|row| !finished.contains(&row.seq));
        }
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        self.end_rows(&place, &seqs, RESUMED, now).await?;
        Ok((u64::try_from(seqs.len()).unwrap_or(u64::MAX), through))
    }
}

/// The condition on rows that are skipped. A leader finishes the others. A removed endpoint has none, and its requests
/// are over once they count as lost.
fn waits(place: &LockedEndpoint, now: DateTime<Utc>) -> Condition {
    let waits = Condition::any().add(exception::Column::State.is_in([Row::Waiting, Row::Retrying]));
    if place.endpoint.removed_at.is_none() {
        return waits;
    }
    let is_lost =
        Condition::all().add(exception::Column::State.eq(Row::Sending)).add(exception::Column::NextAttemptAt.lte(now));
    waits.add(exception::Column::State.eq(Row::AwaitingAck)).add(is_lost)
}

/// Splits a wanted range into the passed part, the skipped part, and the part after the end of the log. Empty parts are
/// left out, so a range that ends before the position stays unchanged.
fn split(range: &subscription::Model, position: i64, last: i64) -> Vec<subscription::Model> {
    let piece = |from_seq: i64, through_seq: Option<i64>, state: State| {
        let reason = if state == State::Skipped { Some(RESUMED.to_owned()) } else { range.reason.clone() };
        subscription::Model { from_seq, through_seq, state, reason, ..range.clone() }
    };
    let end = range.through_seq.unwrap_or(i64::MAX);
    let passed = piece(range.from_seq, Some(end.min(position)), State::Wanted);
    let given_up = piece(range.from_seq.max(position + 1), Some(end.min(last)), State::Skipped);
    let to_come = piece(range.from_seq.max(position.max(last) + 1), range.through_seq, State::Wanted);
    let is_any = |range: &subscription::Model| range.through_seq.is_none_or(|through| through >= range.from_seq);
    [passed, given_up, to_come].into_iter().filter(is_any).collect()
}

fn row(range: subscription::Model) -> subscription::ActiveModel {
    let subscription::Model { endpoint, kind, from_seq, through_seq, state, reason } = range;
    subscription::ActiveModel {
        endpoint: Set(endpoint),
        kind: Set(kind),
        from_seq: Set(from_seq),
        through_seq: Set(through_seq),
        state: Set(state),
        reason: Set(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(from_seq: i64, through_seq: Option<i64>, position: i64, last: i64) -> Vec<(i64, Option<i64>, State)> {
        let range = subscription::Model {
            endpoint: "shop".parse().unwrap(),
            kind: "deposit.created".to_owned(),
            from_seq,
            through_seq,
            state: State::Wanted,
            reason: None,
        };
        let shown = |range: subscription::Model| (range.from_seq, range.through_seq, range.state);
        split(&range, position, last).into_iter().map(shown).collect()
    }

    #[test]
    fn what_is_beyond_the_position_is_cut_out() {
        use State::{Skipped, Wanted};
        assert_eq!(pieces(1, None, 10, 20), [(1, Some(10), Wanted), (11, Some(20), Skipped), (21, None, Wanted)]);
        assert_eq!(pieces(11, None, 10, 20), [(11, Some(20), Skipped), (21, None, Wanted)]);
        assert_eq!(pieces(21, None, 10, 20), [(21, None, Wanted)], "opened at the end of the log");
        assert_eq!(pieces(1, None, 20, 20), [(1, Some(20), Wanted), (21, None, Wanted)], "nothing waits");
        assert_eq!(pieces(1, Some(15), 10, 20), [(1, Some(10), Wanted), (11, Some(15), Skipped)]);
        assert_eq!(pieces(1, Some(5), 10, 20), [(1, Some(5), Wanted)]);
        assert_eq!(pieces(12, Some(15), 10, 20), [(12, Some(15), Skipped)]);
    }
}

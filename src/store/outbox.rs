//! The outbox: events get their place in the order, and one delivery per endpoint that wants them.
//!
//! Whoever publishes first locks the counter of all events until its transaction ends. That makes `seq` free of holes and
//! equal to the order of commit, streams dense, and one more thing certain: between looking whether a lane is free and
//! queueing behind it, no delivery of that lane can be settled, because settling takes the same lock in share mode.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use data_encoding::BASE32HEX_NOPAD;
use lumo_bridge_entity::delivery::{self, Reason, State};
use lumo_bridge_entity::{event, stream};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QuerySelect, Statement};

use super::mirror::{among, at_once, insert, time};
use super::{Error, Tx};
use crate::model::draft::Draft;
use crate::model::event::EventType;
use crate::model::id::{DeliveryId, EndpointName, EventId};

/// Rows in one statement.
const ROWS: usize = 200;

/// A delivery that is about to be queued.
pub(super) struct Queued {
    pub(super) event: EventId,
    pub(super) endpoint: EndpointName,
    pub(super) lane: Option<String>,
    pub(super) reason: Reason,
}

/// An event that was stored.
pub(super) struct Recorded {
    pub(super) id: EventId,
    pub(super) kind: EventType,
    pub(super) stream: String,
}

/// Deliveries that were queued.
#[derive(Default)]
pub(super) struct InLine {
    pub(super) ids: Vec<DeliveryId>,
    /// Those that nothing stands before.
    pub(super) free: Vec<(EndpointName, DeliveryId)>,
}

impl Tx {
    /// Stores the events that are not stored yet, in the order given, and queues their deliveries. Returns how many were
    /// new.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn publish(&self, drafts: Vec<Draft>, now: DateTime<Utc>) -> Result<usize, Error> {
        self.publish_but(drafts, None, now).await
    }

    /// Like [`Tx::publish`], but tells nothing to the endpoint that the events are about.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn publish_but(
        &self,
        drafts: Vec<Draft>,
        about: Option<&EndpointName>,
        now: DateTime<Utc>,
    ) -> Result<usize, Error> {
        if drafts.is_empty() {
            return Ok(0);
        }
        let recorded = self.record(drafts, now).await?;
        let mut queued = Vec::new();
        for event in &recorded {
            let told = self.store().subscribers().iter();
            let told = told.filter(|subscriber| subscriber.wants(event.kind) && Some(&subscriber.endpoint) != about);
            queued.extend(told.map(|subscriber| Queued {
                event: event.id.clone(),
                endpoint: subscriber.endpoint.clone(),
                lane: subscriber.lane(&event.stream),
                reason: Reason::Live,
            }));
        }
        let free = self.queue(queued, now).await?.free;
        self.feed(free, now).await?;
        Ok(recorded.len())
    }

    /// Stores the events that are not stored yet, in the order given, and returns those. Nobody is told of them.
    pub(super) async fn record(&self, drafts: Vec<Draft>, now: DateTime<Utc>) -> Result<Vec<Recorded>, Error> {
        let mut seq = self.lock_counter(stream::ALL).await?;
        let drafts = self.unknown(drafts).await?;
        self.supersede(&drafts, now).await?;
        let mut sequences = self.sequences(&drafts).await?;

        let mut rows = Vec::with_capacity(drafts.len());
        let mut recorded = Vec::with_capacity(drafts.len());
        for draft in drafts {
            seq += 1;
            let stream_seq = sequences.entry(draft.stream.clone()).or_insert(0);
            *stream_seq += 1;
            let body = draft.body(*stream_seq)?;
            recorded.push(Recorded { id: draft.id.clone(), kind: draft.kind, stream: draft.stream.clone() });
            // In the order of the entity's columns.
            rows.push(vec![
                draft.id.into(),
                seq.into(),
                draft.kind.as_str().into(),
                draft.stream.into(),
                (*stream_seq).into(),
                draft.object_kind.into(),
                draft.object_id.into(),
                draft.external_id.into(),
                time(Some(draft.occurred_at), self.backend()),
                time(Some(draft.detected_at), self.backend()),
                draft.origin.as_str().into(),
                body.into(),
            ]);
        }
        if rows.is_empty() {
            return Ok(recorded);
        }
        sequences.insert(stream::ALL.to_owned(), seq);
        self.save_counters(sequences).await?;
        insert::<event::Entity>(self.session(), rows).await?;
        Ok(recorded)
    }

    /// Queues deliveries; the counter of all events must be locked already.
    pub(super) async fn queue(&self, queued: Vec<Queued>, now: DateTime<Utc>) -> Result<InLine, Error> {
        if queued.is_empty() {
            return Ok(InLine::default());
        }
        let mut next = self.lock_counter(stream::DELIVERIES).await?;
        let mut lanes = self.lane_ends(&queued).await?;
        let mut in_line = InLine::default();
        let mut rows = Vec::with_capacity(queued.len());
        for Queued { event, endpoint, lane, reason } in queued {
            next += 1;
            let id = delivery_id(next)?;
            // The first of a free lane may go; whoever comes after it in this transaction waits for it.
            let before = lane.as_ref().and_then(|lane| lanes.insert((endpoint.clone(), lane.clone()), None));
            let next_attempt_at = match before {
                None => Some(now),
                Some(hold_until) => hold_until.map(|until| Ord::max(until, now)),
            };
            in_line.ids.push(id.clone());
            if before.is_none() {
                in_line.free.push((endpoint.clone(), id.clone()));
            }
            // In the order of the entity's columns.
            rows.push(vec![
                id.into(),
                event.into(),
                endpoint.into(),
                State::Pending.as_str().into(),
                0.into(),
                next_attempt_at.into(),
                Option::<DateTime<Utc>>::None.into(),
                Option::<i32>::None.into(),
                Option::<String>::None.into(),
                reason.as_str().into(),
                now.into(),
                lane.into(),
                Option::<DateTime<Utc>>::None.into(),
                Option::<i64>::None.into(),
                Option::<DateTime<Utc>>::None.into(),
            ]);
        }
        self.save_counters([(stream::DELIVERIES.to_owned(), next)]).await?;
        insert::<delivery::Entity>(self.session(), rows).await?;
        self.note_queued();
        Ok(in_line)
    }

    /// Locks a counter until the transaction ends and reads it.
    pub(super) async fn lock_counter(&self, name: &str) -> Result<i64, Error> {
        let row = stream::Entity::find_by_id(name).lock_exclusive().one(self.session()).await?;
        row.map(|row| row.last_seq).ok_or(Error::NotMigrated)
    }

    /// Holds off publishers, but not others that settle, until the transaction ends.
    pub(super) async fn share_outbox(&self) -> Result<(), Error> {
        self.share_counter(stream::ALL).await
    }

    /// Keeps a counter where it is until the transaction ends, and lets others do the same.
    pub(super) async fn share_counter(&self, name: &str) -> Result<(), Error> {
        match self.backend() {
            // Who writes there is alone.
            DbBackend::Sqlite => {}
            // MariaDB does not know FOR SHARE, which is all that the builder writes.
            DbBackend::MySql => {
                let sql = "SELECT last_seq FROM lumo_streams WHERE stream = ? LOCK IN SHARE MODE";
                let statement = Statement::from_sql_and_values(DbBackend::MySql, sql, [name.into()]);
                self.session().query_one_raw(statement).await?;
            }
            _ => {
                stream::Entity::find_by_id(name).lock_shared().one(self.session()).await?;
            }
        }
        Ok(())
    }

    /// The drafts whose events are not stored, each once.
    async fn unknown(&self, drafts: Vec<Draft>) -> Result<Vec<Draft>, Error> {
        let mut known: HashSet<EventId> = HashSet::new();
        for chunk in drafts.chunks(at_once(self.backend())) {
            let ids: Vec<EventId> = event::Entity::find()
                .select_only()
                .column(event::Column::Id)
                .filter(among(self.backend(), event::Column::Id, chunk.iter().map(|draft| draft.id.clone())))
                .into_tuple()
                .all(self.session())
                .await?;
            known.extend(ids);
        }
        Ok(drafts.into_iter().filter(|draft| known.insert(draft.id.clone())).collect())
    }

    /// The last number given in each stream of the drafts. Every writer of streams holds the lock on all events.
    async fn sequences(&self, drafts: &[Draft]) -> Result<HashMap<String, i64>, Error> {
        let streams: HashSet<&str> = drafts.iter().map(|draft| draft.stream.as_str()).collect();
        let streams: Vec<&str> = streams.into_iter().collect();
        let mut sequences = HashMap::new();
        for chunk in streams.chunks(at_once(self.backend())) {
            let rows = stream::Entity::find()
                .filter(among(self.backend(), stream::Column::Stream, chunk.iter().copied()))
                .all(self.session())
                .await?;
            sequences.extend(rows.into_iter().map(|row| (row.stream, row.last_seq)));
        }
        Ok(sequences)
    }

    pub(super) async fn save_counters(&self, counters: impl IntoIterator<Item = (String, i64)>) -> Result<(), Error> {
        let mut counters = counters.into_iter().peekable();
        while counters.peek().is_some() {
            let mut insert = Query::insert();
            insert.into_table(stream::Entity).columns([stream::Column::Stream, stream::Column::LastSeq]);
            for (name, last) in counters.by_ref().take(ROWS) {
                insert.values_panic([Expr::val(name), Expr::val(last)]);
            }
            insert.on_conflict(
                OnConflict::column(stream::Column::Stream).update_column(stream::Column::LastSeq).to_owned(),
            );
            self.session().execute(&insert).await?;
        }
        Ok(())
    }

    /// For every lane that is not free, until when its last delivery holds it; none while that one has not failed.
    async fn lane_ends(&self, queued: &[Queued]) -> Result<LaneEnds, Error> {
        let mut wanted: HashMap<&EndpointName, HashSet<&str>> = HashMap::new();
        for delivery in queued {
            if let Some(lane) = &delivery.lane {
                wanted.entry(&delivery.endpoint).or_default().insert(lane);
            }
        }
        let mut ends = HashMap::new();
        for (endpoint, lanes) in wanted {
            let lanes: Vec<&str> = lanes.into_iter().collect();
            for chunk in lanes.chunks(at_once(self.backend())) {
                let last = Query::select()
                    .expr(Expr::col(delivery::Column::Id).max())
                    .from(delivery::Entity)
                    .and_where(delivery::Column::Endpoint.eq(endpoint.clone()))
                    .and_where(among(self.backend(), delivery::Column::Lane, chunk.iter().copied()))
                    .group_by_col(delivery::Column::Lane)
                    .take();
                let rows: Vec<(String, Option<DateTime<Utc>>)> = delivery::Entity::find()
                    .select_only()
                    .columns([delivery::Column::Lane, delivery::Column::HoldUntil])
                    .filter(delivery::Column::Id.in_subquery(last))
                    .into_tuple()
                    .all(self.session())
                    .await?;
                ends.extend(rows.into_iter().map(|(lane, until)| ((endpoint.clone(), lane), until)));
            }
        }
        Ok(ends)
    }
}

type LaneEnds = HashMap<(EndpointName, String), Option<DateTime<Utc>>>;

/// Ids sort like their numbers: base32 of the big-endian number, in an alphabet that is in order.
pub(super) fn delivery_id(number: i64) -> Result<DeliveryId, Error> {
    let text = format!("dlv_{}", BASE32HEX_NOPAD.encode(&number.to_be_bytes()).to_ascii_lowercase());
    text.parse().map_err(|source| Error::Corrupt { table: "lumo_deliveries", id: text, source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_ids_sort_in_the_order_of_their_numbers() {
        let ids: Vec<_> = [1, 2, 31, 32, 33, 1_000, 1_000_000, i64::MAX].map(|n| delivery_id(n).unwrap()).into();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].as_str().len(), 17);
    }
}

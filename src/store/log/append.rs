//! Appends events to the log, each once, with its numbers and its body.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{event, stream};
use sea_orm::{ActiveValue::Set, EntityTrait, QueryFilter, QuerySelect};

use super::{Audience, Log, NOBODY};
use crate::model::draft::{Account, Draft};
use crate::model::event::EventType;
use crate::model::id::EventId;
use crate::store::mirror::{among, at_once, insert_rows};
use crate::store::{Error, Tx};

/// An event that was appended.
#[derive(Clone, Debug)]
pub struct Appended {
    pub seq: i64,
    pub id: EventId,
    pub kind: EventType,
    pub stream: String,
}

impl Tx {
    /// Appends the events that are not stored yet, in the order given. Returns how many were new.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn publish(&self, drafts: Vec<Draft>, now: DateTime<Utc>) -> Result<usize, Error> {
        Ok(self.log().append(drafts, Audience::Everybody, now).await?.len())
    }
}

impl Log<'_> {
    /// Locks the log until the transaction ends, and returns the number of the last event. Comes before every other
    /// lock except a fence's.
    pub(in crate::store) async fn lock(&self) -> Result<i64, Error> {
        self.tx.lock_counter(stream::ALL).await
    }

    /// Appends the drafts that are not stored yet, in the order given. The dispatchers wake up after the commit.
    pub(in crate::store) async fn append(
        &self,
        drafts: Vec<Draft>,
        audience: Audience<'_>,
        _now: DateTime<Utc>,
    ) -> Result<Vec<Appended>, Error> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let mut seq = self.lock().await?;
        let drafts = self.unknown(drafts).await?;
        let mut sequences = self.sequences(&drafts).await?;
        let account = if drafts.is_empty() { None } else { self.tx.account().await? };
        let account = account.as_ref().map(Account::from);
        let audience = match audience {
            Audience::Everybody => None,
            Audience::Nobody => Some(NOBODY.to_owned()),
            Audience::AllBut(endpoint) => Some(format!("!{endpoint}")),
        };
        let mut rows = Vec::with_capacity(drafts.len());
        let mut appended = Vec::with_capacity(drafts.len());
        for draft in drafts {
            seq += 1;
            let stream_seq = sequences.entry(draft.stream.clone()).or_insert(0);
            *stream_seq += 1;
            let body = draft.body(*stream_seq, account)?;
            appended.push(Appended { seq, id: draft.id.clone(), kind: draft.kind, stream: draft.stream.clone() });
            rows.push(event::ActiveModel {
                id: Set(draft.id),
                seq: Set(seq),
                kind: Set(draft.kind.as_str().to_owned()),
                stream: Set(draft.stream),
                stream_seq: Set(*stream_seq),
                object_kind: Set(draft.object_kind.to_owned()),
                object_id: Set(draft.object_id),
                external_id: Set(draft.external_id),
                occurred_at: Set(draft.occurred_at),
                detected_at: Set(draft.detected_at),
                origin: Set(draft.origin.as_str().to_owned()),
                audience: Set(audience.clone()),
                body: Set(body),
            });
        }
        if rows.is_empty() {
            return Ok(appended);
        }
        sequences.insert(stream::ALL.to_owned(), seq);
        self.tx.save_counters(sequences).await?;
        insert_rows(self.tx.session(), rows).await?;
        self.tx.wake_after_commit();
        Ok(appended)
    }

    /// The drafts whose events are not stored yet, each once.
    async fn unknown(&self, drafts: Vec<Draft>) -> Result<Vec<Draft>, Error> {
        let backend = self.tx.backend();
        let mut known: HashSet<EventId> = HashSet::new();
        for chunk in drafts.chunks(at_once(backend)) {
            let ids: Vec<EventId> = event::Entity::find()
                .select_only()
                .column(event::Column::Id)
                .filter(among(backend, event::Column::Id, chunk.iter().map(|draft| draft.id.clone())))
                .into_tuple()
                .all(self.tx.session())
                .await?;
            known.extend(ids);
        }
        Ok(drafts.into_iter().filter(|draft| known.insert(draft.id.clone())).collect())
    }

    /// The last number in each stream of the drafts. Every writer of streams holds the lock of the log.
    async fn sequences(&self, drafts: &[Draft]) -> Result<HashMap<String, i64>, Error> {
        let backend = self.tx.backend();
        let streams: HashSet<&str> = drafts.iter().map(|draft| draft.stream.as_str()).collect();
        let streams: Vec<&str> = streams.into_iter().collect();
        let mut sequences = HashMap::new();
        for chunk in streams.chunks(at_once(backend)) {
            let rows = stream::Entity::find()
                .filter(among(backend, stream::Column::Stream, chunk.iter().copied()))
                .all(self.tx.session())
                .await?;
            sequences.extend(rows.into_iter().map(|row| (row.stream, row.last_seq)));
        }
        Ok(sequences)
    }
}

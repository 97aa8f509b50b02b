//! Finds the unsent balance events that a newer one of the same wallet supersedes.
//!
//! A balance is a state, not a fact to be kept: a receiver that was unreachable for an hour needs only the last of 60
//! balances. An event is superseded only by one that the same endpoint also receives.

use std::collections::HashMap;

use sea_orm::FromQueryResult;

use super::read::{LogEvent, WANTED};
use crate::model::event::EventType;
use crate::model::id::{EndpointName, EventId};
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

/// The type whose events replace each other.
const KIND: EventType = EventType::WalletBalanceChanged;
/// Objects in one statement.
const BATCH: usize = 500;

#[derive(FromQueryResult)]
struct Object {
    seq: i64,
    object_id: String,
}

#[derive(FromQueryResult)]
struct Newest {
    object_id: String,
    seq: i64,
    id: EventId,
}

impl Store {
    /// The events among these that need not be sent to the endpoint, each with the event that replaces it.
    pub(in crate::store) async fn superseded(
        &self,
        endpoint: &EndpointName,
        events: &[LogEvent],
    ) -> Result<Vec<(i64, EventId)>, Error> {
        let balances: Vec<i64> =
            events.iter().filter(|event| event.kind == KIND.as_str()).map(|event| event.seq).collect();
        let mut superseded = Vec::new();
        for chunk in balances.chunks(BATCH) {
            let sql = Sql::new(self.backend(), "SELECT seq, object_id FROM lumo_events WHERE ", []);
            let sql = sql.and_numbers("seq", chunk);
            let objects = Object::find_by_statement(sql.statement()).all(self.read()).await?;
            let ids: Vec<&str> = objects.iter().map(|object| object.object_id.as_str()).collect();
            let newest = self.newest(endpoint, &ids).await?;
            superseded.extend(objects.iter().filter_map(|object| {
                let newer = newest.get(&object.object_id).filter(|newer| newer.seq > object.seq)?;
                Some((object.seq, newer.id.clone()))
            }));
        }
        Ok(superseded)
    }

    /// The newest balance of each wallet that the endpoint receives.
    async fn newest(&self, endpoint: &EndpointName, objects: &[&str]) -> Result<HashMap<String, Newest>, Error> {
        let name = || endpoint.clone().into();
        let sql = Sql::new(self.backend(), "SELECT e.object_id, e.seq, e.id FROM lumo_events e ", [])
            .and(WANTED, [name(), name()])
            .and(r#" WHERE e."type" = ? AND "#, [KIND.as_str().into()])
            .and_texts("e.object_id", objects)
            .and(" ORDER BY e.seq", []);
        let rows = Newest::find_by_statement(sql.statement()).all(self.read()).await?;
        // The last one of each wallet is kept.
        Ok(rows.into_iter().map(|row| (row.object_id.clone(), row)).collect())
    }
}

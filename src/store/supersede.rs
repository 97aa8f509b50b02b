//! Superseding: a wallet's new balance takes the place of an older one that nobody has been told yet.
//!
//! A balance is a state and not a fact to be kept: who was not reached for an hour wants the last of sixty. What was
//! attempted once may have arrived and is left to its schedule, so that a receiver never sees an older balance after a
//! newer one but by a retry, which `sequence` tells.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery::{self, State};
use lumo_bridge_entity::event;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ColumnTrait, ConnectionTrait};

use super::mirror::padded;
use super::skip::Skip;
use super::{Error, Tx};
use crate::model::draft::Draft;
use crate::model::event::EventType;
use crate::model::id::DeliveryId;
use crate::model::subscriber::{Order, Subscriber};

/// The type whose events replace each other.
const KIND: EventType = EventType::WalletBalanceChanged;

impl Tx {
    /// Skips the deliveries that the drafts make pointless. The drafts are new and not stored yet; the counter of all
    /// events must be locked already.
    pub(super) async fn supersede(&self, drafts: &[Draft], now: DateTime<Utc>) -> Result<(), Error> {
        let newer: Vec<&Draft> = drafts.iter().filter(|draft| draft.kind == KIND).collect();
        if newer.is_empty() {
            return Ok(());
        }
        let mut skips = Vec::new();
        for subscriber in self.store().subscribers().iter().filter(|subscriber| subscriber.wants(KIND)) {
            for chunk in newer.chunks(500) {
                let by_object: HashMap<&str, &Draft> =
                    chunk.iter().map(|draft| (draft.object_id.as_str(), *draft)).collect();
                let older = self.older(subscriber, chunk).await?;
                skips.extend(older.into_iter().filter_map(|(id, object)| {
                    let newer = by_object.get(object.as_str())?;
                    Some(Skip { id, reason: format!("superseded by {}", newer.id) })
                }));
            }
        }
        if skips.is_empty() {
            return Ok(());
        }
        self.skip(skips, now).await.map(drop)
    }

    /// Deliveries to the subscriber of these objects' older balances that were not attempted yet, each with its object.
    async fn older(&self, subscriber: &Subscriber, newer: &[&Draft]) -> Result<Vec<(DeliveryId, String)>, Error> {
        let event = |column: event::Column| (event::Entity, column);
        let delivery = |column: delivery::Column| (delivery::Entity, column);
        let mut query = Query::select();
        query
            .column(delivery(delivery::Column::Id))
            .column(event(event::Column::ObjectId))
            .from(delivery::Entity)
            .inner_join(event::Entity, Expr::col(event(event::Column::Id)).equals(delivery(delivery::Column::EventId)))
            .and_where(event::Column::ObjectId.is_in(padded(newer.iter().map(|draft| draft.object_id.as_str()))))
            .and_where(event::Column::Kind.eq(KIND.as_str()))
            .and_where(delivery::Column::Endpoint.eq(subscriber.endpoint.clone()))
            .and_where(delivery::Column::State.is_in([State::Pending, State::Held]))
            .and_where(delivery::Column::Attempts.eq(0));
        if subscriber.order == Order::User {
            // The user's lane is short, however long the history of the wallet is.
            let lanes = newer.iter().filter_map(|draft| subscriber.lane(&draft.stream));
            query.and_where(delivery::Column::Lane.is_in(padded(lanes)));
        }
        let rows = self.session().query_all(&query).await?;
        Ok(rows.iter().map(|row| row.try_get_many_by_index()).collect::<Result<_, _>>()?)
    }
}

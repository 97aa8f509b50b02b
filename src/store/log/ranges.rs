//! Opens and closes ranges: between which numbers of the log an endpoint wants a type.
//!
//! They are opened and closed only at the end of the log and under its lock. So a process that knows that the log has
//! reached a number may read the ranges later: for events up to that number they no longer change, except when an
//! operator skips what waits.

use std::collections::BTreeSet;

use lumo_bridge_entity::subscription::{self, State};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use super::Log;
use crate::model::event::EventType;
use crate::model::id::EndpointName;
use crate::store::Error;
use crate::store::mirror::insert_rows;

impl Log<'_> {
    /// Whether any endpoint wants events of this type from now on. Holds until the commit, under the lock of the log.
    pub(in crate::store) async fn is_wanted(&self, kind: EventType) -> Result<bool, Error> {
        let open = subscription::Entity::find()
            .filter(subscription::Column::Kind.eq(kind.as_str()))
            .filter(subscription::Column::State.eq(State::Wanted))
            .filter(subscription::Column::ThroughSeq.is_null());
        Ok(open.count(self.tx.session()).await? > 0)
    }

    /// Opens and closes ranges until the endpoint's open ones are those of `wanted`. `last` is the end of the log,
    /// which is locked. Ranges of types that this program does not know are not changed.
    pub(in crate::store) async fn subscribe(
        &self,
        endpoint: &EndpointName,
        wanted: &BTreeSet<EventType>,
        last: i64,
    ) -> Result<(), Error> {
        let open = self.open_ranges(endpoint).await?;
        let is_open = |kind: EventType| open.iter().any(|range| range.kind == kind.as_str());
        let opened = wanted.iter().filter(|kind| !is_open(**kind));
        let rows: Vec<_> = opened.map(|kind| open_range(endpoint, kind.as_str(), last)).collect();
        insert_rows(self.tx.session(), rows).await?;
        for range in open {
            let unwanted = range.kind.parse::<EventType>().is_ok_and(|kind| !wanted.contains(&kind));
            if unwanted {
                self.close(range, last).await?;
            }
        }
        Ok(())
    }

    /// Closes every open range of an endpoint.
    pub(in crate::store) async fn unsubscribe(&self, endpoint: &EndpointName, last: i64) -> Result<(), Error> {
        for range in self.open_ranges(endpoint).await? {
            self.close(range, last).await?;
        }
        Ok(())
    }

    async fn open_ranges(&self, endpoint: &EndpointName) -> Result<Vec<subscription::Model>, Error> {
        let open = subscription::Entity::find()
            .filter(subscription::Column::Endpoint.eq(endpoint.clone()))
            .filter(subscription::Column::ThroughSeq.is_null());
        Ok(open.all(self.tx.session()).await?)
    }

    /// Closes a range at `last`. A range that would be empty is deleted.
    async fn close(&self, range: subscription::Model, last: i64) -> Result<(), Error> {
        let key = (range.endpoint.clone(), range.kind.clone(), range.from_seq);
        if range.from_seq > last {
            subscription::Entity::delete_by_id(key).exec(self.tx.session()).await?;
            return Ok(());
        }
        subscription::Entity::update_many()
            .col_expr(subscription::Column::ThroughSeq, Expr::value(last))
            .filter(subscription::Column::Endpoint.eq(range.endpoint))
            .filter(subscription::Column::Kind.eq(range.kind))
            .filter(subscription::Column::FromSeq.eq(range.from_seq))
            .exec(self.tx.session())
            .await?;
        Ok(())
    }
}

/// A range of all events after the end of the log.
fn open_range(endpoint: &EndpointName, kind: &str, last: i64) -> subscription::ActiveModel {
    subscription::ActiveModel {
        endpoint: Set(endpoint.clone()),
        kind: Set(kind.to_owned()),
        from_seq: Set(last + 1),
        through_seq: Set(None),
        state: Set(State::Wanted),
        reason: Set(None),
    }
}

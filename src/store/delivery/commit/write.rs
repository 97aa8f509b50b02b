//! Writes the attempts and rows of a group commit, and the rows behind them in their lanes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{attempt, exception};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::{Amend, Attempted, BATCH, Fate, GroupCommit, Item};
use crate::model::id::EndpointName;
use crate::store::Error;
use crate::store::db::statement::Sql;
use crate::store::delivery::Delivery;
use crate::store::mirror::insert_rows;

impl Delivery<'_> {
    /// Writes attempts and rows. Returns whether rows may have become due.
    pub(in crate::store::delivery) async fn write_items(
        &self,
        commit: &GroupCommit,
        items: &[Item],
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let GroupCommit { endpoint, epoch, position, .. } = commit;
        let epoch = *epoch;
        let attempts = items.iter().filter_map(|item| item.attempt_row(endpoint)).collect();
        insert_rows(self.tx.session(), attempts).await?;
        for item in items {
            self.amend(endpoint, item, now).await?;
        }
        let rows: Vec<_> = items.iter().filter_map(|item| item.new_row(endpoint, epoch, now)).collect();
        let in_lanes = |item: &&Item| item.row.is_none() && item.fate == Fate::Wait && item.lane.is_some();
        let waiting: Vec<i64> = items.iter().filter(in_lanes).map(|item| item.seq).collect();
        insert_rows(self.tx.session(), rows).await?;
        self.place(endpoint, &waiting, now).await?;

        let known = || items.iter().filter(|item| item.row.is_some());
        let ended: Vec<i64> =
            known().filter(|item| matches!(item.fate, Fate::Done | Fate::Dead)).map(|item| item.seq).collect();
        let mut followers = self.followers(endpoint, &ended).await?;
        // A delivery that a command made before the position reached it keeps its row. Without the row it would be sent
        // again.
        let is_told = |item: &Item| item.row.is_some_and(|row| row.is_wanted) && item.seq <= *position;
        let may_go = |item: &&Item| item.fate == Fate::Done && is_told(item);
        let gone: Vec<i64> = known().filter(may_go).map(|item| item.seq).collect();
        self.delete_rows(endpoint, &gone).await?;
        for item in known().filter(|item| !may_go(item)) {
            self.update_row(endpoint, epoch, item, now).await?;
        }
        let held = known().filter(|item| item.hold_until.is_some() && !matches!(item.fate, Fate::Done | Fate::Dead));
        followers.extend(self.followers(endpoint, &held.map(|item| item.seq).collect::<Vec<_>>()).await?);
        self.place(endpoint, &followers, now).await?;
        Ok(!followers.is_empty() || !waiting.is_empty())
    }

    /// Corrects the recorded result of the last attempt, or records it now if it was not.
    async fn amend(&self, endpoint: &EndpointName, item: &Item, now: DateTime<Utc>) -> Result<(), Error> {
        let Some(Amend { result, error }) = &item.amend else { return Ok(()) };
        let amended = attempt::Entity::update_many()
            .set(attempt::ActiveModel { result: Set(*result), error: Set(error.clone()), ..Default::default() })
            .filter(attempt::Column::Endpoint.eq(endpoint.clone()))
            .filter(attempt::Column::Seq.eq(item.seq))
            .filter(attempt::Column::Attempt.eq(item.attempts))
            .exec(self.tx.session())
            .await?;
        if amended.rows_affected > 0 {
            return Ok(());
        }
        let unseen = Attempted {
            started_at: now,
            duration: Duration::ZERO,
            status: None,
            error: error.clone(),
            response_body: None,
            result: *result,
            counts: true,
        };
        let unseen = Item { attempt: Some(unseen), ..item.clone() };
        Ok(insert_rows(self.tx.session(), unseen.attempt_row(endpoint).into_iter().collect()).await?)
    }

    async fn delete_rows(&self, endpoint: &EndpointName, seqs: &[i64]) -> Result<(), Error> {
        for chunk in seqs.chunks(BATCH) {
            let text = "DELETE FROM lumo_exceptions WHERE endpoint = ? AND ";
            let sql = Sql::new(self.tx.backend(), text, [endpoint.clone().into()]).and_numbers("seq", chunk);
            self.tx.session().execute_raw(sql.statement()).await?;
        }
        Ok(())
    }

    async fn update_row(
        &self,
        endpoint: &EndpointName,
        epoch: i64,
        item: &Item,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let mut row = exception::ActiveModel {
            state: Set(item.state()),
            tries: Set(item.tries),
            attempts: Set(item.attempts),
            hold_until: Set(item.hold_until),
            epoch: Set(item.epoch(epoch)),
            ack_by: Set(item.ack_by()),
            ..Default::default()
        };
        // A waiting row keeps its due time, which its lane has set.
        if item.fate != Fate::Wait {
            row.next_attempt_at = Set(item.next_attempt_at());
        }
        if item.state().is_final() {
            row.lane = Set(None);
            row.ended_at = Set(Some(now));
        }
        if let Some(attempt) = &item.attempt {
            row.last_status = Set(attempt.status.map(i32::from));
            row.last_error = Set(attempt.error.clone());
        } else if let Some(amend) = &item.amend {
            row.last_error = Set(amend.error.clone());
        }
        exception::Entity::update_many()
            .set(row)
            .filter(exception::Column::Endpoint.eq(endpoint.clone()))
            .filter(exception::Column::Seq.eq(item.seq))
            .exec(self.tx.session())
            .await?;
        Ok(())
    }
}

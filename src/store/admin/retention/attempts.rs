//! Removes old attempts that were made, whatever the state of their delivery.
//!
//! Attempt numbers continue: a delivery that is not finished keeps its count of attempts. Records of events that were
//! not sent (`filtered`, `superseded`) stay as long as the event: without them it would be shown as delivered.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt::{self, AttemptResult};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};

use super::Pruned;
use crate::model::id::EndpointName;
use crate::store::{Error, Store};

/// Attempts in one batch.
const BATCH: u64 = 1000;

const MADE: [AttemptResult; 3] = [AttemptResult::Delivered, AttemptResult::Answered, AttemptResult::Failed];

/// The progress of a pass over the attempts: endpoint by endpoint, in the order of the log.
#[derive(Debug)]
pub struct AttemptWalk {
    /// None at the end.
    endpoint: Option<EndpointName>,
    /// The last event of this endpoint that was checked.
    after: i64,
    /// The first event that is too young to have old attempts.
    before: i64,
}

#[derive(FromQueryResult)]
struct OldAttempt {
    seq: i64,
    started_at: DateTime<Utc>,
    result: AttemptResult,
}

/// Whether there was a request.
pub(super) fn was_made(result: AttemptResult) -> bool {
    MADE.contains(&result)
}

impl Store {
    /// Begins a pass over the attempts of events that were noticed before this time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn walk_attempts(&self, before: DateTime<Utc>) -> Result<AttemptWalk, Error> {
        let before = self.first_event_since(before, 1).await?;
        Ok(AttemptWalk { endpoint: self.next_attempted(None).await?, after: 0, before })
    }

    /// Removes those of the next attempts that were started before the cutoff; none at the end of the pass.
    ///
    /// # Errors
    /// If the database fails; nothing of the batch is removed then.
    pub async fn forget_attempts(
        &self,
        walk: &mut AttemptWalk,
        cutoff: DateTime<Utc>,
    ) -> Result<Option<Pruned>, Error> {
        let Some(endpoint) = walk.endpoint.clone() else { return Ok(None) };
        let rows: Vec<OldAttempt> = attempt::Entity::find()
            .select_only()
            .columns([attempt::Column::Seq, attempt::Column::StartedAt, attempt::Column::Result])
            .filter(attempt::Column::Endpoint.eq(endpoint.clone()))
            .filter(attempt::Column::Seq.gt(walk.after))
            .filter(attempt::Column::Seq.lt(walk.before))
            .order_by_asc(attempt::Column::Seq)
            .order_by_asc(attempt::Column::Attempt)
            .limit(BATCH)
            .into_model()
            .all(self.read())
            .await?;
        let Some(last) = rows.last().map(|row| row.seq) else {
            walk.endpoint = self.next_attempted(Some(&endpoint)).await?;
            walk.after = 0;
            return Ok(Some(Pruned::default()));
        };
        let is_old = |row: &&OldAttempt| row.started_at < cutoff && was_made(row.result);
        let old = || rows.iter().filter(is_old).map(|row| row.seq);
        let mut pruned = Pruned::default();
        if let Some((first, last)) = old().min().zip(old().max()) {
            pruned.attempts = self.forget_attempts_of(&endpoint, (first, last), cutoff).await?;
        }
        walk.after = last;
        Ok(Some(pruned))
    }

    /// Removes the old attempts of these events. A batch takes all attempts of an event, so none is left out at its
    /// end.
    async fn forget_attempts_of(
        &self,
        endpoint: &EndpointName,
        (first, last): (i64, i64),
        cutoff: DateTime<Utc>,
    ) -> Result<u64, Error> {
        self.tx("retention.attempts", |tx| async move {
            let gone = attempt::Entity::delete_many()
                .filter(attempt::Column::Endpoint.eq(endpoint.clone()))
                .filter(attempt::Column::Seq.between(first, last))
                .filter(Expr::col(attempt::Column::StartedAt).lt(Expr::val(cutoff)))
                .filter(attempt::Column::Result.is_in(MADE))
                .exec(tx.session())
                .await?;
            Ok(gone.rows_affected)
        })
        .await
    }

    /// The next endpoint by name that has attempts.
    async fn next_attempted(&self, after: Option<&EndpointName>) -> Result<Option<EndpointName>, Error> {
        let mut query = attempt::Entity::find().select_only().column(attempt::Column::Endpoint);
        if let Some(after) = after {
            query = query.filter(attempt::Column::Endpoint.gt(after.clone()));
        }
        let query = query.order_by_asc(attempt::Column::Endpoint).limit(1);
        Ok(query.into_tuple().one(self.read()).await?)
    }
}

//! Records when a listing begins and ceases to be stalled, to have its key refused, or to have removals held back.
//!
//! Each such change is published as an event.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{progress, stream};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::model::Listing;
use crate::model::facts::{Standing, Trouble, standing_event};
use crate::store::{Error, Fence, Progress, Store};

/// Rows that left a list and are not yet marked as missing.
#[derive(Clone, Debug, Default)]
pub struct HeldRemovals {
    pub rows: u64,
    /// The reason, as a sentence.
    pub why: Option<String>,
    /// Whether to report it although some rows were held back before.
    pub is_news: bool,
    /// When the operator accepted the removals, if in this round.
    pub accepted_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Records that a listing has been out of date since this time, or is current again. Returns whether that is news.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn note_stalled(
        &self,
        listing: Listing,
        since: Option<DateTime<Utc>>,
        fence: Option<Fence>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        self.note(listing, Trouble::Stalled, since, fence, now).await
    }

    /// Records that the key is refused, or accepted again. Returns whether that is news.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn note_unauthorized(
        &self,
        listing: Listing,
        unauthorized: bool,
        fence: Option<Fence>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        self.note(listing, Trouble::Unauthorized, unauthorized.then_some(now), fence, now).await
    }

    /// Records how many rows of a listing are held back from being marked as missing, and why; none if `held` is 0.
    /// Publishes an event when that begins, ends, or is news for another reason.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn note_removals(
        &self,
        listing: Listing,
        held: &HeldRemovals,
        fence: Option<Fence>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let generation = self.generation().await?;
        self.tx("sync.removals", |tx| async move {
            tx.hold(fence).await?;
            tx.lock_counter(stream::ALL).await?;
            let standing = tx.own_progress(listing.as_str()).await?;
            let before = standing.removals_held_since;
            let after = (held.rows > 0).then(|| before.unwrap_or(now));
            let rows = (held.rows > 0).then(|| i64::try_from(held.rows).unwrap_or(i64::MAX));
            let why = held.why.as_deref().filter(|_| held.rows > 0);
            let accepted_at = held.accepted_at.or(standing.removals_accepted_at);
            progress::Entity::update_many()
                .col_expr(progress::Column::RemovalsHeld, Expr::value(rows))
                .col_expr(progress::Column::RemovalsHeldSince, Expr::value(after))
                .col_expr(progress::Column::RemovalsHeldWhy, Expr::value(why.map(str::to_owned)))
                .col_expr(progress::Column::RemovalsAcceptedAt, Expr::value(accepted_at))
                .filter(progress::Column::Listing.eq(listing.as_str()))
                .exec(tx.session())
                .await?;
            if before.is_some() == after.is_some() && !(held.is_news && after.is_some()) {
                return Ok(());
            }
            let Progress { complete_through, proved_through, .. } = standing;
            let standing = Standing {
                listing,
                trouble: Trouble::RemovalsHeld,
                before,
                after,
                complete_through,
                proved_through,
                removals_held: rows,
                error: why,
            };
            tx.publish(vec![standing_event(&standing, generation, now)?], now).await?;
            Ok(())
        })
        .await
    }

    async fn note(
        &self,
        listing: Listing,
        trouble: Trouble,
        after: Option<DateTime<Utc>>,
        fence: Option<Fence>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let known = |before: Option<DateTime<Utc>>| before.is_some() == after.is_some();
        // Checked after every pass, and nearly always unchanged.
        if known(since(&self.progress(listing).await?, trouble)) {
            return Ok(false);
        }
        let generation = self.generation().await?;
        self.tx("sync.note", |tx| async move {
            tx.hold(fence).await?;
            tx.lock_counter(stream::ALL).await?;
            let standing = tx.own_progress(listing.as_str()).await?;
            let before = since(&standing, trouble);
            if known(before) {
                return Ok(false);
            }
            progress::Entity::update_many()
                .col_expr(column(trouble), Expr::value(after))
                .filter(progress::Column::Listing.eq(listing.as_str()))
                .exec(tx.session())
                .await?;
            let Progress { complete_through, proved_through, last_error, .. } = &standing;
            let (complete_through, proved_through) = (*complete_through, *proved_through);
            let error = last_error.as_deref();
            let removals_held = None;
            let standing =
                Standing { listing, trouble, before, after, complete_through, proved_through, removals_held, error };
            tx.publish(vec![standing_event(&standing, generation, now)?], now).await?;
            Ok(true)
        })
        .await
    }
}

fn since(progress: &Progress, trouble: Trouble) -> Option<DateTime<Utc>> {
    match trouble {
        Trouble::Stalled => progress.stalled_since,
        Trouble::Unauthorized => progress.unauthorized_since,
        Trouble::RemovalsHeld => progress.removals_held_since,
    }
}

fn column(trouble: Trouble) -> progress::Column {
    match trouble {
        Trouble::Stalled => progress::Column::StalledSince,
        Trouble::Unauthorized => progress::Column::UnauthorizedSince,
        Trouble::RemovalsHeld => progress::Column::RemovalsHeldSince,
    }
}

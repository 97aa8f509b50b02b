//! Stores the progress of each listing, and a record of each round and sweep.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::progress;
use lumo_bridge_entity::run::{self, Outcome};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, Iterable, QueryFilter, QueryOrder, QuerySelect,
};

use crate::model::Listing;
use crate::store::{Error, Fence, ImportStart, Store, Tx};

/// The progress of a listing.
pub type Progress = progress::Model;

/// What a round changes of its listing's progress.
#[derive(Clone, Debug)]
pub struct Advance<'a> {
    /// The watermarks only grow, and the start of the first import is set once. Its `memory` is not written, nor the
    /// end of the first import, which [`Store::end_import`] stores.
    pub progress: &'a Progress,
    pub memory: Remembered,
}

/// What to do with the engine's memory. There is no way to erase it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    Keep,
    Replace(String),
}

/// The record of one round or sweep (`lumo_sync_runs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub listing: Listing,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub outcome: Outcome,
    pub requests: u64,
    pub rows: u64,
    pub appeared: u64,
    pub changed: u64,
    pub rejected: u64,
    pub error: Option<String>,
}

impl Store {
    /// Where a listing stands.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn progress(&self, listing: Listing) -> Result<Progress, Error> {
        let row = progress::Entity::find_by_id(listing.as_str()).one(self.read()).await?;
        Ok(row.unwrap_or_else(|| Progress::fresh(listing.as_str())))
    }

    /// The last passes over a listing, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn runs(&self, listing: Listing, limit: u64) -> Result<Vec<run::Model>, Error> {
        let query = run::Entity::find().filter(run::Column::Listing.eq(listing.as_str()));
        Ok(query.order_by_desc(run::Column::StartedAt).limit(limit).all(self.read()).await?)
    }

    /// Records a pass, and the listing's progress after it. Without an `advance`, another process leads, and only the
    /// record is written.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn finish_pass(
        &self,
        run: &Run,
        advance: Option<&Advance<'_>>,
        fence: Option<Fence>,
    ) -> Result<(), Error> {
        self.tx("sync.finish", |tx| async move {
            tx.hold(fence).await?;
            if let Some(advance) = advance {
                tx.advance(advance).await?;
            }
            tx.record_run(run).await
        })
        .await
    }

    /// Stores when the first import of a listing was completed, unless that is known: rows that appear from then on are
    /// news, also for a process that continues after this one has died.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn end_import(&self, listing: Listing, at: DateTime<Utc>, fence: Option<Fence>) -> Result<(), Error> {
        self.tx("sync.imported", |tx| async move {
            tx.hold(fence).await?;
            tx.own_progress(listing.as_str()).await?;
            progress::Entity::update_many()
                .set(progress::ActiveModel { import_done_at: Set(Some(at)), ..Default::default() })
                .filter(progress::Column::Listing.eq(listing.as_str()))
                .filter(progress::Column::ImportDoneAt.is_null())
                .exec(tx.session())
                .await?;
            Ok(())
        })
        .await
    }

    /// Forgets passes that ended before this time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_runs(&self, before: DateTime<Utc>) -> Result<(), Error> {
        self.tx("run.forget", |tx| async move {
            run::Entity::delete_many().filter(run::Column::FinishedAt.lt(before)).exec(tx.session()).await?;
            Ok(())
        })
        .await
    }
}

impl Tx {
    /// Stores the progress of a listing, except its problems: see [`Store::note_stalled`] and
    /// [`Store::note_unauthorized`].
    ///
    /// # Errors
    /// If the database fails.
    pub(in crate::store) async fn advance(&self, advance: &Advance<'_>) -> Result<(), Error> {
        let Advance { progress, memory } = advance;
        let known = self.own_progress(&progress.listing).await?;
        let memory = match memory {
            Remembered::Keep => NotSet,
            Remembered::Replace(memory) => Set(Some(memory.clone())),
        };
        progress::Entity::update_many()
            .set(progress::ActiveModel {
                first_run_at: Set(known.first_run_at.or(progress.first_run_at)),
                import_started_at: Set(known.import_started_at.or(progress.import_started_at)),
                page_limit: Set(progress.page_limit),
                last_total: Set(progress.last_total),
                complete_through: Set(known.complete_through.max(progress.complete_through)),
                last_run_at: Set(progress.last_run_at),
                last_error: Set(progress.last_error.clone()),
                proved_through: Set(known.proved_through.max(progress.proved_through)),
                gap: Set(progress.gap),
                memory,
                ..Default::default()
            })
            .filter(progress::Column::Listing.eq(progress.listing.as_str()))
            .exec(self.session())
            .await?;
        Ok(())
    }

    /// Stores when the first import of a listing began, and how many rows it has to read, unless that is known.
    pub(in crate::store) async fn begin_import(&self, start: ImportStart) -> Result<(), Error> {
        let ImportStart { at, total, .. } = start;
        let listing = start.listing.as_str();
        if self.own_progress(listing).await?.import_started_at.is_some() {
            return Ok(());
        }
        progress::Entity::update_many()
            .set(progress::ActiveModel {
                import_started_at: Set(Some(at)),
                last_total: Set(total),
                ..Default::default()
            })
            .filter(progress::Column::Listing.eq(listing))
            .exec(self.session())
            .await?;
        Ok(())
    }

    /// The progress of a listing, locked until the transaction ends. Creates the row if there is none.
    pub(in crate::store) async fn own_progress(&self, listing: &str) -> Result<Progress, Error> {
        let query = progress::Entity::find_by_id(listing).lock_exclusive();
        if let Some(row) = query.one(self.session()).await? {
            return Ok(row);
        }
        let row = Progress::fresh(listing);
        progress::Entity::insert(progress::ActiveModel::from(row.clone()))
            .exec_without_returning(self.session())
            .await?;
        Ok(row)
    }

    async fn record_run(&self, run: &Run) -> Result<(), Error> {
        let count = |number: u64| Set(i64::try_from(number).unwrap_or(i64::MAX));
        let row = run::ActiveModel {
            listing: Set(run.listing.as_str().to_owned()),
            started_at: Set(run.started_at),
            finished_at: Set(run.finished_at),
            outcome: Set(run.outcome),
            requests: count(run.requests),
            rows: count(run.rows),
            appeared: count(run.appeared),
            changed: count(run.changed),
            rejected: count(run.rejected),
            error: Set(run.error.clone()),
        };
        // Two passes may begin at the same microsecond if a clock was set back. The second one replaces the first.
        let columns =
            run::Column::iter().filter(|column| !matches!(column, run::Column::Listing | run::Column::StartedAt));
        let key = [run::Column::Listing, run::Column::StartedAt];
        let on_conflict = OnConflict::columns(key).update_columns(columns).to_owned();
        run::Entity::insert(row).on_conflict(on_conflict).exec_without_returning(self.session()).await?;
        Ok(())
    }
}

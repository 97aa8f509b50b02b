//! Stores the progress of a listing's sweep, and which rows it has read.
//!
//! Only the engine reads the state of a sweep; it is stored as given. The rows that the sweep has read are a bitmap
//! over the row numbers, in chunks. Only chunks that changed are written.

use chrono::{DateTime, SubsecRound, Utc};
use lumo_bridge_entity::{seen, sweep};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::model::Listing;
use crate::model::actor::Actor;
use crate::store::{Deed, Error, Fence, Store, Tx};

/// An unfinished sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepState {
    pub listing: Listing,
    /// Identifies the sweep.
    pub started_at: DateTime<Utc>,
    /// The last row number when it began.
    pub known_until: i64,
    /// The engine's state, as JSON.
    pub state: String,
}

/// A first import that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportStart {
    pub listing: Listing,
    /// By the upstream's clock.
    pub at: DateTime<Utc>,
    /// The `total` of its first page.
    pub total: Option<i64>,
}

/// What is stored in the transaction that stores a page: where to continue if the process dies.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    pub import_started: Option<ImportStart>,
    pub sweep: Option<SweepState>,
    /// Changed chunks of the bitmap of `sweep`. Not stored if there is no `sweep`.
    pub seen: Vec<(i32, Vec<u8>)>,
    /// The keys of items that could not be read before and can be read now.
    pub readable: Vec<(Listing, String)>,
    /// The operator's action that caused this, and who did it.
    pub deed: Option<(Actor, Deed)>,
}

impl Checkpoint {
    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.import_started.is_none() && self.sweep.is_none() && self.readable.is_empty() && self.deed.is_none()
    }
}

impl Store {
    /// The unfinished sweep of a listing, and the chunks of its bitmap, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep(&self, listing: Listing) -> Result<Option<(SweepState, Vec<(i32, Vec<u8>)>)>, Error> {
        // Locked: another process may begin a sweep between the two reads.
        self.tx("sweep.load", |tx| async move {
            let query = sweep::Entity::find_by_id(listing.as_str()).lock_exclusive();
            let Some(row) = query.one(tx.session()).await? else { return Ok(None) };
            let chunks = seen::Entity::find()
                .filter(seen::Column::Listing.eq(listing.as_str()))
                .order_by_asc(seen::Column::Chunk)
                .all(tx.session())
                .await?;
            let sweep::Model { started_at, known_until, state, .. } = row;
            let chunks = chunks.into_iter().map(|row| (row.chunk, row.bits)).collect();
            Ok(Some((SweepState { listing, started_at, known_until, state }, chunks)))
        })
        .await
    }

    /// Stores the progress of a sweep, and the chunks of its bitmap that changed. Deletes the chunks of a sweep that
    /// began at another time.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn save_sweep(
        &self,
        state: &SweepState,
        seen: &[(i32, Vec<u8>)],
        fence: Option<Fence>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.tx("sweep.save", |tx| async move {
            tx.hold(fence).await?;
            tx.save_sweep(state, seen, now).await
        })
        .await
    }

    /// Deletes the sweep of a listing, with its bitmap.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn end_sweep(&self, listing: Listing, fence: Option<Fence>) -> Result<(), Error> {
        self.tx("sweep.end", |tx| async move {
            tx.hold(fence).await?;
            sweep::Entity::delete_by_id(listing.as_str()).exec(tx.session()).await?;
            tx.forget_seen(listing).await
        })
        .await
    }
}

impl Tx {
    /// Stores a checkpoint.
    pub(in crate::store) async fn save_checkpoint(
        &self,
        checkpoint: &Checkpoint,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        if let Some(start) = checkpoint.import_started {
            self.begin_import(start).await?;
        }
        if let Some(sweep) = &checkpoint.sweep {
            self.save_sweep(sweep, &checkpoint.seen, now).await?;
        }
        if let Some((by, deed)) = &checkpoint.deed {
            self.record(by, vec![deed.clone()], now).await?;
        }
        self.release_rejects(&checkpoint.readable).await
    }

    async fn save_sweep(&self, state: &SweepState, seen: &[(i32, Vec<u8>)], now: DateTime<Utc>) -> Result<(), Error> {
        let listing = state.listing.as_str();
        // Truncated as the databases store it; otherwise the sweep would not recognise its own row.
        let started_at = state.started_at.trunc_subsecs(6);
        let before = sweep::Entity::find_by_id(listing).lock_exclusive().one(self.session()).await?;
        if before.is_none_or(|before| before.started_at != started_at) {
            self.forget_seen(state.listing).await?;
        }
        let row = sweep::ActiveModel {
            listing: Set(listing.to_owned()),
            started_at: Set(started_at),
            known_until: Set(state.known_until),
            state: Set(state.state.clone()),
            updated_at: Set(now),
        };
        let columns =
            [sweep::Column::StartedAt, sweep::Column::KnownUntil, sweep::Column::State, sweep::Column::UpdatedAt];
        let on_conflict = OnConflict::column(sweep::Column::Listing).update_columns(columns).to_owned();
        sweep::Entity::insert(row).on_conflict(on_conflict).exec_without_returning(self.session()).await?;
        // Chunks are few and large, so each is written by its own statement.
        for (chunk, bits) in seen {
            let row =
                seen::ActiveModel { listing: Set(listing.to_owned()), chunk: Set(*chunk), bits: Set(bits.clone()) };
            let key = [seen::Column::Listing, seen::Column::Chunk];
            let on_conflict = OnConflict::columns(key).update_column(seen::Column::Bits).to_owned();
            seen::Entity::insert(row).on_conflict(on_conflict).exec_without_returning(self.session()).await?;
        }
        Ok(())
    }

    async fn forget_seen(&self, listing: Listing) -> Result<(), Error> {
        seen::Entity::delete_many().filter(seen::Column::Listing.eq(listing.as_str())).exec(self.session()).await?;
        Ok(())
    }
}

//! Stores the block index of a listing, with which the sync engine searches for missing rows.

use lumo_bridge_entity::blocks;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::model::Listing;
use crate::store::{Error, Fence, Store, Tx};

/// A chunk of the index, with its number.
type Chunk = (i32, Vec<u8>);

impl Store {
    /// The chunks of a listing's index, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn blocks(&self, listing: Listing) -> Result<Vec<Chunk>, Error> {
        let query = blocks::Entity::find().filter(blocks::Column::Listing.eq(listing.as_str()));
        let rows = query.order_by_asc(blocks::Column::Chunk).all(self.read()).await?;
        Ok(rows.into_iter().map(|row| (row.chunk, row.blocks)).collect())
    }

    /// Replaces the index.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn replace_blocks(&self, listing: Listing, chunks: &[Chunk], fence: Option<Fence>) -> Result<(), Error> {
        self.tx("blocks.replace", |tx| async move {
            tx.hold(fence).await?;
            let all = blocks::Entity::delete_many().filter(blocks::Column::Listing.eq(listing.as_str()));
            all.exec(tx.session()).await?;
            tx.save_blocks(listing, chunks).await
        })
        .await
    }

    /// Stores the chunks of an index that have changed.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn update_blocks(&self, listing: Listing, chunks: &[Chunk], fence: Option<Fence>) -> Result<(), Error> {
        if chunks.is_empty() {
            return Ok(());
        }
        self.tx("blocks.update", |tx| async move {
            tx.hold(fence).await?;
            tx.save_blocks(listing, chunks).await
        })
        .await
    }
}

impl Tx {
    async fn save_blocks(&self, listing: Listing, chunks: &[Chunk]) -> Result<(), Error> {
        // Chunks are few and large, so each is written by its own statement.
        for (chunk, bytes) in chunks {
            let row = blocks::ActiveModel {
                listing: Set(listing.as_str().to_owned()),
                chunk: Set(*chunk),
                blocks: Set(bytes.clone()),
            };
            let key = [blocks::Column::Listing, blocks::Column::Chunk];
            let on_conflict = OnConflict::columns(key).update_column(blocks::Column::Blocks).to_owned();
            blocks::Entity::insert(row).on_conflict(on_conflict).exec_without_returning(self.session()).await?;
        }
        Ok(())
    }
}

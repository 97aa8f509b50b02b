//! Stores a listing's progress without recording a round.

use crate::store::{Advance, Error, Fence, Store};

impl Store {
    /// Stores the progress of a listing, without a pass.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn remember(&self, advance: &Advance<'_>, fence: Option<Fence>) -> Result<(), Error> {
        self.tx("sync.remember", |tx| async move {
            tx.hold(fence).await?;
            tx.advance(advance).await
        })
        .await
    }
}

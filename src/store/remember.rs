//! What the engine learns outside of a round.

use super::{Error, Fence, Progress, Store};

impl Store {
    /// Stores where a listing stands, without a pass.
    ///
    /// # Errors
    /// If the database fails, or somebody else leads now.
    pub async fn remember(&self, progress: &Progress, fence: Option<Fence>) -> Result<(), Error> {
        self.tx("sync.remember", |tx| async move {
            tx.hold(fence).await?;
            tx.save_progress(progress).await
        })
        .await
    }
}

//! Marks rows that the upstream no longer lists as missing; they stay stored.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::stream;

use crate::model::diff::Change;
use crate::model::facts::{Announce, Context};
use crate::model::settled::Settled;
use crate::store::{Error, Fence, Publishes, Store};

impl Store {
    /// Marks these rows as missing, with an event for each. Returns how many. Rows that are missing already, or have
    /// changed after `read_at`, when the upstream was last asked for them, are left as they are.
    ///
    /// # Errors
    /// If the database fails, or another process leads now; nothing is stored then.
    pub async fn vanish<R: Publishes>(
        &self,
        ids: Vec<R::Id>,
        read_at: DateTime<Utc>,
        fence: Option<Fence>,
        now: DateTime<Utc>,
    ) -> Result<u64, Error> {
        if ids.is_empty() {
            return Ok(0);
        }
        let generation = self.generation().await?;
        let context = Context { generation, announce: Announce::News, balances: false, settled: Settled(&[]), now };
        let (ids, context) = (&ids, &context);
        self.tx("sync.vanish", |tx| async move {
            tx.hold(fence).await?;
            tx.lock_counter(stream::ALL).await?;
            let stored = tx.stored::<R>(ids.clone()).await?;
            let mut gone: Vec<_> =
                stored.into_values().filter(|row| row.missing_since.is_none() && row.changed_at <= read_at).collect();
            gone.sort_by_key(|row| row.row_no);
            let changes: Vec<_> = gone.into_iter().map(Change::Vanished).collect();
            tx.apply(&changes, None, now).await?;
            let drafts = R::events(&tx, &changes, context).await?;
            tx.publish(drafts, now).await?;
            Ok(u64::try_from(changes.len()).unwrap_or(u64::MAX))
        })
        .await
    }
}

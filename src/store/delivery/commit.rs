//! Writes a leader's group commit in one transaction: the results of many deliveries, and the new position.
//!
//! It builds on the revision that the leader knows. If a command has changed something since, the transaction reads
//! under the lock what that was: rows that the command wrote are never overwritten, and all other results still count.

mod item;
mod note;
mod write;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::State;
use lumo_bridge_entity::position;
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::Delivery;
use crate::model::id::EndpointName;
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};
pub use item::{Amend, Attempted, Fate, Item, KnownRow};
pub use note::{EndpointNote, StateTransition};

/// Rows in one statement.
pub(super) const BATCH: usize = 500;

/// The results that a leader writes in one transaction.
#[derive(Clone, Debug)]
pub struct GroupCommit {
    pub endpoint: EndpointName,
    pub epoch: i64,
    /// The revision that it builds on.
    pub revision: i64,
    pub commits: i64,
    /// The endpoint's new position.
    pub position: i64,
    /// At most one item per event.
    pub items: Vec<Item>,
    pub note: Option<EndpointNote>,
    /// Whether the endpoint acknowledges by rows in `lumo_acks`.
    pub asks_acks: bool,
}

/// How a group commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    Committed(Committed),
    /// Another process leads the endpoint; nothing was written.
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub revision: i64,
    pub commits: i64,
    /// Whether a command changed something since the leader's last read.
    pub is_stale: bool,
    /// Items that were left out, because a command had changed them.
    pub dropped: Vec<i64>,
    /// Items that turned out to be acknowledged.
    pub acknowledged: Vec<i64>,
    /// Whether rows may have become due.
    pub freed: bool,
}

impl Store {
    /// Writes a group commit.
    ///
    /// # Errors
    /// If the database fails. Nothing is written then, unless the result of the commit is unknown:
    /// [`Store::confirmed_position`] finds out.
    pub async fn commit_group(&self, commit: &GroupCommit, now: DateTime<Utc>) -> Result<Written, Error> {
        let generation = self.generation().await?;
        self.tx("delivery.commit", |tx| async move { tx.delivery().commit(commit, generation, now).await }).await
    }
}

impl GroupCommit {
    /// Whether the commit appends to the log.
    fn publishes(&self) -> bool {
        let is_dead = |item: &Item| item.fate == Fate::Dead;
        self.items.iter().any(is_dead) || self.note.as_ref().is_some_and(|note| note.transition.is_some())
    }
}

impl Delivery<'_> {
    pub(super) async fn commit(
        &self,
        commit: &GroupCommit,
        generation: &str,
        now: DateTime<Utc>,
    ) -> Result<Written, Error> {
        if commit.publishes() {
            self.tx.log().lock().await?;
        }
        let Some(mut committed) = self.pass(commit).await? else { return Ok(Written::Lost) };
        if committed.is_stale {
            committed.dropped = self.overruled(commit).await?;
        }
        let dropped: HashSet<i64> = committed.dropped.iter().copied().collect();
        let mut items: Vec<Item> = commit.items.iter().filter(|item| !dropped.contains(&item.seq)).cloned().collect();
        if commit.asks_acks {
            committed.acknowledged = self.acknowledge(&commit.endpoint, &mut items).await?;
        }
        committed.freed = self.write_items(commit, &items, now).await?;
        for item in items.iter().filter(|item| item.fate == Fate::Dead) {
            self.publish_death(&commit.endpoint, item, generation, now).await?;
        }
        if let Some(note) = &commit.note {
            committed.freed |= self.write_note(&commit.endpoint, note, generation, now).await?;
        }
        Ok(Written::Committed(committed))
    }

    /// Writes the new position at the turnstile; none if another process leads.
    async fn pass(&self, commit: &GroupCommit) -> Result<Option<Committed>, Error> {
        let fresh = Committed {
            revision: commit.revision + 1,
            commits: commit.commits + 1,
            is_stale: false,
            dropped: Vec::new(),
            acknowledged: Vec::new(),
            freed: false,
        };
        let update = position::Entity::update_many()
            .col_expr(position::Column::Position, Expr::value(commit.position))
            .col_expr(position::Column::Commits, Expr::value(fresh.commits))
            .filter(position::Column::Endpoint.eq(commit.endpoint.clone()))
            .filter(position::Column::Epoch.eq(commit.epoch));
        // If no command is unfinished, the leader has now seen everything.
        let seen = CaseStatement::new()
            .case(Expr::col(position::Column::Seen).eq(commit.revision), Expr::value(fresh.revision))
            .finally(Expr::col(position::Column::Seen));
        let passed = update
            .clone()
            .col_expr(position::Column::Revision, Expr::value(fresh.revision))
            .col_expr(position::Column::Seen, seen.into())
            .filter(position::Column::Revision.eq(commit.revision))
            .exec(self.tx.session())
            .await?;
        if passed.rows_affected > 0 {
            return Ok(Some(fresh));
        }
        let row = self.lock(&commit.endpoint).await?;
        let Some(row) = row.filter(|row| row.epoch == commit.epoch) else { return Ok(None) };
        let stale = Committed { revision: row.revision + 1, is_stale: true, ..fresh };
        update.col_expr(position::Column::Revision, Expr::value(stale.revision)).exec(self.tx.session()).await?;
        Ok(Some(stale))
    }

    /// The items that a command has changed since the leader's last read: their rows were touched, added or removed, or
    /// a range gives them up.
    async fn overruled(&self, commit: &GroupCommit) -> Result<Vec<i64>, Error> {
        let seqs: Vec<i64> = commit.items.iter().map(|item| item.seq).collect();
        let mut rows: HashMap<i64, (i64, State)> = HashMap::new();
        let mut wanted: HashSet<i64> = HashSet::new();
        for chunk in seqs.chunks(BATCH) {
            let text = "SELECT seq, touched, state FROM lumo_exceptions WHERE endpoint = ? AND ";
            let sql = Sql::new(self.tx.backend(), text, [commit.endpoint.clone().into()]).and_numbers("seq", chunk);
            for row in self.tx.session().query_all_raw(sql.statement()).await? {
                rows.insert(row.try_get("", "seq")?, (row.try_get("", "touched")?, row.try_get("", "state")?));
            }
            wanted.extend(self.tx.log().wanted_among(&commit.endpoint, chunk).await?);
        }
        let is_overruled = |item: &&Item| match (item.row, rows.get(&item.seq)) {
            (Some(known), Some((touched, state))) => known.touched != *touched || state.is_final(),
            (Some(_), None) | (None, Some(_)) => true,
            (None, None) => !wanted.contains(&item.seq),
        };
        Ok(commit.items.iter().filter(is_overruled).map(|item| item.seq).collect())
    }
}

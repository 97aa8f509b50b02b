//! Lists the statuses of deposits, and counts how often one followed another.
//!
//! They show a merchant which statuses mean that the money arrived.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{deposit, deposit_status};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};

use crate::model::diff::Change;
use crate::model::record::Deposit;
use crate::store::{Error, Store, Tx};

/// The longest status, in characters; a longer one is counted under its beginning.
const LONGEST: usize = 200;
/// The most statuses that are listed.
const MAX_STATUSES: u64 = 100;

/// A status, and how many deposits have it.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct StatusCount {
    pub status: String,
    pub deposits: i64,
}

/// How often one status followed another.
pub type Transition = deposit_status::Model;

impl Store {
    /// The statuses that deposits have, the most frequent first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn deposit_statuses(&self) -> Result<Vec<StatusCount>, Error> {
        let query = deposit::Entity::find()
            .select_only()
            .column(deposit::Column::Status)
            .column_as(deposit::Column::Id.count(), "deposits")
            .filter(deposit::Column::FormerCompanyId.is_null())
            .group_by(deposit::Column::Status)
            .order_by_desc(deposit::Column::Id.count())
            .order_by_asc(deposit::Column::Status)
            .limit(MAX_STATUSES);
        Ok(query.into_model::<StatusCount>().all(self.read()).await?)
    }

    /// Which status followed which, since the bridge runs, the most frequent first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn deposit_transitions(&self) -> Result<Vec<Transition>, Error> {
        let query = deposit_status::Entity::find()
            .order_by_desc(deposit_status::Column::Times)
            .order_by_asc(deposit_status::Column::FromStatus)
            .order_by_asc(deposit_status::Column::ToStatus)
            .limit(MAX_STATUSES);
        Ok(query.all(self.read()).await?)
    }

    /// How many deposits have one of these statuses and are not recorded as settled: they had it before it was
    /// configured.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn settled_before(&self, statuses: &[String]) -> Result<i64, Error> {
        let counts = deposit::Entity::find()
            .select_only()
            .column_as(deposit::Column::Id.count(), "deposits")
            .filter(deposit::Column::Status.is_in(statuses))
            .filter(deposit::Column::SettledAt.is_null())
            .filter(deposit::Column::FormerCompanyId.is_null());
        Ok(counts.into_tuple::<i64>().one(self.read()).await?.unwrap_or(0))
    }
}

impl Tx {
    /// Counts changes of status. The log is locked, so no other transaction counts meanwhile.
    pub(in crate::store) async fn count_statuses(
        &self,
        changes: &[Change<Deposit>],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let name = |status: &str| status.chars().take(LONGEST).collect::<String>();
        let mut counts: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
        for change in changes {
            let Change::Changed { old, new } = change else { continue };
            if old.record.status == new.status {
                continue;
            }
            let since = old.record.status_since.unwrap_or(old.first_seen_at);
            let count = counts.entry((name(&old.record.status), name(&new.status))).or_default();
            count.0 += 1;
            count.1 += Ord::max((now - since).num_seconds(), 0);
        }
        for ((from, to), (times, seconds)) in counts {
            let known = deposit_status::Entity::find_by_id((from.clone(), to.clone()));
            if known.one(self.session()).await?.is_none() {
                let row = deposit_status::ActiveModel {
                    from_status: Set(from),
                    to_status: Set(to),
                    times: Set(times),
                    seconds: Set(seconds),
                    last_at: Set(now),
                };
                deposit_status::Entity::insert(row).exec_without_returning(self.session()).await?;
                continue;
            }
            deposit_status::Entity::update_many()
                .col_expr(deposit_status::Column::Times, Expr::col(deposit_status::Column::Times).add(times))
                .col_expr(deposit_status::Column::Seconds, Expr::col(deposit_status::Column::Seconds).add(seconds))
                .col_expr(deposit_status::Column::LastAt, Expr::value(now))
                .filter(deposit_status::Column::FromStatus.eq(from))
                .filter(deposit_status::Column::ToStatus.eq(to))
                .exec(self.session())
                .await?;
        }
        Ok(())
    }
}

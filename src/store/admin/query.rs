//! Reads lists, single rows and counts of wallets, deposits and events.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{deposit, event, stream, wallet};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};

pub use super::counts::Count;
pub use super::deliveries::{Addressee, DeliveryFilter, DeliveryRow};
use crate::model::Listing;
use crate::model::delivery::State;
use crate::model::id::{DepositId, EndpointName, EventId, ExternalId, WalletId};
use crate::store::db::statement::padded;
use crate::store::{Error, Store};

/// Which wallets to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct WalletFilter {
    pub external_id: Option<ExternalId>,
    pub address: Option<String>,
    pub blocked: Option<bool>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// Only those after this one in the list.
    pub after: Option<(DateTime<Utc>, WalletId)>,
    pub limit: u64,
}

/// Which deposits to list: newest first, then those without a time of creation.
#[derive(Clone, Debug, Default)]
pub struct DepositFilter {
    pub external_id: Option<ExternalId>,
    /// Paid to this address.
    pub address: Option<String>,
    /// Of this transaction; case is ignored.
    pub tx_hash: Option<String>,
    pub status: Option<String>,
    /// Only those that are settled, or have one of these statuses, which count as settled.
    pub settled: Option<Vec<String>>,
    /// Only those made at this time or later. For deposits without a time of creation, the time when they were first
    /// seen counts.
    pub since: Option<DateTime<Utc>>,
    /// Only those made before this time, by the same rule.
    pub until: Option<DateTime<Utc>>,
    /// Only those after this one in the list.
    pub after: Option<(Option<DateTime<Utc>>, DepositId)>,
    pub limit: u64,
}

/// Which events to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    pub external_id: Option<ExternalId>,
    pub kind: Option<String>,
    /// Only about this wallet, deposit or endpoint.
    pub object_id: Option<String>,
    /// Only those that have a delivery to this endpoint.
    pub endpoint: Option<EndpointName>,
    /// Only those that have a delivery in this state.
    pub state: Option<State>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// Only those with a smaller `seq`.
    pub before: Option<i64>,
    pub limit: u64,
}

impl Store {
    /// # Errors
    /// If the database fails.
    pub async fn list_wallets(&self, filter: &WalletFilter) -> Result<Vec<wallet::Model>, Error> {
        let query = wallet::Entity::find()
            .apply_if(filter.external_id.clone(), |query, id| query.filter(wallet::Column::ExternalId.eq(id)))
            .apply_if(filter.address.as_deref(), |query, address| {
                query.filter(indexed(wallet::Column::Address, [address.to_owned()]))
            })
            .apply_if(filter.blocked, |query, blocked| query.filter(wallet::Column::IsBlocked.eq(blocked)))
            .apply_if(filter.since, |query, since| query.filter(wallet::Column::CreatedAt.gte(since)))
            .apply_if(filter.until, |query, until| query.filter(wallet::Column::CreatedAt.lt(until)))
            .apply_if(filter.after.clone(), |query, (at, id)| {
                query.filter(row_after(wallet::Column::CreatedAt, at, wallet::Column::Id.lt(id)))
            })
            .order_by_desc(wallet::Column::CreatedAt)
            .order_by_desc(wallet::Column::Id)
            .limit(filter.limit);
        Ok(query.all(self.read()).await?)
    }

    /// # Errors
    /// If the database fails.
    pub async fn wallet(&self, id: &WalletId) -> Result<Option<wallet::Model>, Error> {
        Ok(wallet::Entity::find_by_id(id.clone()).one(self.read()).await?)
    }

    /// # Errors
    /// If the database fails.
    pub async fn list_deposits(&self, filter: &DepositFilter) -> Result<Vec<deposit::Model>, Error> {
        let (at, after) = filter.after.clone().unzip();
        let mut rows = Vec::new();
        if at != Some(None) {
            // Two queries, so that each reads an index from where the page begins.
            let query = deposits(filter)
                .filter(deposit::Column::CreatedAt.is_not_null())
                .apply_if(filter.since, |query, since| query.filter(deposit::Column::CreatedAt.gte(since)))
                .apply_if(filter.until, |query, until| query.filter(deposit::Column::CreatedAt.lt(until)))
                .apply_if(at.flatten().zip(after.clone()), |query, (at, id)| {
                    query.filter(row_after(deposit::Column::CreatedAt, at, deposit::Column::Id.lt(id)))
                })
                .order_by_desc(deposit::Column::CreatedAt);
            rows = query.order_by_desc(deposit::Column::Id).limit(filter.limit).all(self.read()).await?;
        }
        let found = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        if found < filter.limit {
            let query = deposits(filter)
                .filter(deposit::Column::CreatedAt.is_null())
                .apply_if(filter.since, |query, since| query.filter(deposit::Column::FirstSeenAt.gte(since)))
                .apply_if(filter.until, |query, until| query.filter(deposit::Column::FirstSeenAt.lt(until)))
                .apply_if(after.filter(|_| at == Some(None)), |query, id| query.filter(deposit::Column::Id.lt(id)));
            let rest = query.order_by_desc(deposit::Column::Id).limit(filter.limit - found).all(self.read()).await?;
            rows.extend(rest);
        }
        Ok(rows)
    }

    /// # Errors
    /// If the database fails.
    pub async fn deposit(&self, id: &DepositId) -> Result<Option<deposit::Model>, Error> {
        Ok(deposit::Entity::find_by_id(id.clone()).one(self.read()).await?)
    }

    /// # Errors
    /// If the database fails.
    pub async fn list_events(&self, filter: &EventFilter) -> Result<Vec<event::Model>, Error> {
        if filter.endpoint.is_some() || filter.state.is_some() {
            return self.list_events_by_delivery(filter).await;
        }
        // Times have no index, numbers have one.
        let oldest = match filter.since {
            Some(since) => Some(self.seq_about(since).await?),
            None => None,
        };
        let newest = match filter.until {
            Some(until) => Some(self.last_seq_about(until).await?),
            None => None,
        };
        let query = event::Entity::find()
            .apply_if(filter.external_id.clone(), |query, id| query.filter(event::Column::ExternalId.eq(id)))
            .apply_if(filter.kind.clone(), |query, kind| query.filter(event::Column::Kind.eq(kind)))
            .apply_if(filter.object_id.clone(), |query, id| query.filter(event::Column::ObjectId.eq(id)))
            .apply_if(filter.since, |query, since| query.filter(event::Column::DetectedAt.gte(since)))
            .apply_if(filter.until, |query, until| query.filter(event::Column::DetectedAt.lt(until)))
            .apply_if(oldest, |query, oldest| query.filter(event::Column::Seq.gte(oldest)))
            .apply_if(newest, |query, newest| query.filter(event::Column::Seq.lte(newest)))
            .apply_if(filter.before, |query, seq| query.filter(event::Column::Seq.lt(seq)))
            .order_by_desc(event::Column::Seq)
            .limit(filter.limit);
        Ok(query.all(self.read()).await?)
    }

    /// The deliveries are found first, as those that wait or have failed are few beside the events.
    async fn list_events_by_delivery(&self, filter: &EventFilter) -> Result<Vec<event::Model>, Error> {
        let filter = filter.clone();
        let deliveries = DeliveryFilter {
            state: filter.state,
            endpoint: filter.endpoint,
            kind: filter.kind,
            external_id: filter.external_id,
            object_id: filter.object_id,
            since: filter.since,
            until: filter.until,
            limit: filter.limit,
            ..DeliveryFilter::default()
        };
        let mut events = self.events_numbered(self.seqs_of_deliveries(&deliveries, filter.before).await?).await?;
        events.sort_by_key(|event| Reverse(event.seq));
        Ok(events)
    }

    /// # Errors
    /// If the database fails.
    pub async fn event(&self, id: &EventId) -> Result<Option<event::Model>, Error> {
        Ok(event::Entity::find_by_id(id.clone()).one(self.read()).await?)
    }

    /// The events with these numbers, in no order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn events_numbered(&self, seqs: Vec<i64>) -> Result<Vec<event::Model>, Error> {
        let seqs: BTreeSet<i64> = seqs.into_iter().collect();
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let query = event::Entity::find().filter(event::Column::Seq.is_in(padded(seqs)));
        Ok(query.all(self.read()).await?)
    }

    /// The events after this number, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn events_after(&self, seq: i64, limit: u64) -> Result<Vec<event::Model>, Error> {
        let query = event::Entity::find().filter(event::Column::Seq.gt(seq)).order_by_asc(event::Column::Seq);
        Ok(query.limit(limit).all(self.read()).await?)
    }

    /// The number of the last event.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn last_seq(&self) -> Result<i64, Error> {
        self.last_number(stream::ALL).await
    }

    /// The number of the last event that was noticed before a time; 0 if there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn last_seq_before(&self, time: DateTime<Utc>) -> Result<i64, Error> {
        Ok(self.first_event_since(time, 1).await? - 1)
    }

    /// How many rows a listing has; for the blocked list, how many wallets are blocked. Rows of a former company do not
    /// count. Rows that were removed by hand count for up to a minute more.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rows(&self, listing: Listing) -> Result<u64, Error> {
        match listing {
            Listing::Wallets => {
                let last = self.last_number(stream::WALLETS).await?;
                self.inner.wallet_rows.get(last, self.wallet_rows()).await
            }
            Listing::Blocked => self.blocked_rows().await,
            Listing::Deposits => {
                let last = self.last_number(stream::DEPOSITS).await?;
                self.inner.deposit_rows.get(last, self.deposit_rows()).await
            }
        }
    }

    async fn wallet_rows(&self) -> Result<u64, Error> {
        let all = wallet::Entity::find().count(self.read()).await?;
        Ok(all.saturating_sub(former_wallets().count(self.read()).await?))
    }

    async fn blocked_rows(&self) -> Result<u64, Error> {
        let is_blocked = || wallet::Column::IsBlocked.eq(true);
        let all = wallet::Entity::find().filter(is_blocked()).count(self.read()).await?;
        // The index of the blocked wallets does not say whose they are, so they are read only if some are another company's.
        if former_wallets().count(self.read()).await? == 0 {
            return Ok(all);
        }
        Ok(all.saturating_sub(former_wallets().filter(is_blocked()).count(self.read()).await?))
    }

    async fn deposit_rows(&self) -> Result<u64, Error> {
        let former =
            deposit::Entity::find().filter(deposit::Column::FormerCompanyId.is_not_null()).count(self.read()).await?;
        Ok(deposit::Entity::find().count(self.read()).await?.saturating_sub(former))
    }
}

/// The wallets of a former company: usually there are none, so rows are counted as a difference.
fn former_wallets() -> Select<wallet::Entity> {
    wallet::Entity::find().filter(wallet::Column::FormerCompanyId.is_not_null())
}

/// The condition for the rows after this one in a list that is sorted by this time, newest first, and then by id.
fn row_after(column: impl ColumnTrait, at: DateTime<Utc>, smaller_id: Expr) -> Expr {
    // The first condition is implied by the second, but lets the database use an index.
    Expr::col(column).lte(Expr::val(at)).and(Expr::col(column).lt(Expr::val(at)).or(smaller_id))
}

fn deposits(filter: &DepositFilter) -> Select<deposit::Entity> {
    deposit::Entity::find()
        .apply_if(filter.external_id.clone(), |query, id| query.filter(deposit::Column::ExternalId.eq(id)))
        .apply_if(filter.address.as_deref(), |query, address| {
            query.filter(indexed(deposit::Column::Address, [address.to_owned()]))
        })
        .apply_if(filter.tx_hash.as_deref(), |query, hash| {
            query.filter(indexed(deposit::Column::TxHash, [hash.to_owned(), hash.to_lowercase(), hash.to_uppercase()]))
        })
        .apply_if(filter.status.clone(), |query, status| query.filter(deposit::Column::Status.eq(status)))
        .apply_if(filter.settled.as_deref(), |query, statuses| {
            let has_status = deposit::Column::Status.is_in(statuses);
            query.filter(Condition::any().add(deposit::Column::SettledAt.is_not_null()).add(has_status))
        })
}

/// The longest text, in bytes, in the indexes on addresses and transactions.
const INDEXED: usize = 200;

/// The condition that a text is one of these, written so that its index can be used. The index leaves out texts that
/// are too long for a key.
fn indexed(column: impl ColumnTrait, texts: impl IntoIterator<Item = String>) -> Expr {
    let texts: Vec<String> = texts.into_iter().collect();
    // In bytes, as MySQL's `length` counts.
    let is_short = texts.iter().all(|text| text.len() <= INDEXED);
    let equal = column.is_in(texts);
    let short = || Expr::cust(format!("length({}) <= {INDEXED}", column.as_str()));
    if is_short { equal.and(short()) } else { equal }
}

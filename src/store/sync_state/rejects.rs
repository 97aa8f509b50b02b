//! Stores items that could not be read in `lumo_rejects`, each with its problem, so that the sync can go on.
//!
//! A kept item counts as listed until it can be read, or until a full scan proves that it is no longer listed. Its
//! event is published in the transaction that keeps it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{reject, stream};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::model::Listing;
use crate::model::facts::rejected_event;
use crate::model::record::Reject;
use crate::store::mirror::{among, at_once, insert_rows};
use crate::store::{Error, Fence, Store, Tx};

/// The most kept items of one listing; more are refused.
pub const MAX_REJECTS: u64 = 10_000;

/// An item that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownReject {
    pub fingerprint: i64,
    pub last_seen_at: DateTime<Utc>,
}

/// The kept items, by listing and key.
pub type KnownRejects = HashMap<(Listing, String), KnownReject>;

/// The result of keeping items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptRejects {
    /// The keys of items that are new, or have changed.
    pub news: Vec<String>,
    /// How many were refused for lack of room.
    pub refused: u64,
}

/// Which kept items to list, by listing and id.
#[derive(Clone, Debug, Default)]
pub struct RejectFilter {
    pub listing: Option<Listing>,
    /// Only those after this one in the list.
    pub after: Option<(Listing, String)>,
    pub limit: u64,
}

impl Store {
    /// The kept items of all listings.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn known_rejects(&self) -> Result<KnownRejects, Error> {
        let rows: Vec<(String, String, i64, DateTime<Utc>)> = reject::Entity::find()
            .select_only()
            .columns([reject::Column::Listing, reject::Column::Item])
            .columns([reject::Column::Fingerprint, reject::Column::LastSeenAt])
            .into_tuple()
            .all(self.read())
            .await?;
        let known = |(listing, item, fingerprint, last_seen_at): (String, String, i64, DateTime<Utc>)| {
            Some(((listing.parse().ok()?, item), KnownReject { fingerprint, last_seen_at }))
        };
        Ok(rows.into_iter().filter_map(known).collect())
    }

    /// Keeps as many items as there is room for, with an event for each that is new or has changed.
    ///
    /// # Errors
    /// If the database fails, or another process leads now; nothing is stored then.
    pub async fn keep_rejects(
        &self,
        listing: Listing,
        rejects: &[Reject],
        fence: Option<Fence>,
        now: DateTime<Utc>,
    ) -> Result<KeptRejects, Error> {
        let generation = self.generation().await?;
        self.tx("sync.reject", |tx| async move {
            tx.hold(fence).await?;
            tx.lock_counter(stream::ALL).await?;
            tx.keep_rejects(listing, rejects, generation, now).await
        })
        .await
    }

    /// Deletes the items that were last seen before this time. Returns how many.
    ///
    /// # Errors
    /// If the database fails, or another process leads now.
    pub async fn forget_rejects(
        &self,
        listing: Listing,
        before: DateTime<Utc>,
        fence: Option<Fence>,
    ) -> Result<u64, Error> {
        self.tx("sync.forget_rejects", |tx| async move {
            tx.hold(fence).await?;
            let gone = reject::Entity::delete_many()
                .filter(reject::Column::Listing.eq(listing.as_str()))
                .filter(reject::Column::LastSeenAt.lt(before));
            Ok(gone.exec(tx.session()).await?.rows_affected)
        })
        .await
    }

    /// The kept items, by listing and id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_rejects(&self, filter: &RejectFilter) -> Result<Vec<reject::Model>, Error> {
        let mut query = reject::Entity::find();
        if let Some(listing) = filter.listing {
            query = query.filter(reject::Column::Listing.eq(listing.as_str()));
        }
        if let Some((listing, item)) = &filter.after {
            let same = Condition::all()
                .add(reject::Column::Listing.eq(listing.as_str()))
                .add(reject::Column::Item.gt(item.as_str()));
            query = query.filter(Condition::any().add(reject::Column::Listing.gt(listing.as_str())).add(same));
        }
        let query = query.order_by_asc(reject::Column::Listing).order_by_asc(reject::Column::Item);
        Ok(query.limit(filter.limit).all(self.read()).await?)
    }

    /// How many items of a listing are kept.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rejects(&self, listing: Listing) -> Result<u64, Error> {
        let query = reject::Entity::find().filter(reject::Column::Listing.eq(listing.as_str()));
        Ok(query.count(self.read()).await?)
    }
}

impl Tx {
    async fn keep_rejects(
        &self,
        listing: Listing,
        rejects: &[Reject],
        generation: &str,
        now: DateTime<Utc>,
    ) -> Result<KeptRejects, Error> {
        let of_listing = reject::Column::Listing.eq(listing.as_str());
        // Of two items with one key, the last counts.
        let rejects: HashMap<&str, &Reject> = rejects.iter().map(|reject| (reject.key.as_str(), reject)).collect();
        let keys: Vec<&str> = rejects.keys().copied().collect();
        let mut known: HashMap<String, i64> = HashMap::new();
        for chunk in keys.chunks(at_once(self.backend())) {
            let rows: Vec<(String, i64)> = reject::Entity::find()
                .select_only()
                .columns([reject::Column::Item, reject::Column::Fingerprint])
                .filter(of_listing.clone())
                .filter(among(self.backend(), reject::Column::Item, chunk.iter().copied()))
                .into_tuple()
                .all(self.session())
                .await?;
            known.extend(rows);
        }
        let kept = reject::Entity::find().filter(of_listing.clone()).count(self.session()).await?;
        let mut room = MAX_REJECTS.saturating_sub(kept);
        let (mut result, mut drafts, mut rows) = (KeptRejects::default(), Vec::new(), Vec::new());
        for reject in rejects.values() {
            let stored = known.get(&reject.key);
            if stored == Some(&reject.fingerprint) {
                continue;
            }
            if stored.is_some() {
                reject::Entity::update_many()
                    .col_expr(reject::Column::Id, Expr::value(reject.id.clone()))
                    .col_expr(reject::Column::Raw, Expr::value(reject.raw.clone()))
                    .col_expr(reject::Column::Reason, Expr::value(reject.reason()))
                    .col_expr(reject::Column::Fingerprint, Expr::value(reject.fingerprint))
                    .filter(of_listing.clone())
                    .filter(reject::Column::Item.eq(reject.key.as_str()))
                    .exec(self.session())
                    .await?;
            } else if room == 0 {
                result.refused += 1;
                continue;
            } else {
                room -= 1;
                rows.push(reject::ActiveModel {
                    listing: Set(listing.as_str().to_owned()),
                    item: Set(reject.key.clone()),
                    id: Set(reject.id.clone()),
                    raw: Set(reject.raw.clone()),
                    reason: Set(reject.reason().to_string()),
                    fingerprint: Set(reject.fingerprint),
                    first_seen_at: Set(now),
                    last_seen_at: Set(now),
                });
            }
            drafts.push(rejected_event(listing, reject, generation, now)?);
            result.news.push(reject.key.clone());
        }
        if !rows.is_empty() {
            insert_rows(self.session(), rows).await?;
        }
        for chunk in keys.chunks(at_once(self.backend())) {
            reject::Entity::update_many()
                .col_expr(reject::Column::LastSeenAt, Expr::value(now))
                .filter(of_listing.clone())
                .filter(among(self.backend(), reject::Column::Item, chunk.iter().copied()))
                .exec(self.session())
                .await?;
        }
        drafts.sort_by(|a, b| a.object_id.cmp(&b.object_id));
        result.news.sort();
        self.publish(drafts, now).await?;
        Ok(result)
    }

    /// Deletes the items that can be read now.
    pub(in crate::store) async fn release_rejects(&self, readable: &[(Listing, String)]) -> Result<(), Error> {
        for (listing, item) in readable {
            reject::Entity::delete_by_id((listing.as_str().to_owned(), item.clone())).exec(self.session()).await?;
        }
        Ok(())
    }
}

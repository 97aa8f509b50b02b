//! `lumo_sync_state`: where each listing stands.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_sync_state")]
pub struct Model {
    /// `wallets`, `blocked` or `deposits`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub listing: String,
    /// When the first import began, by the upstream's clock: what was created before it is history.
    pub import_started_at: Option<DateTimeUtc>,
    /// When the listing was first asked for, with or without success.
    pub first_run_at: Option<DateTimeUtc>,
    /// When a pass first read the listing to its end; null until then.
    pub import_done_at: Option<DateTimeUtc>,
    /// The largest `limit` that the server was seen to honour; null until it refused or clamped one.
    pub page_limit: Option<i32>,
    /// `total` as last told.
    pub last_total: Option<i64>,
    /// Everything visible upstream before it is in the tables, as far as the listing's order and `total` can be relied on.
    pub complete_through: Option<DateTimeUtc>,
    /// When the last pass ended, complete or not.
    pub last_run_at: Option<DateTimeUtc>,
    /// Why the last pass was not complete; null if it was.
    pub last_error: Option<String>,
    /// Everything visible upstream before it is in the tables, proved by reading the listing from end to end: the start of
    /// the last pass that did.
    pub proved_through: Option<DateTimeUtc>,
    /// How many more rows the upstream counts than are known and listed; negative while known rows are gone upstream.
    pub gap: Option<i64>,
    /// Since when the listing has not been kept up to date; null while it is.
    pub stalled_since: Option<DateTimeUtc>,
    /// Since when the key is refused; null while it is not.
    pub unauthorized_since: Option<DateTimeUtc>,
    /// How many rows left the list and are held back from being called missing; null while none is.
    pub removals_held: Option<i64>,
    /// Since when.
    pub removals_held_since: Option<DateTimeUtc>,
    /// Why, in a sentence.
    pub removals_held_why: Option<String>,
    /// When the operator last said that whatever left the list is gone.
    pub removals_accepted_at: Option<DateTimeUtc>,
    /// What the sync engine remembers of the listing, as JSON of its own.
    pub memory: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// A listing that was never asked for.
    #[must_use]
    pub fn fresh(listing: &str) -> Self {
        Self {
            listing: listing.to_owned(),
            import_started_at: None,
            first_run_at: None,
            import_done_at: None,
            page_limit: None,
            last_total: None,
            complete_through: None,
            last_run_at: None,
            last_error: None,
            proved_through: None,
            gap: None,
            stalled_since: None,
            unauthorized_since: None,
            removals_held: None,
            removals_held_since: None,
            removals_held_why: None,
            removals_accepted_at: None,
            memory: None,
        }
    }
}

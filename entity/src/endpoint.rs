//! `lumo_endpoints`: the state of each endpoint, and which process delivers to it.

use sea_orm::entity::prelude::*;

use crate::id::EndpointName;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum State {
    Active,
    Failing,
    Suspended,
    Paused,
}

impl State {
    /// The name that the column holds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Suspended => "suspended",
            Self::Paused => "paused",
        }
    }
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_endpoints")]
pub struct Model {
    /// Its name in the configuration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: EndpointName,
    /// The state that it is in.
    pub state: State,
    /// Since when it is in that state.
    pub since: DateTimeUtc,
    /// How many attempts in a row have failed.
    pub consecutive_failures: i32,
    /// When it last took a callback.
    pub last_success_at: Option<DateTimeUtc>,
    /// Why the last attempt failed, a probe included; null after a success.
    pub last_error: Option<String>,
    /// Until when it is not called: by its own `Retry-After`, or, while it fails, until the next probe.
    pub hold_until: Option<DateTimeUtc>,
    /// Since when it is no longer in the configuration; null while it is.
    pub removed_at: Option<DateTimeUtc>,
    /// `user`, `endpoint` or `none`: which of its deliveries go one after the other.
    pub ordering: String,
    /// Of its configuration.
    pub fingerprint: i64,
    /// The process that delivers to it; null: none does.
    pub process: Option<i64>,
    /// How long that process may be silent before another takes over, in milliseconds.
    pub lease_ms: i64,
    /// From when on it is given history; null: none was asked for when it was new.
    pub backfill_since: Option<DateTimeUtc>,
    /// How far that has come, for the bridge itself.
    pub backfill_place: Option<String>,
    /// When all of it was queued.
    pub backfill_done_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

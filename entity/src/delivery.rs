//! `lumo_deliveries`: one row per event and endpoint that wants it, and for each replay.
//!
//! `next_attempt_at` is what the claim looks at: null means "not by itself", because the delivery is done or because it
//! waits behind another of its lane. While a delivery is `sending` it is the end of its lease, so work that a crash left
//! behind is found by the same query. What was answered and waits for its row in `lumo_acks` is `sending` without a time.

use sea_orm::entity::prelude::*;

use crate::id::{DeliveryId, EndpointName, EventId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum State {
    /// Waiting for its first attempt, or behind another delivery of its lane.
    Pending,
    /// Claimed: an attempt is under way, or its process died and the lease has yet to end. Or answered, and not acknowledged.
    Sending,
    Delivered,
    /// Failed at least once; the next attempt has a time.
    Retrying,
    /// Waits for its endpoint to recover.
    Held,
    /// Every attempt of the schedule failed; kept, listed, replayable.
    Dead,
    /// Given up by the operator.
    Skipped,
}

impl State {
    /// The name that the column holds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Retrying => "retrying",
            Self::Held => "held",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
        }
    }

    /// Whether no further attempt will be made by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead | Self::Skipped)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum Reason {
    Live,
    Replay,
    Backfill,
    Test,
}

impl Reason {
    /// The name that the column and the `lumo-reason` header hold.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Replay => "replay",
            Self::Backfill => "backfill",
            Self::Test => "test",
        }
    }
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DeliveryId,
    pub event_id: EventId,
    pub endpoint: EndpointName,
    pub state: State,
    pub attempts: i32,
    pub next_attempt_at: Option<DateTimeUtc>,
    pub delivered_at: Option<DateTimeUtc>,
    pub last_status: Option<i32>,
    pub last_error: Option<String>,
    pub reason: Reason,
    pub created_at: DateTimeUtc,
    /// Deliveries of one endpoint that share a lane go out one after the other; null: no order.
    pub lane: Option<String>,
    /// Until when a failing delivery holds its lane; null before its first failure.
    pub hold_until: Option<DateTimeUtc>,
    /// Whoever settles must know it.
    pub lease_token: Option<i64>,
    /// Until when a row of `lumo_acks` is waited for; kept while one may still come, null where none is asked for.
    pub ack_by: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

//! `lumo_exceptions`: the deliveries that did not simply succeed.
//!
//! What an endpoint wants up to its position and what has no row here is delivered, or lies in a range of
//! `lumo_subscriptions` that says why not.

use sea_orm::entity::prelude::*;

use crate::id::{EndpointName, EventId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum State {
    /// Not attempted since its last start: due at its time, or, without one, behind another row of its lane.
    Waiting,
    /// Failed, and due again at its time.
    Retrying,
    /// A request of this epoch is under way; due again at its time if its process is gone.
    Sending,
    /// Answered, and waiting for its row in `lumo_acks`.
    AwaitingAck,
    /// Every attempt of the schedule failed.
    Dead,
    /// Given up by the operator.
    Skipped,
    /// Delivered although no range wants it, by a replay; or ahead of the endpoint's position, by a retry of what was skipped.
    Delivered,
}

impl State {
    /// The name that the column holds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Sending => "sending",
            Self::AwaitingAck => "awaiting_ack",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
            Self::Delivered => "delivered",
        }
    }

    /// Whether no further attempt will be made by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Dead | Self::Skipped | Self::Delivered)
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
#[sea_orm(table_name = "lumo_exceptions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub endpoint: EndpointName,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub event_id: EventId,
    pub state: State,
    pub reason: Reason,
    /// Rows that share a lane go one after the other; null: no order, or nothing is left to do.
    pub lane: Option<String>,
    /// Attempts since the last start; the schedule counts these.
    pub tries: i32,
    /// Attempts ever made.
    pub attempts: i32,
    pub next_attempt_at: Option<DateTimeUtc>,
    /// Until when a row that failed holds its lane; null before its first failure.
    pub hold_until: Option<DateTimeUtc>,
    /// Until when a row of `lumo_acks` is waited for.
    pub ack_by: Option<DateTimeUtc>,
    /// Of the leader whose request is under way.
    pub epoch: Option<i64>,
    /// The endpoint's revision at which a command last changed the row; 0: none did.
    pub touched: i64,
    pub last_status: Option<i32>,
    pub last_error: Option<String>,
    pub created_at: DateTimeUtc,
    pub ended_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

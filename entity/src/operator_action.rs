//! `lumo_operator_actions`: what was done by command, over HTTP or on the dashboard, and by whom.

use sea_orm::entity::prelude::*;

use crate::id::EventId;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum Action {
    /// An endpoint is called no more.
    Pause,
    /// An endpoint is called again.
    Resume,
    /// A test was sent to an endpoint.
    Test,
    /// A delivery is given up; or everything that waited for an endpoint.
    Skip,
    /// A delivery is due, with its whole schedule before it.
    Retry,
    /// An event is sent to an endpoint once more.
    Replay,
    /// A wallet was created at Lumo.
    Create,
    /// A wallet was blocked at Lumo.
    Block,
    /// A wallet was replaced at Lumo.
    Replace,
    /// The tables were given to a company, or are filled from another server.
    Adopt,
}

impl Action {
    /// The name that the column holds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Test => "test",
            Self::Skip => "skip",
            Self::Retry => "retry",
            Self::Replay => "replay",
            Self::Create => "create",
            Self::Block => "block",
            Self::Replace => "replace",
            Self::Adopt => "adopt",
        }
    }
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_operator_actions")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// When it was done.
    pub at: DateTimeUtc,
    /// `cli:` and the user of the operating system, `api` or `dashboard`.
    pub actor: String,
    /// What was done.
    pub action: Action,
    /// What it was done to: an endpoint, a delivery (`evt_…@endpoint`), a wallet or a company.
    pub object: String,
    /// The event of the delivery.
    pub event_id: Option<EventId>,
    /// What the command was told as the reason.
    pub reason: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

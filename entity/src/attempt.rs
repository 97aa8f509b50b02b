//! `lumo_delivery_attempts`: what each attempt met.

use sea_orm::entity::prelude::*;

use crate::id::DeliveryId;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_delivery_attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub delivery_id: DeliveryId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
    pub started_at: DateTimeUtc,
    pub duration_ms: i64,
    /// The HTTP status; null if there was no answer.
    pub status: Option<i32>,
    pub error: Option<String>,
    /// The first 4 KiB of the answer's body.
    pub response_body: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

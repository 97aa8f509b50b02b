//! `lumo_acks`: where a receiver may note, in its own transaction, that it has taken an event.

use sea_orm::entity::prelude::*;

use crate::id::{EndpointName, EventId};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_acks")]
pub struct Model {
    /// The event that was taken.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: EventId,
    /// The endpoint that took it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub endpoint: EndpointName,
}

impl ActiveModelBehavior for ActiveModel {}

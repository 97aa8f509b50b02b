//! `lumo_positions`: how far each endpoint is in the log.
//!
//! The row is position, fence and turnstile in one.

use sea_orm::entity::prelude::*;

use crate::id::EndpointName;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_positions")]
pub struct Model {
    /// The endpoint's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub endpoint: EndpointName,
    /// Everything that the endpoint wants with a `seq` up to this is delivered, or has a row of `lumo_exceptions`, or lies in
    /// a range of `lumo_subscriptions` that says why not. A minute old at most while there is nothing for it.
    pub position: i64,
    /// Grows with every new leader.
    pub epoch: i64,
    /// Grows with every change of what is to be delivered to the endpoint, whoever makes it.
    pub revision: i64,
    /// Grows with every group commit of a leader.
    pub commits: i64,
    /// The revision that the leader knows.
    pub seen: i64,
}

impl ActiveModelBehavior for ActiveModel {}

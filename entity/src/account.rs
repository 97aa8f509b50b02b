//! `lumo_account`: the company and the server that the tables are filled from; no row until one of them is known.

use sea_orm::entity::prelude::*;

use crate::id::CompanyId;

/// The key of the one row.
pub const OWN: i32 = 1;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_account")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// The company's id at Lumo.
    pub company_id: CompanyId,
    /// Scheme, host and port.
    pub server: String,
    /// When they were first known, or adopted.
    pub since: DateTimeUtc,
    /// Whose key the process that reads has, where that is another company; null while it is the right one.
    pub wrong_company_id: Option<CompanyId>,
    /// Which server it asks, where the account is another one.
    pub wrong_server: Option<String>,
    /// Since when nothing is read for that reason.
    pub wrong_since: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

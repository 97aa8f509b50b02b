//! Whose data the tables hold.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::account::environment;
use crate::store;

/// The company and the server that the tables are filled from.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Account {
    pub company_id: String,
    /// Scheme, host, and the port where it is not the scheme's own.
    pub server: String,
    /// What callbacks call the server: `production`, `staging`, or its host.
    pub environment: String,
    /// When they were first known, or adopted.
    pub since: DateTime<Utc>,
    /// What the process that reads has instead; null while it is the same.
    pub wrong: Option<WrongAccount>,
}

/// What was found where the tables have another account. Nothing is read meanwhile.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WrongAccount {
    pub company_id: String,
    pub server: String,
    pub since: DateTime<Utc>,
}

impl From<store::Account> for Account {
    fn from(row: store::Account) -> Self {
        let store::Account { company_id, server, since, wrong_company_id, wrong_server, wrong_since, .. } = row;
        let wrong = wrong_company_id.zip(wrong_server).zip(wrong_since);
        Self {
            company_id: company_id.to_string(),
            environment: environment(&server).to_owned(),
            server,
            since,
            wrong: wrong.map(|((company_id, server), since)| WrongAccount {
                company_id: company_id.to_string(),
                server,
                since,
            }),
        }
    }
}

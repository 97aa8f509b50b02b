//! The event that says that the key is another company's, or the server another one: for the operator.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::{Changes, NO_COMPANY};
use crate::model::account::Identity;
use crate::model::draft::{self, Draft, Origin, rfc3339};
use crate::model::event::EventType;
use crate::model::id::CompanyId;

/// What the tables are filled from.
#[derive(Serialize, JsonSchema)]
pub(super) struct Object<'a> {
    /// What it is: `account`.
    kind: &'static str,
    /// The company that the tables belong to.
    id: &'a str,
    /// The server that they are filled from: scheme, host, and port.
    server: &'a str,
    /// Whose key was found instead.
    found_company_id: &'a str,
    /// Which server was to be asked instead.
    found_server: &'a str,
    /// Since when nothing is read.
    #[schemars(extend("format" = "date-time"))]
    since: String,
}

/// `sync.wrong_account`.
///
/// # Errors
/// Only if serialising fails, which plain texts give no cause for.
pub fn wrong_account_event(
    (company, server): (&CompanyId, &str),
    found: &Identity,
    generation: &str,
    now: DateTime<Utc>,
) -> serde_json::Result<Draft> {
    let kind = EventType::SyncWrongAccount;
    let object = Object {
        kind: "account",
        id: company.as_str(),
        server,
        found_company_id: found.company.as_str(),
        found_server: found.server.as_str(),
        since: rfc3339(now),
    };
    let mut changes = Changes::default();
    changes.note("wrong_since", &None::<String>, &Some(rfc3339(now)));
    Ok(Draft {
        id: draft::repeated(NO_COMPANY, kind, company.as_str(), now.timestamp_micros(), generation),
        kind,
        stream: "sync:account".to_owned(),
        object_kind: "account",
        object_id: company.as_str().to_owned(),
        external_id: None,
        occurred_at: now,
        detected_at: now,
        origin: Origin::Live,
        object: to_raw_value(&object)?,
        changes: Some(changes.to_json()?),
        upstream: None,
    })
}

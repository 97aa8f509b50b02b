//! The statuses that deposits show.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Listing;
use crate::store::{Error, Store};

/// What is known of the statuses of deposits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Statuses {
    /// Since when changes are counted: when the deposits were first read.
    pub since: Option<DateTime<Utc>>,
    /// The statuses that deposits have now, and those that count as settled.
    pub statuses: Vec<Status>,
    pub transitions: Vec<Transition>,
}

/// A status.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DepositStatus")]
pub struct Status {
    pub status: String,
    /// How many deposits have it.
    pub deposits: i64,
    /// Whether it is one of `lumo.settled_statuses`.
    pub is_settled: bool,
}

/// That one status followed another.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Transition {
    pub from: String,
    pub to: String,
    /// How often.
    pub times: i64,
    /// How long it took on the average, by when the bridge saw the one and the other.
    pub average_seconds: i64,
    pub last_at: DateTime<Utc>,
}

impl Statuses {
    /// Loads what there is.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load(store: &Store, settled: &[String]) -> Result<Self, Error> {
        let is_settled = |status: &str| settled.iter().any(|name| name == status);
        let mut statuses: Vec<Status> = store
            .deposit_statuses()
            .await?
            .into_iter()
            .map(|row| Status { is_settled: is_settled(&row.status), status: row.status, deposits: row.deposits })
            .collect();
        for name in settled {
            if !statuses.iter().any(|status| status.status == *name) {
                statuses.push(Status { status: name.clone(), deposits: 0, is_settled: true });
            }
        }
        let transition = |row: crate::store::Transition| Transition {
            average_seconds: row.seconds / row.times.max(1),
            from: row.from_status,
            to: row.to_status,
            times: row.times,
            last_at: row.last_at,
        };
        let transitions = store.deposit_transitions().await?.into_iter().map(transition).collect();
        Ok(Self { since: store.progress(Listing::Deposits).await?.import_started_at, statuses, transitions })
    }
}

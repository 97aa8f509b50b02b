//! Looking whether an endpoint is to be called, before anything is claimed.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery::State;
use lumo_bridge_entity::endpoint;
use sea_orm::{DbBackend, FromQueryResult, Statement};

use super::{Error, Store};
use crate::model::id::EndpointName;

/// The states in which a delivery waits for its time; what is `sending` waits for the end of a lease.
const WAITING: [State; 3] = [State::Pending, State::Retrying, State::Sending];

/// How an endpoint stands, and when it has something to be called for.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Look {
    pub state: endpoint::State,
    pub since: DateTime<Utc>,
    /// Until when it is not to be called; where it fails, when to probe it.
    pub hold_until: Option<DateTime<Utc>>,
    pending: Option<DateTime<Utc>>,
    retrying: Option<DateTime<Utc>>,
    sending: Option<DateTime<Utc>>,
}

impl Look {
    /// When the first of its deliveries is due, if any has a time.
    #[must_use]
    pub fn due(&self) -> Option<DateTime<Utc>> {
        [self.pending, self.retrying, self.sending].into_iter().flatten().min()
    }
}

impl Store {
    /// Looks at an endpoint; none if it was never registered. One seek in an index for each state.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn look(&self, endpoint: &EndpointName) -> Result<Option<Look>, Error> {
        let first = WAITING.map(|state| {
            let state = state.as_str();
            format!(
                "(SELECT MIN(next_attempt_at) FROM lumo_deliveries WHERE endpoint = p.name AND state = '{state}' \
                 AND next_attempt_at IS NOT NULL) AS {state}"
            )
        });
        let mark = if self.backend() == DbBackend::Postgres { "$1" } else { "?" };
        let sql = format!(
            "SELECT p.state, p.since, p.hold_until, {} FROM lumo_endpoints p WHERE p.name = {mark}",
            first.join(", ")
        );
        let statement = Statement::from_sql_and_values(self.backend(), sql, [endpoint.clone().into()]);
        Ok(Look::find_by_statement(statement).one(self.read()).await?)
    }
}

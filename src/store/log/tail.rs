//! Finds, in one statement, the endpoints that want at least one of the newest events.

use std::collections::HashSet;

use sea_orm::ConnectionTrait;

use crate::model::id::EndpointName;
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

/// Joins the ranges that contain one of the events `e`.
const WANTING: &str = r#") e JOIN lumo_subscriptions s ON s."type" = e."type"
AND s.from_seq <= e.seq AND (s.through_seq IS NULL OR s.through_seq >= e.seq) AND s.state = 'wanted'
WHERE e.audience IS NULL OR e.audience <> 'nobody' AND SUBSTR(e.audience, 2) <> s.endpoint"#;

impl Store {
    /// The endpoints that want any of the events in `(after, through]`. An endpoint that is not among them will not
    /// want them later, because ranges are opened only at the end of the log.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn wanting(&self, after: i64, through: i64) -> Result<HashSet<EndpointName>, Error> {
        let text = r#"SELECT DISTINCT s.endpoint FROM (SELECT seq, "type", audience FROM lumo_events WHERE seq > ? AND seq <= ?"#;
        let sql = Sql::new(self.backend(), text, [after.into(), through.into()]).and(WANTING, []);
        let rows = self.read().query_all_raw(sql.statement()).await?;
        Ok(rows.iter().map(|row| row.try_get("", "endpoint")).collect::<Result<_, _>>()?)
    }
}

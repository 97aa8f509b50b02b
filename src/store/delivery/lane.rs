//! Decides when a row that waits behind others of its lane is due (`ordering`, `max_hold`).
//!
//! Rows of one lane are in the order of the log. The first of them has a due time of its own. Each other one waits for
//! every row before it: it becomes due when each of them has ended, or has failed and its hold is over (`hold_until`:
//! `max_hold` after its first failure, as the leader sets it). The row right before it does not decide alone, because a
//! command may have had that one sent out of turn. So a due time is written at four moments: a row joins the lane, a
//! row before it ends, a row before it fails for the first time, or a row between the two is given up.
//! [`Delivery::place`] handles all four.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::Delivery;
use crate::model::id::EndpointName;
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

/// Rows in one statement.
const BATCH: usize = 500;

/// The rows that go before another one in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// One of them has not failed. Its end or its first failure decides.
    Untried,
    /// Each of them has failed, and the last of them holds the lane until this time.
    Failed {
        hold_until: DateTime<Utc>,
    },
}

/// When a row that was not attempted yet is due; none if that depends on a row before it.
fn due(before: Before, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match before {
        Before::Nothing => Some(now),
        Before::Untried => None,
        Before::Failed { hold_until } => Some(hold_until.max(now)),
    }
}

#[derive(FromQueryResult)]
struct Placed {
    seq: i64,
    next_attempt_at: Option<DateTime<Utc>>,
    prior: Option<i64>,
    hold_until: Option<DateTime<Utc>>,
}

impl Placed {
    fn before(&self) -> Before {
        match (self.prior, self.hold_until) {
            (None, _) => Before::Nothing,
            (Some(_), None) => Before::Untried,
            (Some(_), Some(hold_until)) => Before::Failed { hold_until },
        }
    }
}

#[derive(FromQueryResult)]
struct Follower {
    follower: Option<i64>,
}

#[derive(FromQueryResult)]
struct Lane {
    lane: String,
}

impl Store {
    /// The lanes among these in which only rows may be sent now, and no new events.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn blocked_lanes(
        &self,
        endpoint: &EndpointName,
        lanes: &[String],
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, Error> {
        let mut blocked = Vec::new();
        for chunk in lanes.chunks(BATCH) {
            let text = "SELECT DISTINCT x.lane FROM lumo_exceptions x WHERE x.endpoint = ? AND ";
            let sql = Sql::new(self.backend(), text, [endpoint.clone().into()])
                .and_texts("x.lane", chunk)
                .and(" AND (x.hold_until IS NULL OR x.hold_until > ?)", [now.into()]);
            let lanes = Lane::find_by_statement(sql.statement()).all(self.read()).await?;
            blocked.extend(lanes.into_iter().map(|row| row.lane));
        }
        Ok(blocked)
    }
}

impl Delivery<'_> {
    /// The rows that wait right behind these rows in their lanes.
    pub(super) async fn followers(&self, endpoint: &EndpointName, seqs: &[i64]) -> Result<Vec<i64>, Error> {
        let mut followers = Vec::new();
        for chunk in seqs.chunks(BATCH) {
            let text = "SELECT (SELECT n.seq FROM lumo_exceptions n WHERE n.endpoint = x.endpoint AND n.lane = x.lane \
                        AND n.seq > x.seq AND n.state = 'waiting' ORDER BY n.seq LIMIT 1) AS follower FROM lumo_exceptions x \
                        WHERE x.endpoint = ? AND x.lane IS NOT NULL AND ";
            let sql = Sql::new(self.tx.backend(), text, [endpoint.clone().into()]).and_numbers("x.seq", chunk);
            let rows = Follower::find_by_statement(sql.statement()).all(self.tx.session()).await?;
            followers.extend(rows.into_iter().filter_map(|row| row.follower));
        }
        followers.sort_unstable();
        followers.dedup();
        Ok(followers)
    }

    /// Sets the due times of waiting rows, from the rows before them. Rows without a lane, attempted rows and ended
    /// rows keep theirs.
    pub(super) async fn place(&self, endpoint: &EndpointName, seqs: &[i64], now: DateTime<Utc>) -> Result<(), Error> {
        let mut times: HashMap<Option<DateTime<Utc>>, Vec<i64>> = HashMap::new();
        for chunk in seqs.chunks(BATCH) {
            let before = "FROM lumo_exceptions b WHERE b.endpoint = x.endpoint AND b.lane = x.lane AND b.seq < x.seq";
            let text = format!(
                "SELECT x.seq, x.next_attempt_at, (SELECT MIN(b.seq) {before}) AS prior, \
                 CASE WHEN EXISTS (SELECT 1 {before} AND b.hold_until IS NULL) THEN NULL \
                 ELSE (SELECT MAX(b.hold_until) {before}) END AS hold_until FROM lumo_exceptions x \
                 WHERE x.endpoint = ? AND x.state = 'waiting' AND x.lane IS NOT NULL AND ",
            );
            let sql = Sql::new(self.tx.backend(), &text, [endpoint.clone().into()]).and_numbers("x.seq", chunk);
            for row in Placed::find_by_statement(sql.statement()).all(self.tx.session()).await? {
                let due = due(row.before(), now);
                // A row that is already due stays due.
                let is_due = row.next_attempt_at.is_some_and(|at| at <= now);
                if row.next_attempt_at != due && !is_due {
                    times.entry(due).or_default().push(row.seq);
                }
            }
        }
        for (at, seqs) in times {
            for chunk in seqs.chunks(BATCH) {
                let text = "UPDATE lumo_exceptions SET next_attempt_at = ? WHERE endpoint = ? AND ";
                let sql =
                    Sql::new(self.tx.backend(), text, [at.into(), endpoint.clone().into()]).and_numbers("seq", chunk);
                self.tx.session().execute_raw(sql.statement()).await?;
            }
        }
        Ok(())
    }

    /// Removes ended rows from their lanes, and releases the rows behind them.
    pub(super) async fn leave_lanes(
        &self,
        endpoint: &EndpointName,
        seqs: &[i64],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let followers = self.followers(endpoint, seqs).await?;
        for chunk in seqs.chunks(BATCH) {
            let text = "UPDATE lumo_exceptions SET lane = NULL WHERE endpoint = ? AND ";
            let sql = Sql::new(self.tx.backend(), text, [endpoint.clone().into()]).and_numbers("seq", chunk);
            self.tx.session().execute_raw(sql.statement()).await?;
        }
        self.place(endpoint, &followers, now).await
    }
}

//! Finishes the work that commands leave to the leader, and records that the leader has seen their revision.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::State;
use lumo_bridge_entity::operator_action::{self, Action};
use lumo_bridge_entity::{endpoint, position};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::{Corrected, Delivery, LongestWaits};
use crate::model::id::EndpointName;
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

/// How many of the latest actions of operators are looked through for who paused or resumed an endpoint.
const LATEST_ACTIONS: u64 = 50;

/// The state of an endpoint after its leader has seen every command.
#[derive(Clone, Debug)]
pub struct Refreshed {
    pub endpoint: endpoint::Model,
    pub position: position::Model,
    /// Rows that commands have changed since the leader's last read.
    pub touched: Vec<i64>,
    /// Events that the endpoint still wants of the part of the log that the leader has read, and that have no row.
    pub wanted: Vec<i64>,
    /// The last event of the log.
    pub last_seq: i64,
    /// Rows whose times were corrected.
    pub corrected: Corrected,
    /// The latest pause or resume by an operator, if commands have changed anything, and it is among the latest actions.
    pub operated: Option<Box<operator_action::Model>>,
}

impl Store {
    /// Finishes the work that commands left to the leader of this epoch, who has read the log up to `cursor`, and
    /// corrects times that lie further ahead than the `longest` waits. None if another process leads.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn refresh(
        &self,
        endpoint: &EndpointName,
        epoch: i64,
        cursor: i64,
        longest: Option<LongestWaits>,
        now: DateTime<Utc>,
    ) -> Result<Option<Refreshed>, Error> {
        let done = self.tx("delivery.refresh", |tx| async move {
            let Some(position) = tx.delivery().lock(endpoint).await?.filter(|row| row.epoch == epoch) else {
                return Ok(None);
            };
            let corrected = match &longest {
                Some(longest) => tx.delivery().correct_future(endpoint, longest, now).await?,
                None => Corrected::default(),
            };
            let is_commanded = position.seen != position.revision;
            let (position, touched) = tx.delivery().refresh(endpoint, position, now).await?;
            Ok(Some((position, touched, corrected, is_commanded)))
        });
        let Some((position, touched, corrected, is_commanded)) = done.await? else { return Ok(None) };
        let operated = if is_commanded { self.latest_turn(endpoint).await? } else { None };
        let Some(row) = self.endpoint(endpoint).await? else { return Ok(None) };
        let wanted = if cursor > position.position {
            self.wanted_keys(endpoint, position.position, cursor, usize::MAX >> 1).await?
        } else {
            Vec::new()
        };
        let last_seq = self.last_seq().await?;
        Ok(Some(Refreshed { endpoint: row, position, touched, wanted, last_seq, corrected, operated }))
    }

    /// The latest pause or resume of the endpoint by an operator, if it is among the latest actions.
    async fn latest_turn(&self, endpoint: &EndpointName) -> Result<Option<Box<operator_action::Model>>, Error> {
        let is_turn = |row: &operator_action::Model| {
            matches!(row.action, Action::Pause | Action::Resume) && row.object == endpoint.as_str()
        };
        Ok(self.list_actions(None, LATEST_ACTIONS).await?.into_iter().find(is_turn).map(Box::new))
    }
}

impl Delivery<'_> {
    async fn refresh(
        &self,
        endpoint: &EndpointName,
        mut position: position::Model,
        now: DateTime<Utc>,
    ) -> Result<(position::Model, Vec<i64>), Error> {
        if position.seen == position.revision {
            return Ok((position, Vec::new()));
        }
        let text = "SELECT seq, state, lane FROM lumo_exceptions WHERE endpoint = ? AND touched > ?";
        let sql = Sql::new(self.tx.backend(), text, [endpoint.clone().into(), position.seen.into()]);
        let (mut touched, mut ended, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for row in self.tx.session().query_all_raw(sql.statement()).await? {
            let (seq, state): (i64, State) = (row.try_get("", "seq")?, row.try_get("", "state")?);
            let lane: Option<String> = row.try_get("", "lane")?;
            touched.push(seq);
            match (state.is_final(), lane) {
                (true, Some(_)) => ended.push(seq),
                (false, _) => waiting.push(seq),
                (true, None) => {}
            }
        }
        self.leave_lanes(endpoint, &ended, now).await?;
        self.place(endpoint, &waiting, now).await?;
        position.revision += 1;
        position.seen = position.revision;
        position::Entity::update_many()
            .col_expr(position::Column::Revision, Expr::value(position.revision))
            .col_expr(position::Column::Seen, Expr::value(position.seen))
            .filter(position::Column::Endpoint.eq(endpoint.clone()))
            .exec(self.tx.session())
            .await?;
        Ok((position, touched))
    }
}

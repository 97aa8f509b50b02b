//! Records and lists what operators did (`lumo_operator_actions`).
//!
//! Each row is written by the transaction that does it or stores its result, so neither exists without the other.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::operator_action::{self, Action};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use crate::model::actor::Actor;
use crate::model::id::{DeliveryId, EndpointName, EventId};
use crate::store::{Error, Store, Tx};

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 1_000;
/// Rows that are removed in one transaction.
const BATCH: u64 = 500;

/// An action of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    action: Action,
    object: String,
    event: Option<EventId>,
    reason: Option<String>,
}

impl Deed {
    #[must_use]
    pub fn new(action: Action, object: impl Display) -> Self {
        Self { action, object: object.to_string(), event: None, reason: None }
    }

    /// An action on the deliveries of these events to one endpoint.
    pub(in crate::store) fn to_deliveries<'a>(
        action: Action,
        events: impl IntoIterator<Item = &'a EventId>,
        endpoint: &EndpointName,
    ) -> Vec<Self> {
        let deed = |event: &EventId| {
            let delivery = DeliveryId { event: event.clone(), endpoint: endpoint.clone() };
            Self { event: Some(event.clone()), ..Self::new(action, delivery) }
        };
        events.into_iter().map(deed).collect()
    }

    /// Adds the operator's reason, cut to the longest one that is kept.
    #[must_use]
    pub fn because(self, reason: &str) -> Self {
        // PostgreSQL cannot store NUL.
        let kept: String =
            reason.chars().take(MAX_REASON).map(|letter| if letter == '\0' { '\u{fffd}' } else { letter }).collect();
        Self { reason: (!kept.is_empty()).then_some(kept), ..self }
    }
}

impl Store {
    /// Records that a test was sent to an endpoint; nothing else changes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn record_test(&self, endpoint: &EndpointName, by: &Actor, now: DateTime<Utc>) -> Result<(), Error> {
        self.tx("endpoint.test", |tx| async move { tx.record(by, vec![Deed::new(Action::Test, endpoint)], now).await })
            .await
    }

    /// The actions of operators, newest first, after the action with this id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_actions(&self, after: Option<i64>, limit: u64) -> Result<Vec<operator_action::Model>, Error> {
        let query = operator_action::Entity::find()
            .apply_if(after, |query, id| query.filter(operator_action::Column::Id.lt(id)))
            .order_by_desc(operator_action::Column::Id)
            .limit(limit);
        Ok(query.all(self.read()).await?)
    }

    /// The actions of operators on the deliveries of an event, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn actions_on(&self, event: &EventId, limit: u64) -> Result<Vec<operator_action::Model>, Error> {
        let query = operator_action::Entity::find()
            .filter(operator_action::Column::EventId.eq(event.clone()))
            .order_by_desc(operator_action::Column::Id)
            .limit(limit);
        Ok(query.all(self.read()).await?)
    }

    /// Removes the next few hundred actions that are older than this. Returns how many.
    ///
    /// # Errors
    /// If the database fails; nothing is removed then.
    pub async fn forget_actions(&self, before: DateTime<Utc>) -> Result<u64, Error> {
        // Ids are in order of time, except where the clocks of processes differ.
        let oldest: Vec<(i64, DateTime<Utc>)> = operator_action::Entity::find()
            .select_only()
            .columns([operator_action::Column::Id, operator_action::Column::At])
            .order_by_asc(operator_action::Column::Id)
            .limit(BATCH)
            .into_tuple()
            .all(self.read())
            .await?;
        let old: Vec<i64> = oldest.into_iter().filter(|(_, at)| *at < before).map(|(id, _)| id).collect();
        if old.is_empty() {
            return Ok(0);
        }
        let old = &old;
        self.tx("retention.actions", |tx| async move {
            let gone =
                operator_action::Entity::delete_many().filter(operator_action::Column::Id.is_in(old.iter().copied()));
            Ok(gone.exec(tx.session()).await?.rows_affected)
        })
        .await
    }
}

impl Tx {
    /// Records these actions and who did them, in the transaction that does them.
    pub(in crate::store) async fn record(&self, by: &Actor, deeds: Vec<Deed>, now: DateTime<Utc>) -> Result<(), Error> {
        if deeds.is_empty() {
            return Ok(());
        }
        let row = |deed: Deed| operator_action::ActiveModel {
            at: Set(now),
            actor: Set(by.as_str().to_owned()),
            action: Set(deed.action),
            object: Set(deed.object),
            event_id: Set(deed.event),
            reason: Set(deed.reason),
            ..operator_action::ActiveModel::default()
        };
        operator_action::Entity::insert_many(deeds.into_iter().map(row)).exec_without_returning(self.session()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_kept_as_far_as_it_can_be() {
        let kept = |reason: &str| Deed::new(Action::Block, "w").because(reason).reason;
        assert_eq!(kept("stolen").as_deref(), Some("stolen"));
        assert_eq!(kept(""), None);
        assert_eq!(kept("a\0b").as_deref(), Some("a\u{fffd}b"));
        assert_eq!(kept(&"é".repeat(5_000)).map(|kept| kept.chars().count()), Some(MAX_REASON));
    }
}

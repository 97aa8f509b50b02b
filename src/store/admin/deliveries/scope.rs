//! Loads what it takes to list an endpoint's deliveries: its state, its position and its ranges.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::subscription::{self, Model as Range};
use lumo_bridge_entity::{endpoint, position};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QueryTrait};

use crate::model::delivery::Reach;
use crate::model::id::EndpointName;
use crate::model::subscriber::Order;
use crate::store::{Error, Store};

/// The largest difference between the clocks of processes that publish.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

/// The state of an endpoint that explains why a delivery to it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    pub state: endpoint::State,
    pub since: DateTime<Utc>,
    /// Until when it is not called: because of its `Retry-After`, or, while it fails, until the next probe.
    pub hold_until: Option<DateTime<Utc>>,
    pub is_removed: bool,
    /// Whether the table names a leader that is not known to be dead.
    pub is_led: bool,
    /// None if a newer version of this program wrote an unknown order.
    pub order: Option<Order>,
}

/// An endpoint's place in the log.
#[derive(Clone, Debug)]
pub(in crate::store::admin) struct Scope {
    pub(in crate::store::admin) name: EndpointName,
    pub(in crate::store::admin) position: i64,
    pub(super) ranges: Vec<Range>,
    pub(in crate::store::admin) to: Addressee,
}

impl Addressee {
    #[must_use]
    pub const fn reach(&self) -> Reach {
        Reach::of(self.state, self.is_removed)
    }

    fn of(row: &endpoint::Model, living: &HashSet<i64>) -> Self {
        Self {
            state: row.state,
            since: row.since,
            hold_until: row.hold_until,
            is_removed: row.removed_at.is_some(),
            is_led: row.process.is_some_and(|process| living.contains(&process)),
            order: Order::from_name(&row.ordering),
        }
    }
}

impl Scope {
    /// The range that holds an event.
    pub(super) fn range(&self, seq: i64, kind: &str, audience: Option<&str>) -> Option<&Range> {
        if audience.is_some_and(|audience| audience == "nobody" || audience.get(1..) == Some(self.name.as_str())) {
            return None;
        }
        let holds = |range: &&Range| {
            range.kind == kind && range.from_seq <= seq && range.through_seq.is_none_or(|through| through >= seq)
        };
        self.ranges.iter().find(holds)
    }

    /// The ranges in this state, cut to these numbers: the types by part of the log.
    pub(super) fn stretches(&self, state: subscription::State, from: i64, through: i64) -> Vec<(i64, i64, Vec<&str>)> {
        let mut stretches: HashMap<(i64, i64), Vec<&str>> = HashMap::new();
        for range in self.ranges.iter().filter(|range| range.state == state) {
            let from = range.from_seq.max(from);
            let through = range.through_seq.unwrap_or(i64::MAX).min(through);
            if from <= through {
                stretches.entry((from, through)).or_default().push(&range.kind);
            }
        }
        let mut stretches: Vec<_> =
            stretches.into_iter().map(|((from, through), kinds)| (from, through, kinds)).collect();
        stretches.sort();
        stretches
    }
}

impl Store {
    /// Every endpoint that ever was configured, or the one of this name.
    pub(in crate::store::admin) async fn scopes(&self, only: Option<&EndpointName>) -> Result<Vec<Scope>, Error> {
        let endpoints = endpoint::Entity::find()
            .apply_if(only, |query, name| query.filter(endpoint::Column::Name.eq(name.clone())))
            .order_by_asc(endpoint::Column::Name)
            .all(self.read())
            .await?;
        let positions = position::Entity::find()
            .apply_if(only, |query, name| query.filter(position::Column::Endpoint.eq(name.clone())))
            .all(self.read())
            .await?;
        let ranges = subscription::Entity::find()
            .apply_if(only, |query, name| query.filter(subscription::Column::Endpoint.eq(name.clone())))
            .all(self.read())
            .await?;
        let living = self.living_processes().await?;
        let positions: HashMap<EndpointName, i64> =
            positions.into_iter().map(|row| (row.endpoint, row.position)).collect();
        let mut by_endpoint: HashMap<EndpointName, Vec<Range>> = HashMap::new();
        for range in ranges {
            by_endpoint.entry(range.endpoint.clone()).or_default().push(range);
        }
        let scope = |row: endpoint::Model| {
            Some(Scope {
                position: *positions.get(&row.name)?,
                ranges: by_endpoint.remove(&row.name).unwrap_or_default(),
                to: Addressee::of(&row, &living),
                name: row.name,
            })
        };
        Ok(endpoints.into_iter().filter_map(scope).collect())
    }

    /// A number such that no event noticed at this time or later has a smaller one.
    pub(in crate::store::admin) async fn seq_about(&self, time: DateTime<Utc>) -> Result<i64, Error> {
        self.first_event_since(time - CLOCKS_DIFFER, 1).await
    }

    /// A number such that no event noticed before this time has a greater one.
    pub(in crate::store::admin) async fn last_seq_about(&self, time: DateTime<Utc>) -> Result<i64, Error> {
        Ok(self.first_event_since(time + CLOCKS_DIFFER, 1).await?.saturating_sub(1))
    }
}

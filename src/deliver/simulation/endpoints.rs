//! Defines the endpoints that a simulation chooses from.

use std::sync::Arc;
use std::time::Duration;

use super::world::{MAX_HOLD, TIMEOUT};
use crate::deliver::machine::Settings;
use crate::model::condition::Condition;
use crate::model::retry::Policy;
use crate::model::subscriber::Order;

/// One endpoint in three filters events, and one in nine cannot evaluate `when` for most of them.
pub(super) fn when(number: u64) -> Option<Arc<Condition>> {
    let source = match number % 9 {
        0 | 3 => "stream != 'user:0'",
        6 => "stream == 'user:0' or data.object.absent > 1",
        _ => return None,
    };
    Some(Arc::new(Condition::parse(source).unwrap()))
}

pub(super) fn endpoints() -> Vec<Settings> {
    let policy = |schedule: &[u64]| Policy {
        schedule: schedule.iter().map(|seconds| Duration::from_secs(*seconds)).collect(),
        jitter: 0.1,
        retry_after_cap: Duration::from_secs(60),
    };
    let settings = |name: &str, order: Order, schedule: &[u64]| Settings {
        endpoint: name.parse().unwrap(),
        order,
        policy: policy(schedule),
        max_hold: MAX_HOLD,
        concurrency: 4,
        per_second: None,
        timeout: TIMEOUT,
        ack_within: None,
        is_sink: false,
        when: None,
    };
    vec![
        settings("users", Order::User, &[2, 10, 60]),
        settings("single", Order::Endpoint, &[1, 5]),
        Settings { per_second: Some(2.0), ..settings("free", Order::None, &[3, 30]) },
        Settings { ack_within: Some(Duration::from_secs(20)), ..settings("acks", Order::User, &[2, 10]) },
        Settings { is_sink: true, ..settings("ledger", Order::User, &[2, 10]) },
    ]
}

//! What can go wrong with an answer, and the queue of what shall.
//!
//! A fault is injected for the next requests, of one operation or of any, or strikes at random from a seed. Injected
//! faults are used up in order; a fault that only a listing can have waits for a listing.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Deserializer};

use crate::simulator::requests::Operation;

/// A way for an answer to go wrong.
///
/// The first three come instead of the answer, before the key is even looked at, and the request takes no effect. With
/// all others it does take effect, and what happens to the answer is the client's problem.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An error status with a JSON body.
    Status { code: u16, retry_after: Option<RetryAfter> },
    /// An error status with an HTML body, as proxies make them.
    HtmlStatus { code: u16 },
    /// A login page with status 200.
    HtmlPage,
    /// A body shorter than its `Content-Length`, then a closed connection.
    CutBody,
    /// A complete HTTP answer whose JSON ends in the middle.
    CutJson,
    /// A connection closed without an answer.
    Disconnect,
    /// The right answer after that time (in JSON: `"ms"`).
    Hang {
        #[serde(rename = "ms", deserialize_with = "milliseconds")]
        time: Duration,
    },
    /// A listing whose middle item has a number for an id.
    NumericId,
    /// A listing whose middle item has no id.
    MissingId,
    /// A listing that ends with its first item once more.
    DuplicateId,
    /// A listing without `total`.
    MissingTotal,
    /// Valid JSON, padded to at least that size.
    Oversized { bytes: usize },
    /// A listing whose items have a member `notes` of about that size.
    LargeItems { bytes: usize },
}

/// A `Retry-After` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    Seconds(u64),
    /// An HTTP date, that many seconds from the moment of the answer.
    Date {
        seconds: u64,
    },
}

impl Fault {
    fn suits(&self, operation: Operation) -> bool {
        match self {
            Self::NumericId | Self::MissingId | Self::DuplicateId | Self::MissingTotal | Self::LargeItems { .. } => {
                operation.is_listing()
            }
            _ => true,
        }
    }
}

/// The faults of one simulator. Clones share them.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    queue: VecDeque<Planned>,
    chance: Option<Chance>,
    injected: u64,
}

struct Planned {
    fault: Fault,
    on: Option<Operation>,
    times: u32,
}

struct Chance {
    rng: StdRng,
    probability: f64,
    faults: Vec<Fault>,
}

impl Faults {
    /// Lets the next `times` requests go wrong.
    pub fn inject(&self, times: u32, fault: Fault) {
        self.push(Planned { fault, on: None, times });
    }

    /// Lets the next `times` requests of one operation go wrong.
    pub fn inject_on(&self, operation: Operation, times: u32, fault: Fault) {
        self.push(Planned { fault, on: Some(operation), times });
    }

    /// From now on, lets each request for which nothing is injected go wrong with this probability (0 to 1), in one of
    /// these ways. The seed makes the same sequence of requests fail in the same places.
    pub fn at_random(&self, seed: u64, probability: f64, faults: Vec<Fault>) {
        let probability = if probability.is_finite() { probability.clamp(0.0, 1.0) } else { 0.0 };
        self.plan().chance = Some(Chance { rng: StdRng::seed_from_u64(seed), probability, faults });
    }

    /// Forgets all faults, injected and random.
    pub fn clear(&self) {
        let mut plan = self.plan();
        plan.queue.clear();
        plan.chance = None;
    }

    /// How many injected faults have not struck yet.
    pub fn waiting(&self) -> usize {
        let waiting: u64 = self.plan().queue.iter().map(|planned| u64::from(planned.times)).sum();
        usize::try_from(waiting).unwrap_or(usize::MAX)
    }

    /// How many faults have struck.
    pub fn injected(&self) -> u64 {
        self.plan().injected
    }

    /// The fault of the request that is being answered now.
    pub(crate) fn strike(&self, operation: Operation) -> Option<Fault> {
        let mut plan = self.plan();
        let fault = plan.next(operation).or_else(|| plan.by_chance(operation))?;
        plan.injected += 1;
        Some(fault)
    }

    fn push(&self, planned: Planned) {
        if planned.times > 0 {
            self.plan().queue.push_back(planned);
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn next(&mut self, operation: Operation) -> Option<Fault> {
        let suits = |planned: &Planned| planned.on.is_none_or(|on| on == operation) && planned.fault.suits(operation);
        let place = self.queue.iter().position(suits)?;
        let planned = self.queue.get_mut(place)?;
        let fault = planned.fault.clone();
        planned.times -= 1;
        if planned.times == 0 {
            self.queue.remove(place);
        }
        Some(fault)
    }

    fn by_chance(&mut self, operation: Operation) -> Option<Fault> {
        let Chance { rng, probability, faults } = self.chance.as_mut()?;
        if !rng.random_bool(*probability) {
            return None;
        }
        faults.choose(rng).filter(|fault| fault.suits(operation)).cloned()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waiting, injected) = (self.waiting(), self.injected());
        f.debug_struct("Faults").field("waiting", &waiting).field("injected", &injected).finish()
    }
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_strike_in_order_and_wait_for_their_operation() {
        let faults = Faults::default();
        faults.inject_on(Operation::ListDeposits, 1, Fault::HtmlPage);
        faults.inject(1, Fault::MissingId);
        faults.inject(2, Fault::CutJson);
        assert_eq!(faults.waiting(), 4);
        assert_eq!(faults.strike(Operation::CreateWallet), Some(Fault::CutJson));
        assert_eq!(faults.strike(Operation::ListWallets), Some(Fault::MissingId));
        assert_eq!(faults.strike(Operation::ListDeposits), Some(Fault::HtmlPage));
        assert_eq!(faults.strike(Operation::ListDeposits), Some(Fault::CutJson));
        assert_eq!(faults.strike(Operation::ListDeposits), None);
        assert_eq!((faults.waiting(), faults.injected()), (0, 4));
    }

    #[test]
    fn chance_is_repeatable_and_about_as_frequent_as_asked_for() {
        let run = || {
            let faults = Faults::default();
            faults.at_random(5, 0.25, vec![Fault::Disconnect, Fault::CutBody]);
            (0..1_000).map(|_| faults.strike(Operation::ListWallets)).collect::<Vec<_>>()
        };
        let struck = run().iter().flatten().count();
        assert!((200..300).contains(&struck), "{struck}");
        assert_eq!(run(), run());
    }

    #[test]
    fn faults_are_spelt_plainly_in_json() {
        let read = |text| serde_json::from_str::<Fault>(text).unwrap();
        let throttled = Fault::Status { code: 429, retry_after: Some(RetryAfter::Seconds(3)) };
        assert_eq!(read(r#"{"kind": "status", "code": 429, "retry_after": {"seconds": 3}}"#), throttled);
        assert_eq!(read(r#"{"kind": "hang", "ms": 20}"#), Fault::Hang { time: Duration::from_millis(20) });
        assert_eq!(read(r#"{"kind": "cut_body"}"#), Fault::CutBody);
    }
}

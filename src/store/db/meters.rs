//! Counts transactions by name and result, and their retries, for the metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Every transaction that the program runs.
const NAMES: [&str; 52] = [
    "account.admit",
    "account.adopt",
    "blocks.replace",
    "blocks.update",
    "delivery.commit",
    "delivery.give_up",
    "delivery.lead",
    "delivery.position",
    "delivery.refresh",
    "delivery.retry",
    "delivery.skip",
    "doctor.create",
    "endpoint.backfill",
    "endpoint.introduce",
    "endpoint.reclaim",
    "endpoint.register",
    "endpoint.remove",
    "endpoint.skip",
    "endpoint.state",
    "endpoint.test",
    "event.replay",
    "fitness",
    "lease.depose",
    "lease.lead",
    "lease.relieve",
    "lease.resign",
    "process.beat",
    "process.forget",
    "retention.actions",
    "retention.attempts",
    "retention.events",
    "retention.ranges",
    "run.forget",
    "sink.feed",
    "sink.try",
    "speed.note",
    "sweep.end",
    "sweep.load",
    "sweep.save",
    "sync.finish",
    "sync.imported",
    "sync.forget_rejects",
    "sync.note",
    "sync.page",
    "sync.reject",
    "sync.remember",
    "sync.removals",
    "sync.vanish",
    "watch.add",
    "watch.cut",
    "watch.forget",
    "watch.remove",
];

/// How a transaction can end.
const OUTCOMES: [&str; 4] = ["committed", "rolled_back", "collided", "failed"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransactionLabels {
    name: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    name: &'static str,
}

/// Every series is there from the start.
#[derive(Debug)]
pub struct Meters {
    transactions: Family<TransactionLabels, Counter>,
    retries: Family<NameLabel, Counter>,
}

impl Default for Meters {
    fn default() -> Self {
        let meters = Self { transactions: Family::default(), retries: Family::default() };
        for name in NAMES {
            for outcome in OUTCOMES {
                drop(meters.transactions.get_or_create(&TransactionLabels { name, outcome }));
            }
            drop(meters.retries.get_or_create(&NameLabel { name }));
        }
        meters
    }
}

impl Meters {
    /// Shows them in a registry, under their names.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "lumo_bridge_store_transactions",
            "Transactions by what they are for and how they ended",
            self.transactions.clone(),
        );
        registry.register(
            "lumo_bridge_store_transaction_retries",
            "Transactions that were run again because they collided with another",
            self.retries.clone(),
        );
    }

    pub(in crate::store) fn count(&self, name: &'static str, outcome: &'static str) {
        self.transactions.get_or_create(&TransactionLabels { name, outcome }).inc();
    }

    pub(in crate::store) fn count_retry(&self, name: &'static str) {
        self.retries.get_or_create(&NameLabel { name }).inc();
    }
}

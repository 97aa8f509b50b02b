//! What the store counts of itself.

use crate::meter::{Counter, Exposition};

#[derive(Debug)]
pub struct Meters {
    pub(super) transactions: Counter<2>,
    pub(super) retries: Counter<1>,
    pub(super) sinks: Counter<2>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            transactions: Counter::new(
                "lumo_bridge_store_transactions_total",
                "Transactions by what they are for and how they ended.",
                ["name", "outcome"],
            ),
            retries: Counter::new(
                "lumo_bridge_store_transaction_retries_total",
                "Transactions that were run again because they collided with another.",
                ["name"],
            ),
            sinks: Counter::new(
                "lumo_bridge_store_sink_runs_total",
                "Statements of sinks that were run in the transaction that stores the event, and how they ended.",
                ["endpoint", "outcome"],
            ),
        }
    }
}

impl Meters {
    pub fn write(&self, text: &mut Exposition) {
        self.transactions.write(text);
        self.retries.write(text);
        self.sinks.write(text);
    }
}

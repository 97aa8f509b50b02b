//! The metrics of the store.

use crate::meter::{Counter, Exposition};

#[derive(Debug)]
pub struct Meters {
    pub(in crate::store) transactions: Counter<2>,
    pub(in crate::store) retries: Counter<1>,
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
        }
    }
}

impl Meters {
    pub fn write(&self, text: &mut Exposition) {
        self.transactions.write(text);
        self.retries.write(text);
    }
}

//! The six published operations by name, and how often each was asked for.
//!
//! Counted on arrival: a request that was refused, lost or damaged counts like any other. The control side is not
//! counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A published operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    CreateWallet,
    ListWallets,
    ListBlockedWallets,
    BlockWallet,
    ReplaceWallet,
    ListDeposits,
}

impl Operation {
    pub const ALL: [Self; 6] = [
        Self::CreateWallet,
        Self::ListWallets,
        Self::ListBlockedWallets,
        Self::BlockWallet,
        Self::ReplaceWallet,
        Self::ListDeposits,
    ];

    /// Whether the answer is a page of rows.
    pub fn is_listing(self) -> bool {
        matches!(self, Self::ListWallets | Self::ListBlockedWallets | Self::ListDeposits)
    }
}

/// Request counters. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    create_wallet: AtomicU64,
    list_wallets: AtomicU64,
    list_blocked_wallets: AtomicU64,
    block_wallet: AtomicU64,
    replace_wallet: AtomicU64,
    list_deposits: AtomicU64,
}

impl Requests {
    pub fn total(&self) -> u64 {
        Operation::ALL.into_iter().map(|operation| self.of(operation)).sum()
    }

    pub fn of(&self, operation: Operation) -> u64 {
        self.counter(operation).load(Ordering::Relaxed)
    }

    pub fn reset(&self) {
        for operation in Operation::ALL {
            self.counter(operation).store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn count(&self, operation: Operation) {
        self.counter(operation).fetch_add(1, Ordering::Relaxed);
    }

    fn counter(&self, operation: Operation) -> &AtomicU64 {
        match operation {
            Operation::CreateWallet => &self.0.create_wallet,
            Operation::ListWallets => &self.0.list_wallets,
            Operation::ListBlockedWallets => &self.0.list_blocked_wallets,
            Operation::BlockWallet => &self.0.block_wallet,
            Operation::ReplaceWallet => &self.0.replace_wallet,
            Operation::ListDeposits => &self.0.list_deposits,
        }
    }
}

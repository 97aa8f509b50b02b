//! One plausible change at a time: how a company lives while somebody watches it.
//!
//! Mostly deposits arrive and move on; now and then a wallet appears, is blocked, freed or replaced. A step that finds
//! nothing to act on becomes a deposit, and where there is no wallet either, a wallet.

use std::fmt;
use std::sync::Arc;

use rand::RngExt;

use crate::amount::Amount;
use crate::world::invent;
use crate::world::row::{Deposit, Wallet};
use crate::world::state::State;

/// A change that was made, with the rows as they are after it. Prints as one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    DepositAdded(Deposit),
    StatusChanged { deposit: Deposit, from: Arc<str> },
    WalletAdded(Wallet),
    WalletBlocked(Wallet),
    WalletUnblocked(Wallet),
    WalletReplaced { old: Wallet, new: Wallet },
    BalanceChanged(Wallet),
}

impl State {
    pub(crate) fn random_step(&mut self) -> Step {
        let step = match self.rng.random_range(0..100) {
            0..=49 => self.deposit_arrives(),
            50..=84 => self.deposit_moves_on(),
            85..=89 => self.balance_changes(),
            90..=93 => Some(Step::WalletAdded(self.new_user())),
            94..=97 => self.wallet_is_blocked(),
            98 => self.wallet_is_unblocked(),
            _ => self.wallet_is_replaced(),
        };
        match step.or_else(|| self.deposit_arrives()) {
            Some(step) => step,
            None => Step::WalletAdded(self.new_user()),
        }
    }

    fn deposit_arrives(&mut self) -> Option<Step> {
        let wallet = self.random_wallet()?;
        self.add_deposit(wallet.id, None).ok().map(Step::DepositAdded)
    }

    fn deposit_moves_on(&mut self) -> Option<Step> {
        let number = self.number();
        let young = self.deposits.pick(Some("new"), number);
        let young = young.or_else(|| self.deposits.pick(Some("processing"), number))?;
        let (id, from) = (young.id, Arc::clone(&young.status));
        let to = match self.rng.random_range(0..20) {
            0 => "failed",
            1..=4 if &*from == "new" => "processing",
            _ => "confirmed",
        };
        let deposit = self.set_deposit_status(id, to).ok()?;
        Some(Step::StatusChanged { deposit, from })
    }

    fn balance_changes(&mut self) -> Option<Step> {
        let id = self.random_wallet()?.id;
        let (usdt, trx): (Amount, Amount) = (invent::amount(&mut self.rng), invent::amount(&mut self.rng));
        let wallet = self.wallets.update(id, |wallet| {
            wallet.usdt_balance = usdt;
            wallet.trx_balance = trx;
        })?;
        Some(Step::BalanceChanged(wallet))
    }

    fn wallet_is_blocked(&mut self) -> Option<Step> {
        let id = self.random_wallet()?.id;
        let reason = invent::block_reason(&mut self.rng);
        let wallet = self.wallets.update(id, |wallet| wallet.block_reason = Some(reason.into()))?;
        Some(Step::WalletBlocked(wallet))
    }

    fn wallet_is_unblocked(&mut self) -> Option<Step> {
        let number = self.number();
        let id = self.wallets.pick_blocked(number)?.id;
        let wallet = self.wallets.update(id, |wallet| wallet.block_reason = None)?;
        Some(Step::WalletUnblocked(wallet))
    }

    fn wallet_is_replaced(&mut self) -> Option<Step> {
        let id = self.random_wallet()?.id;
        let reason = invent::block_reason(&mut self.rng);
        let new = self.replace(id, reason).ok()?;
        let old = self.wallets.get(id)?.clone();
        Some(Step::WalletReplaced { old, new })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DepositAdded(deposit) => {
                write!(f, "deposit of {} USDT for {:?}", deposit.amount, deposit.external_id)
            }
            Self::StatusChanged { deposit, from } => {
                write!(f, "deposit for {:?} went from {from} to {}", deposit.external_id, deposit.status)
            }
            Self::WalletAdded(wallet) => write!(f, "wallet for {:?}", wallet.external_id),
            Self::WalletBlocked(wallet) => {
                let reason = wallet.block_reason.as_deref().unwrap_or_default();
                write!(f, "wallet of {:?} blocked: {reason}", wallet.external_id)
            }
            Self::WalletUnblocked(wallet) => write!(f, "wallet of {:?} unblocked", wallet.external_id),
            Self::WalletReplaced { old, new } => {
                write!(f, "wallet of {:?} replaced: {} became {}", old.external_id, old.address, new.address)
            }
            Self::BalanceChanged(wallet) => {
                let Wallet { external_id, usdt_balance, trx_balance, .. } = wallet;
                write!(f, "balance of {external_id:?} is {usdt_balance} USDT, {trx_balance} TRX")
            }
        }
    }
}

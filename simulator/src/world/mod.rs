//! An in-memory Lumo company: its wallets, its deposits and its API key.
//!
//! A [`World`] is a cheap handle; clones see the same company, so a test can hold one while a [`Simulator`] serves
//! another. Every method takes the lock for a few lines and never waits for anything else. One seed and the same calls
//! make the same world, down to the last digit, unless it is [live](World::live).
//!
//! [`Simulator`]: crate::Simulator

mod deposits;
mod invent;
mod listing;
mod row;
mod state;
mod step;
mod table;
mod wallets;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

pub use crate::amount::{Amount, NotAnAmount};
use crate::clock::Pace;
use crate::serving::{Page, View, Window};
pub(crate) use crate::world::deposits::Filter;
pub use crate::world::invent::STATUSES;
pub use crate::world::listing::Order;
pub use crate::world::row::{CompanyId, Deposit, DepositId, Wallet, WalletId};
use crate::world::state::State;
pub use crate::world::step::Step;

/// The API key of a world that was given no other: obviously not a secret.
pub const DEV_KEY: &str = "lb2b_00000000000000000000000000005eed";

/// A handle to a company. Clones share it.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

/// Everything in a world at one moment, in creation order, removed rows excepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Replaced wallets included, whatever the API lists.
    pub wallets: Vec<Wallet>,
    pub deposits: Vec<Deposit>,
}

/// What a world cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorldError {
    UnknownWallet(WalletId),
    UnknownDeposit(DepositId),
    AlreadyReplaced(WalletId),
    NotAnAmount(NotAnAmount),
}

impl World {
    /// An empty company on a clock of its own: rows are stamped with invented times from 2026-01-01 on.
    pub fn new(seed: u64) -> Self {
        Self::with_pace(seed, Pace::Invented)
    }

    /// An empty company whose rows are stamped with the time of day, for demonstrations.
    pub fn live(seed: u64) -> Self {
        Self::with_pace(seed, Pace::Live)
    }

    fn with_pace(seed: u64, pace: Pace) -> Self {
        Self(Arc::new(Mutex::new(State::new(seed, pace, DEV_KEY.to_owned()))))
    }

    /// Sets the API key, for all clones.
    #[must_use]
    pub fn with_api_key(self, key: impl Into<String>) -> Self {
        self.state().key = key.into();
        self
    }

    /// Adds that many wallets, of which a few are blocked or replacements of others, then that many deposits, nearly
    /// all of them settled. Without any wallet there are no deposits either.
    pub fn seed(&self, wallets: usize, deposits: usize) {
        self.state().seed(wallets, deposits);
    }

    /// The current wallet of a user, made now if there is none.
    pub fn add_wallet(&self, external_id: &str) -> Wallet {
        self.state().add_wallet(external_id).0
    }

    /// Like [`World::add_wallet`], and whether it was made.
    pub(crate) fn create_wallet(&self, external_id: &str) -> (Wallet, bool) {
        self.state().add_wallet(external_id)
    }

    /// A new deposit of some amount, with status `new`.
    pub fn add_deposit(&self, wallet: WalletId) -> Result<Deposit, WorldError> {
        self.state().add_deposit(wallet, None)
    }

    /// A new deposit to a wallet of exactly this amount, with status `new`.
    pub fn add_deposit_of(&self, wallet: WalletId, amount: &str) -> Result<Deposit, WorldError> {
        let amount = amount.parse()?;
        self.state().add_deposit(wallet, Some(amount))
    }

    /// A new deposit to the current wallet of a user, which is made if there is none.
    pub fn add_deposit_for(&self, external_id: &str, amount: &str) -> Result<Deposit, WorldError> {
        let amount = amount.parse()?;
        let mut state = self.state();
        let (wallet, _) = state.add_wallet(external_id);
        state.add_deposit(wallet.id, Some(amount))
    }

    /// Blocks a wallet; one that is blocked already gets the new reason.
    pub fn block(&self, id: WalletId, reason: &str) -> Result<Wallet, WorldError> {
        self.state().update_wallet(id, |wallet| wallet.block_reason = Some(reason.into()))
    }

    /// Unblocks a wallet. The API has no such operation; it happens all the same.
    pub fn unblock(&self, id: WalletId) -> Result<Wallet, WorldError> {
        self.state().update_wallet(id, |wallet| wallet.block_reason = None)
    }

    /// Gives the user another wallet and returns it. The old one is blocked with this reason and keeps its deposits.
    pub fn replace(&self, id: WalletId, reason: &str) -> Result<Wallet, WorldError> {
        self.state().replace(id, reason)
    }

    /// Sets both balances of a wallet; no other method does.
    pub fn set_balance(&self, id: WalletId, usdt: &str, trx: &str) -> Result<Wallet, WorldError> {
        let (usdt, trx) = (usdt.parse()?, trx.parse()?);
        self.state().update_wallet(id, |wallet| {
            wallet.usdt_balance = usdt;
            wallet.trx_balance = trx;
        })
    }

    /// Gives a deposit a status, which may be any text, one outside of [`STATUSES`] included.
    pub fn set_deposit_status(&self, id: DepositId, status: &str) -> Result<Deposit, WorldError> {
        self.state().set_deposit_status(id, status)
    }

    /// Takes a deposit out of the world, as if it had never been.
    pub fn remove_deposit(&self, id: DepositId) -> Result<Deposit, WorldError> {
        self.state().deposits.remove(id).ok_or(WorldError::UnknownDeposit(id))
    }

    /// Takes a wallet out of the world. Its deposits stay.
    pub fn remove_wallet(&self, id: WalletId) -> Result<Wallet, WorldError> {
        self.state().wallets.remove(id).ok_or(WorldError::UnknownWallet(id))
    }

    pub fn wallet(&self, id: WalletId) -> Option<Wallet> {
        self.state().wallets.get(id).cloned()
    }

    /// The wallet a user has now, which may be blocked but is not replaced.
    pub fn wallet_of(&self, external_id: &str) -> Option<Wallet> {
        self.state().wallets.current(external_id).cloned()
    }

    pub fn deposit(&self, id: DepositId) -> Option<Deposit> {
        self.state().deposits.get(id).cloned()
    }

    /// Any wallet that is neither blocked nor replaced.
    pub fn random_wallet(&self) -> Option<Wallet> {
        self.state().random_wallet()
    }

    pub fn random_deposit(&self) -> Option<Deposit> {
        self.state().random_deposit()
    }

    /// Makes one plausible change: mostly a new deposit or the next status of a young one, now and then something else.
    pub fn random_step(&self) -> Step {
        self.state().random_step()
    }

    /// Replaces the API key, as a company login does: the old one stops working at once.
    pub fn rotate_key(&self) -> String {
        self.state().rotate_key()
    }

    /// Which company it is.
    pub fn company(&self) -> CompanyId {
        self.state().company
    }

    pub fn api_key(&self) -> String {
        self.state().key.clone()
    }

    /// A copy of everything.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state();
        Snapshot { wallets: state.wallets.all(), deposits: state.deposits.all() }
    }

    pub fn wallet_count(&self) -> usize {
        self.state().wallets.len()
    }

    pub fn deposit_count(&self) -> usize {
        self.state().deposits.len()
    }

    pub(crate) fn wallet_page(
        &self,
        view: View,
        external_id: Option<&str>,
        order: Order,
        window: Window,
    ) -> Page<Wallet> {
        self.state().wallets.page(view, external_id, order, window)
    }

    pub(crate) fn deposit_page(&self, filter: Filter<'_>, order: Order, window: Window) -> Page<Deposit> {
        self.state().deposits.page(filter, order, window)
    }

    /// Whether a status is one that the API would take as a filter.
    pub(crate) fn knows_status(&self, status: &str) -> bool {
        STATUSES.contains(&status) || self.state().deposits.knows_status(status)
    }

    /// A panic elsewhere must not make the world unreadable to the test that reports it, hence no poisoning.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let mut world = f.debug_struct("World");
        world.field("wallets", &state.wallets.len()).field("deposits", &state.deposits.len());
        world.finish_non_exhaustive()
    }
}

impl fmt::Display for WorldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownWallet(id) => write!(f, "no wallet {id}"),
            Self::UnknownDeposit(id) => write!(f, "no deposit {id}"),
            Self::AlreadyReplaced(id) => write!(f, "wallet {id} has been replaced already"),
            Self::NotAnAmount(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WorldError {}

impl From<NotAnAmount> for WorldError {
    fn from(error: NotAnAmount) -> Self {
        Self::NotAnAmount(error)
    }
}

#[cfg(test)]
mod tests;

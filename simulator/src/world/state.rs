//! The company behind a [`World`](crate::World), and every way it can change.
//!
//! Plain data behind the one lock. All chance comes from the one generator, drawn in the order of the calls, which is
//! what makes a world repeatable.

use std::sync::Arc;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::amount::Amount;
use crate::clock::{Clock, Pace};
use crate::world::WorldError;
use crate::world::deposits::Deposits;
use crate::world::invent;
use crate::world::row::{CompanyId, Deposit, DepositId, Wallet, WalletId};
use crate::world::wallets::Wallets;

/// How many addresses all deposits come from: exchanges send for many users.
const SENDERS: usize = 64;

/// How many of the latest seeded deposits are still `new`.
const STILL_NEW: usize = 5;

const CONFIRMED_AFTER: u32 = 20;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) rng: StdRng,
    pub(crate) key: String,
    pub(crate) wallets: Wallets,
    pub(crate) deposits: Deposits,
    clock: Clock,
    pub(crate) company: CompanyId,
    senders: Vec<Arc<str>>,
    block_number: u64,
    users: u64,
}

impl State {
    pub(crate) fn new(seed: u64, pace: Pace, key: String) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            key,
            wallets: Wallets::default(),
            deposits: Deposits::default(),
            clock: Clock::new(pace),
            company: CompanyId(invent::uuid(&mut rng)),
            senders: (0..SENDERS).map(|_| invent::address(&mut rng)).collect(),
            block_number: 70_000_000,
            users: 0,
            rng,
        }
    }

    pub(crate) fn seed(&mut self, wallets: usize, deposits: usize) {
        self.clock.leave_room_for(wallets.saturating_add(deposits));
        let pace = std::mem::replace(&mut self.clock.pace, Pace::Invented);
        let target = self.wallets.len().saturating_add(wallets);
        while self.wallets.len() < target {
            self.seed_wallet(target);
        }
        for left in (0..deposits).rev() {
            let Some(wallet) = self.random_wallet() else { break };
            let status = if left < STILL_NEW { "new" } else { invent::settled_status(&mut self.rng) };
            self.insert_deposit(&wallet, None, status);
        }
        self.clock.pace = pace;
    }

    /// One wallet in twenty is blocked, one in fifty has taken the place of another.
    fn seed_wallet(&mut self, target: usize) {
        let wallet = self.new_user();
        self.wallets.update(wallet.id, |row| {
            row.usdt_balance = invent::amount(&mut self.rng);
            row.trx_balance = invent::amount(&mut self.rng);
        });
        let fate = self.rng.random_range(0..100);
        let reason = invent::block_reason(&mut self.rng);
        if fate < 5 {
            self.wallets.update(wallet.id, |row| row.block_reason = Some(reason.into()));
        } else if fate < 7 && self.wallets.len() < target {
            self.put_another_in_place_of(&wallet, reason);
        }
    }

    /// The current wallet of a user, and whether it was made now.
    pub(crate) fn add_wallet(&mut self, external_id: &str) -> (Wallet, bool) {
        match self.wallets.current(external_id) {
            Some(wallet) => (wallet.clone(), false),
            None => (self.insert_wallet(external_id.into()), true),
        }
    }

    /// The first wallet of a user whom nobody has heard of.
    pub(crate) fn new_user(&mut self) -> Wallet {
        loop {
            self.users += 1;
            let external_id = invent::external_id(self.users);
            if self.wallets.current(&external_id).is_none() {
                return self.insert_wallet(external_id.into());
            }
        }
    }

    pub(crate) fn update_wallet(
        &mut self,
        id: WalletId,
        change: impl FnOnce(&mut Wallet),
    ) -> Result<Wallet, WorldError> {
        self.wallets.update(id, change).ok_or(WorldError::UnknownWallet(id))
    }

    pub(crate) fn replace(&mut self, id: WalletId, reason: &str) -> Result<Wallet, WorldError> {
        let old = self.wallets.get(id).cloned().ok_or(WorldError::UnknownWallet(id))?;
        if old.is_replaced() {
            return Err(WorldError::AlreadyReplaced(id));
        }
        Ok(self.put_another_in_place_of(&old, reason))
    }

    pub(crate) fn add_deposit(&mut self, wallet: WalletId, amount: Option<Amount>) -> Result<Deposit, WorldError> {
        let wallet = self.wallets.get(wallet).cloned().ok_or(WorldError::UnknownWallet(wallet))?;
        Ok(self.insert_deposit(&wallet, amount, "new"))
    }

    pub(crate) fn set_deposit_status(&mut self, id: DepositId, status: &str) -> Result<Deposit, WorldError> {
        if self.deposits.get(id).is_none() {
            return Err(WorldError::UnknownDeposit(id));
        }
        let at = self.clock.tick(&mut self.rng);
        let change = |deposit: &mut Deposit| {
            deposit.status = status.into();
            deposit.updated_at = at;
            if status == "confirmed" {
                deposit.confirmations = CONFIRMED_AFTER;
                deposit.confirmed_at = Some(at);
            }
        };
        self.deposits.update(id, change).ok_or(WorldError::UnknownDeposit(id))
    }

    pub(crate) fn rotate_key(&mut self) -> String {
        self.key = invent::api_key(&mut self.rng);
        self.key.clone()
    }

    pub(crate) fn random_wallet(&mut self) -> Option<Wallet> {
        let number = self.number();
        self.wallets.pick_usable(number).cloned()
    }

    pub(crate) fn random_deposit(&mut self) -> Option<Deposit> {
        let number = self.number();
        self.deposits.pick(None, number).cloned()
    }

    /// A number to pick a row with.
    pub(crate) fn number(&mut self) -> usize {
        usize::try_from(self.rng.random::<u32>()).unwrap_or_default()
    }

    fn insert_wallet(&mut self, external_id: Arc<str>) -> Wallet {
        let wallet = Wallet {
            id: WalletId(invent::uuid(&mut self.rng)),
            company_id: self.company,
            external_id,
            address: invent::address(&mut self.rng),
            block_reason: None,
            replaced_by: None,
            usdt_balance: Amount::literal("0"),
            trx_balance: Amount::literal("0"),
            created_at: self.clock.tick(&mut self.rng),
        };
        self.wallets.insert(&wallet);
        wallet
    }

    fn put_another_in_place_of(&mut self, old: &Wallet, reason: &str) -> Wallet {
        let new = self.insert_wallet(Arc::clone(&old.external_id));
        self.wallets.update(old.id, |row| {
            row.block_reason = Some(reason.into());
            row.replaced_by = Some(new.id);
        });
        new
    }

    fn insert_deposit(&mut self, wallet: &Wallet, amount: Option<Amount>, status: &str) -> Deposit {
        let amount = amount.unwrap_or_else(|| invent::amount(&mut self.rng));
        let from_address = self.senders.choose(&mut self.rng).unwrap_or(&wallet.address);
        let from_address = Arc::clone(from_address);
        let created_at = self.clock.tick(&mut self.rng);
        self.block_number += self.rng.random_range(1..=7);
        let is_confirmed = status == "confirmed";
        let deposit = Deposit {
            id: DepositId(invent::uuid(&mut self.rng)),
            company_id: wallet.company_id,
            wallet_id: wallet.id,
            external_id: Arc::clone(&wallet.external_id),
            to_address: Arc::clone(&wallet.address),
            from_address,
            tx_hash: invent::tx_hash(&mut self.rng),
            amount,
            status: status.into(),
            block_number: self.block_number,
            confirmations: if is_confirmed { CONFIRMED_AFTER } else { self.rng.random_range(0..CONFIRMED_AFTER) },
            created_at,
            updated_at: created_at,
            confirmed_at: is_confirmed.then_some(created_at),
        };
        self.deposits.insert(&deposit);
        deposit
    }
}

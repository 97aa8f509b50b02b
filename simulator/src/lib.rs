//! The Lumo B2B user-wallet API in miniature, and a recording webhook receiver.
//!
//! A [`World`] is a company in memory: wallets, deposits, an API key. A [`Simulator`] serves it over HTTP the way its
//! [`Quirks`] say, one for each fact that the published reference leaves open, and goes wrong the way its [`Faults`]
//! say. [`serving`] is the model of its pages, for tests that have a list of their own and no socket. A [`Receiver`]
//! stands at the other end and records the callbacks it is sent, verifying each by itself. The crate knows nothing of any
//! client, so it cannot share a client's misreadings.
//!
//! ```
//! use lumo_simulator::{Fault, Quirks, Simulator, SimulatorConfig, World};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let world = World::new(1);
//! world.seed(20, 100);
//! let quirks = Quirks::preset("newest_first").unwrap_or_default();
//! let simulator = Simulator::start(SimulatorConfig::local(world.clone(), quirks)).await?;
//!
//! world.add_deposit_for("user-000042", "12.500000")?;
//! simulator.faults().inject(2, Fault::CutBody);
//! // … let a client page through simulator.base_url() with world.api_key() …
//! assert_eq!(world.snapshot().deposits.len(), 101);
//! simulator.shutdown().await;
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new()?.block_on(example())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod amount;
pub mod cli;
mod clock;
pub mod receiver;
mod server;
pub mod serving;
mod simulator;
mod tron;
mod world;

pub use crate::receiver::{Answer, OrderFault, OrderReport, Received, Receiver, ReceiverConfig, Verdict};
pub use crate::serving::{Total, Visibility};
pub use crate::simulator::{
    DepositShape, Fault, Faults, Life, Operation, OverCap, Profile, Quirks, Requests, RetryAfter, Simulator,
    SimulatorConfig,
};
pub use crate::world::{
    Amount, CompanyId, DEV_KEY, Deposit, DepositId, NotAnAmount, Order, STATUSES, Snapshot, Step, Wallet, WalletId,
    World, WorldError,
};

#[cfg(test)]
mod wire;

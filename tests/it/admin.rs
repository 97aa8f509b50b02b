//! The admin HTTP of a running daemon, asked over real sockets.

mod access;
mod actions;
mod alerts;
mod api;
pub(crate) mod client;
mod dashboard;
mod described;
mod live;
mod metrics;

use lumo_simulator::World;

use crate::database::Database;
use crate::world::{Bridge, Stage, seed};

pub(crate) use client::Client;

/// A company of so many users with a deposit each, whose history was announced to `shop` and delivered, and a daemon
/// that goes on running.
async fn running(database: Database, users: usize) -> (Stage, Bridge, Client) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    for user in 0..users {
        stage.world.add_wallet(&format!("user {user}"));
        stage.world.add_deposit_for(&format!("user {user}"), "12.345678").expect("a deposit");
    }
    let (bridge, client) = daemon(&mut stage).await;
    stage.until_imported().await;
    stage.until_delivered().await;
    (stage, bridge, client)
}

/// A daemon with its admin HTTP on a free port.
pub(crate) async fn daemon(stage: &mut Stage) -> (Bridge, Client) {
    stage.settings.set("server.listen", "127.0.0.1:0".into());
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    (bridge, client)
}

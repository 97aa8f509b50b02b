//! The HTTP face of a world: the six published operations, the faults, and the control side.
//!
//! A [`Simulator`] serves one [`World`] the way its [`Quirks`] say. Everything that changes while it runs is reached
//! through shared handles, so a test can add a deposit or inject a fault between two requests of a client.

mod control;
mod damage;
mod fault;
mod gate;
mod life;
mod of_key;
mod params;
mod quirks;
mod refusal;
mod requests;
mod routes;
mod shape;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::server::Server;
pub use crate::simulator::fault::{Fault, Faults, RetryAfter};
pub use crate::simulator::life::Life;
use crate::simulator::of_key::Worlds;
pub use crate::simulator::quirks::{DepositShape, OverCap, Profile, Quirks};
pub use crate::simulator::requests::{Operation, Requests};
use crate::world::World;

/// What to serve, where and how.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    pub world: World,
    pub quirks: Quirks,
    /// How long every published operation takes at least.
    pub latency: Duration,
}

impl SimulatorConfig {
    /// On a free port of this machine, without latency.
    pub fn local(world: World, quirks: Quirks) -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), world, quirks, latency: Duration::ZERO }
    }
}

/// What all requests share.
#[derive(Debug, Clone)]
struct Shared {
    /// The company of the key, or the first one where no key was looked at yet.
    world: World,
    /// All companies, by their keys.
    worlds: Worlds,
    quirks: Quirks,
    latency: Duration,
    faults: Faults,
    requests: Requests,
    life: Life,
}

/// A running simulator. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct Simulator {
    server: Server,
    shared: Shared,
}

impl Simulator {
    /// Serves from now on, in tasks of its own. Fails if it cannot listen.
    pub async fn start(config: SimulatorConfig) -> io::Result<Self> {
        let SimulatorConfig { listen, world, quirks, latency } = config;
        let life = Life::of(world.clone());
        let worlds = Worlds::of(world.clone());
        let shared =
            Shared { world, worlds, quirks, latency, faults: Faults::default(), requests: Requests::default(), life };
        let router = routes::router(&shared).merge(control::router(&shared)).fallback(refusal::no_such_route);
        let server = Server::start(listen, router).await?;
        Ok(Self { server, shared })
    }

    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// `http://` and the address, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr())
    }

    pub fn world(&self) -> &World {
        &self.shared.world
    }

    /// Serves a further company to whoever has its key.
    pub fn add_company(&self, world: World) {
        self.shared.worlds.add(world);
    }

    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    pub fn requests(&self) -> &Requests {
        &self.shared.requests
    }

    pub fn life(&self) -> &Life {
        &self.shared.life
    }

    /// Stops life and the server; requests in progress have half a second to finish.
    pub async fn shutdown(self) {
        self.shared.life.end().await;
        self.server.shutdown().await;
    }
}

#[cfg(test)]
mod tests;

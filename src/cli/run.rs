//! `run`: the daemon.

use anyhow::Context as _;

use super::context::Context;
use super::failure::Failure;
use crate::app::reload::{self, Source};
use crate::lifecycle::{self, service_manager};

/// What to do where the address of the admin HTTP is taken.
const TAKEN: &str = "another process listens there, perhaps another lumo-bridge; set `server.listen`";

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let hangups = lifecycle::hangups().context("signals cannot be listened to")?;
    let (config, level, exporter) = context.load()?;
    let daemon = reload::daemon(config, context.clock().clone()).map_err(Failure::configuration)?;
    service_manager::keep_alive(context.stop());
    let source = Source { path: context.config_file().map(Into::into), level, hangups };
    let work = Box::pin(source.run(daemon, context.stop()));
    let ended = match exporter {
        Some(exporter) => Box::pin(exporter.beside(work)).await,
        None => work.await,
    };
    ended.map_err(|error| Failure::listening(error, TAKEN))
}

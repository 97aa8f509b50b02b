//! `run`: the daemon.

use super::context::Context;
use super::failure::Failure;
use crate::app::{self, Daemon};

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let config = context.load()?.config;
    let missing = config.check_secrets();
    if let Some(first) = missing.first() {
        return Err(Failure::usage(first.to_string()));
    }
    let endpoints = app::endpoints(&config.callbacks)?;
    app::check_signing(&endpoints, context.clock().now())?;
    if endpoints.is_empty() {
        tracing::warn!("no endpoint is configured: changes are stored, nobody is told");
    }
    let daemon = Daemon { config, clock: context.clock().clone(), endpoints };
    Ok(daemon.run(context.stop()).await?)
}

//! The log: lines for people or JSON for machines, always on stderr.
//!
//! Standard output belongs to data. Nothing that is logged carries a key, a signature, a body or a query.

pub mod config;

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Context;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::{EnvFilter, reload};

pub use config::{Config, Format};

/// What is logged from now on can be changed with this.
#[derive(Clone)]
pub struct Level(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Level {
    /// Logs what this level, or filter, lets through.
    ///
    /// # Errors
    /// If it is no filter.
    pub fn set(&self, level: &str) -> anyhow::Result<()> {
        (self.0)(filter(level)?).context("log not changed")
    }
}

/// Starts logging.
///
/// # Errors
/// If the level is no filter, or logging was started before.
pub fn start(config: &Config) -> anyhow::Result<Level> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(&config.level)?)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_target(false);
    let (started, level) = match config.format {
        Format::Text => {
            let log = log.with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
            let handle = log.reload_handle();
            (
                log.try_init().map_err(|error| anyhow::anyhow!(error)),
                Level(Arc::new(move |filter| handle.reload(filter))),
            )
        }
        Format::Json => {
            let log = log.json().flatten_event(true).with_current_span(false).with_filter_reloading();
            let handle = log.reload_handle();
            (
                log.try_init().map_err(|error| anyhow::anyhow!(error)),
                Level(Arc::new(move |filter| handle.reload(filter))),
            )
        }
    };
    started.context("log not started")?;
    Ok(level)
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    // What the migrator says at `info`, and PostgreSQL of it, is said by whoever calls it, once and in context.
    EnvFilter::try_new(format!("sea_orm_migration=warn,sqlx::postgres::notice=warn,{level}"))
        .with_context(|| format!("log.level: `{level}` is no filter"))
}

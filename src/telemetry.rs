//! The log: lines for people or JSON for machines, always on stderr.
//!
//! Standard output belongs to data. Nothing that is logged carries a key, a signature, a body or a query.

pub mod config;

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

pub use config::{Config, Format};

/// Starts logging.
///
/// # Errors
/// If the level is no filter, or logging was started before.
pub fn start(config: &Config) -> anyhow::Result<()> {
    let level = config.level.as_str();
    // What the migrator says at `info`, and PostgreSQL of it, is said by whoever calls it, once and in context.
    let filter = EnvFilter::try_new(format!("sea_orm_migration=warn,sqlx::postgres::notice=warn,{level}"))
        .with_context(|| format!("log.level: `{level}` is no filter"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_target(false);
    let started = match config.format {
        Format::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => log.json().flatten_event(true).with_current_span(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!(error)).context("log not started")
}

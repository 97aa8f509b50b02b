//! The log, lines for people or JSON for machines, always on stderr; and the traces, for those who collect them.
//!
//! Standard output belongs to data. Nothing that is logged or traced carries a key, a signature, a body or a query.

pub mod config;
mod exporter;
mod otlp;
mod tracer;

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::Context;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

pub use config::{Config, Format, Telemetry};
pub use exporter::{Exporter, export};
pub use tracer::Tracer;

/// The lowest level at which a library may say something, whatever `log.level` asks for: below it these write urls with
/// their passwords, the values of parameters, or headers.
const LIBRARIES: [(&str, LevelFilter); 7] = [
    // It quotes the parameters of `database.url` that it does not know.
    ("sqlx_postgres::options", LevelFilter::OFF),
    ("sqlx", LevelFilter::DEBUG),
    ("sea_orm", LevelFilter::DEBUG),
    ("h2", LevelFilter::INFO),
    ("hyper", LevelFilter::INFO),
    ("reqwest", LevelFilter::INFO),
    ("rustls", LevelFilter::INFO),
];

/// Whether nothing secret can be in it.
fn is_safe(metadata: &Metadata<'_>) -> bool {
    let mut limits = LIBRARIES.iter().filter(|(library, _)| metadata.target().starts_with(library));
    limits.all(|(_, limit)| metadata.level() <= limit)
}

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

/// Starts logging, and tracing if there is a tracer.
///
/// # Errors
/// If the level is no filter, or logging was started before.
pub fn start(config: &Config, tracer: Option<Tracer>) -> anyhow::Result<Level> {
    let (filter, handle) = reload::Layer::new(filter(&config.level)?);
    let filter = filter.and(filter_fn(is_safe));
    let log = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![match config.format {
        Format::Text => log.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed(),
        Format::Json => log.json().flatten_event(true).with_current_span(false).with_filter(filter).boxed(),
    }];
    // Traces have a filter of their own, so that the level of the log does not decide what is traced.
    let spans = filter_fn(Tracer::wants).with_max_level_hint(LevelFilter::DEBUG);
    layers.extend(tracer.map(|tracer| tracer.with_filter(spans).boxed()));
    tracing_subscriber::registry().with(layers).try_init().context("log not started")?;
    Ok(Level(Arc::new(move |filter| handle.reload(filter))))
}

/// What is said in any case by whoever uses the database, once and in context: that a server ends its sessions, and that
/// a connection broke or was slow to come. The driver says it for each connection.
const DRIVER: &str = "sqlx::postgres::notice=error,sqlx::pool=error,sqlx_core::pool=error";

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    // So is what the migrator says at `info`. Whoever names the driver gets what he asks for.
    let driver = if level.contains("sqlx") { "sqlx::postgres::notice=warn" } else { DRIVER };
    EnvFilter::try_new(format!("sea_orm_migration=warn,{driver},{level}"))
        .with_context(|| format!("log.level: `{level}` is no filter"))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_driver_is_heard_of_connections_only_where_the_filter_names_it() {
        for (level, is_heard) in
            [("info", false), ("debug", false), ("info,sqlx=warn", true), ("warn,sqlx=debug", true)]
        {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(filter(level).unwrap()), || {
                assert_eq!(tracing::enabled!(target: "sqlx::postgres::notice", Level::WARN), is_heard, "{level}");
                assert_eq!(tracing::enabled!(target: "sqlx::pool::acquire", Level::WARN), is_heard, "{level}");
                assert!(tracing::enabled!(target: "sqlx_core::pool::inner", Level::ERROR), "{level}");
                assert!(tracing::enabled!(target: "lumo_bridge::sync", Level::WARN), "{level}");
            });
        }
    }
}

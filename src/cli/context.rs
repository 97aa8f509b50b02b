//! What commands work with, made when first asked for.

use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::Global;
use super::failure::Failure;
use super::printer::Printer;
use crate::app;
use crate::clock::Clock;
use crate::config::{self, Config, Loaded};
use crate::lifecycle::Stop;
use crate::lumo::Client;
use crate::model::subscriber::Subscriber;
use crate::store::{self, Need, Store};
use crate::telemetry;

/// The setting of one command.
pub(super) struct Context {
    global: Global,
    printer: Printer,
    stop: Stop,
    clock: Clock,
}

impl Context {
    pub(super) fn new(global: Global, printer: Printer, stop: Stop) -> Self {
        Self { global, printer, stop, clock: Clock::system() }
    }

    pub(super) fn printer(&self) -> &Printer {
        &self.printer
    }

    pub(super) fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether more was asked for than usual.
    pub(super) fn is_verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// The configuration file that was named, if one was.
    pub(super) fn config_file(&self) -> Option<&Path> {
        self.global.config.as_deref()
    }

    /// Loads the configuration, and starts logging as it says, or as `-v` and `-q` do, and tracing; what changes the level
    /// is given only where they do not.
    pub(super) fn load(&self) -> Result<(Config, Option<telemetry::Level>, Option<telemetry::Exporter>), Failure> {
        let config = Config::load(self.config_file(), config::environment())?.config;
        let (tracer, exporter) = config.telemetry.traces.as_ref().map(telemetry::export).transpose()?.unzip();
        let asked = self.level();
        let level = start_log(&config.log, asked, tracer)?;
        Ok((config, asked.is_none().then_some(level), exporter))
    }

    /// As [`Context::load`], for a command that is done in a moment: unless asked, only warnings are logged.
    pub(super) fn load_quietly(&self) -> Result<Loaded, Failure> {
        let loaded = Config::load(self.config_file(), config::environment())?;
        start_log(&loaded.config.log, self.level().or(Some("warn")), None)?;
        Ok(loaded)
    }

    /// What the command line wants to be logged.
    fn level(&self) -> Option<&'static str> {
        match (self.global.quiet, self.global.verbose) {
            (true, _) => Some("error"),
            (_, 0) => None,
            (_, 1) => Some("info,lumo_bridge=debug"),
            _ => Some("debug,lumo_bridge=trace"),
        }
    }

    /// Brings the tables up to date, unless the configuration leaves that to the operator: for commands that store.
    pub(super) async fn migrate(&self, config: &Config) -> Result<(), Failure> {
        if config.database.migrate {
            crate::store::schema::up(&config.database)
                .await
                .with_context(|| format!("tables not brought up to date in {}", config.database.url))?;
        }
        Ok(())
    }

    /// The database, without the endpoints: for commands that only look.
    pub(super) async fn store(&self, config: &Config) -> Result<Store, Failure> {
        Ok(self.open(config, Vec::new()).await?)
    }

    /// Loads the configuration, opens the database, works with it and closes it: the whole of a command that looks.
    pub(super) async fn with_store<T>(
        &self,
        work: impl AsyncFnOnce(&Config, &Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Loaded { config, path } = self.load_quietly()?;
        let store = self.open(&config, Vec::new()).await.map_err(|error| unopened(error, &config, path.as_deref()))?;
        let result = work(&config, &store).await;
        store.close().await;
        result
    }

    /// The database, with the endpoints as the log sees them: for commands that may cause events. The daemon sends these,
    /// so no secret of an endpoint is needed.
    pub(super) async fn store_to_publish(&self, config: &Config) -> Result<Store, Failure> {
        let subscribers = app::configured_subscribers(&config.callbacks)?;
        Ok(self.open(config, subscribers).await?)
    }

    async fn open(&self, config: &Config, subscribers: Vec<Subscriber>) -> anyhow::Result<Store> {
        let store = Store::open_for(Need::Little, &config.database, subscribers)
            .await
            .with_context(|| format!("{} not opened", config.database.url))?
            .with_settled_statuses(app::settled_statuses(config));
        store.ping().await.context("database not ready")?;
        Ok(store)
    }

    /// A client of the Lumo API.
    pub(super) fn client(&self, config: &Config) -> Result<Client, Failure> {
        let key = config.lumo.api_key.resolve("lumo.api_key")?;
        Ok(Client::new(&config.lumo, key).context("client for Lumo not set up")?)
    }
}

/// Where no configuration was found, a database that does not exist is not the one that is meant.
fn unopened(error: anyhow::Error, config: &Config, path: Option<&Path>) -> Failure {
    let is_missing = error.chain().any(|cause| matches!(cause.downcast_ref(), Some(store::Error::NoFile { .. })));
    if path.is_some() || !is_missing {
        return Failure::work(error);
    }
    let url = &config.database.url;
    let problem = anyhow!(
        "no configuration file was found; by the defaults and the environment the database is {url}, which does not exist"
    );
    Failure::work(problem).with_hint("name the file with `--config`, or write one with `lumo-bridge config init`")
}

/// Starts the log at the level that is asked for, or else as configured.
fn start_log(
    log: &telemetry::Config,
    level: Option<&str>,
    tracer: Option<telemetry::Tracer>,
) -> Result<telemetry::Level, Failure> {
    let level = level.map_or_else(|| log.level.clone(), Into::into);
    Ok(telemetry::start(&telemetry::Config { level, ..log.clone() }, tracer)?)
}

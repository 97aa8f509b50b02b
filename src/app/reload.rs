//! The daemon with a configuration that may change while it runs: on SIGHUP the file is read again.
//!
//! What is in force is always one whole file. A new one is tried as far as it can be without doing anything; when
//! something is wrong with it, that is logged and the old one stays in force. When all is well, a second set of parts
//! starts with it and the first one is told to stop. For a moment both run, over the same connections, which is what two
//! processes on one database may do at any time. No callback is lost: the first set gives up the lead of an endpoint once what it
//! has in flight there is answered and written, and the second goes on from the endpoint's position. The listings go from one to
//! the other with their lease.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Daemon, Running, check_signing, endpoints, listen};
use crate::callback::ConfigError;
use crate::chain::Chain;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::lifecycle::{DRAIN, Stop, service_manager};
use crate::store::Store;
use crate::telemetry::Level;

const RELOADED: &str = "configuration reloaded; it is in force";
const NOT_RELOADED: &str = "configuration not reloaded; the one before stays in force";

/// Where a new configuration comes from, and what asks for it.
pub struct Source {
    /// The file that was named, if one was.
    pub path: Option<PathBuf>,
    /// What changes the level of the log, unless the command line has chosen it.
    pub level: Option<Level>,
    pub hangups: Signal,
}

/// Reads a configuration and makes of it what can run, in the same way at the start and later.
///
/// # Errors
/// Everything that is wrong with it.
pub fn daemon(config: Config, clock: Clock) -> Result<Daemon, Vec<String>> {
    let missing: Vec<String> = config.check_secrets().iter().map(ToString::to_string).collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let endpoints = endpoints(&config.callbacks).map_err(told)?;
    check_signing(&endpoints, clock.now()).map_err(told)?;
    let excessive: Vec<_> = endpoints.iter().filter_map(|endpoint| endpoint.try_templates().err()).collect();
    if !excessive.is_empty() {
        return Err(told(excessive));
    }
    if endpoints.is_empty() {
        tracing::warn!("no endpoint is configured: changes are stored, nobody is told");
    }
    Ok(Daemon { config, clock, endpoints })
}

fn told(errors: Vec<ConfigError>) -> Vec<String> {
    errors.iter().map(|error| Chain(error).to_string()).collect()
}

impl Source {
    /// Runs the daemon until `stop.soft` is cancelled, with the configuration that is in force.
    ///
    /// # Errors
    /// As [`Daemon::run`]; a new configuration that cannot be used is none.
    pub async fn run(mut self, daemon: Daemon, stop: &Stop) -> anyhow::Result<()> {
        let (mut config, clock) = (daemon.config.clone(), daemon.clock.clone());
        let listener = listen(&config).await?.map(TcpListener::into_std).transpose()?;
        let retired = TaskTracker::new();
        let mut own = below(stop);
        let start = Box::pin(daemon.start(&own, again(listener.as_ref())?, None));
        let Some(started) = stop.soft.run_until_cancelled(start).await else {
            service_manager::stopping().await;
            tracing::info!("stopped");
            return Ok(());
        };
        let mut running = started?;
        let store = running.store.clone();
        service_manager::ready().await;
        while let Some(()) = own.soft.run_until_cancelled(self.hangups.recv()).await.flatten() {
            service_manager::reloading().await;
            let next = below(stop);
            let replaced = Box::pin(self.replace(&config, &clock, &store, &next, listener.as_ref()));
            let Some(replaced) = stop.soft.run_until_cancelled(replaced).await else { break };
            let status = match replaced {
                Ok((new, started)) => {
                    tracing::info!("{RELOADED}");
                    config = new;
                    retired.spawn(retire(std::mem::replace(&mut running, started)));
                    own = next;
                    RELOADED
                }
                Err(error) => {
                    // What had started before the one that could not.
                    next.soft.cancel();
                    next.hard.cancel();
                    let problem = Chain(error.as_ref()).to_string().replace('\n', "; ");
                    tracing::error!(error = %problem, "{NOT_RELOADED}");
                    NOT_RELOADED
                }
            };
            service_manager::reloaded(status).await;
        }
        service_manager::stopping().await;
        // Where a part has ended by itself, everything ends, within the time to drain.
        stop.soft.cancel();
        let ended = running.ended().await;
        retired.close();
        retired.wait().await;
        store.close().await;
        ended?;
        tracing::info!("stopped");
        Ok(())
    }

    /// Starts what the file says now.
    async fn replace(
        &self,
        old: &Config,
        clock: &Clock,
        store: &Store,
        stop: &Stop,
        listener: Option<&std::net::TcpListener>,
    ) -> anyhow::Result<(Config, Running)> {
        let path = self.path.clone();
        // Off the threads that everything else runs on: a large file takes its time.
        let read = tokio::task::spawn_blocking(move || Config::load(path.as_deref(), config::environment()));
        let new = read.await.context("configuration not read")??.config;
        for (key, is_same) in [
            ("database", new.database.url == old.database.url && shown(&new.database)? == shown(&old.database)?),
            ("server.listen", new.server.listen == old.server.listen),
            ("log.format", new.log.format == old.log.format),
            ("telemetry", new.telemetry.traces == old.telemetry.traces),
        ] {
            ensure!(is_same, "`{key}` has changed, which takes a restart");
        }
        let (config, time) = (new.clone(), clock.clone());
        let made =
            tokio::task::spawn_blocking(move || daemon(config, time)).await.context("configuration not tried")?;
        let daemon = match made {
            Ok(daemon) => daemon,
            Err(problems) => bail!(problems.join("\n")),
        };
        let running = daemon.start(stop, again(listener)?, Some(store)).await?;
        if let Some(level) = &self.level
            && let Err(error) = level.set(&new.log.level)
        {
            tracing::warn!(error = %Chain(error.as_ref()), "the level of the log stays as it was");
        }
        Ok((new, running))
    }
}

fn shown(section: &impl serde::Serialize) -> anyhow::Result<String> {
    serde_json::to_string(section).context("configuration not compared")
}

/// Tokens that are cancelled with the given ones, and can be by themselves.
fn below(stop: &Stop) -> Stop {
    Stop { soft: stop.soft.child_token(), hard: stop.hard.child_token() }
}

/// The same socket once more: whoever connects while one set of parts follows another is not refused.
fn again(listener: Option<&std::net::TcpListener>) -> anyhow::Result<Option<TcpListener>> {
    let again = listener.map(|listener| TcpListener::from_std(listener.try_clone()?)).transpose();
    again.context("the admin HTTP's socket cannot be handed on")
}

/// Ends a set of parts that another has replaced, within the time to drain.
async fn retire(running: Running) {
    let Stop { soft, hard } = running.stop.clone();
    soft.cancel();
    let over = CancellationToken::new();
    let ended = async {
        if let Err(error) = running.ended().await {
            tracing::warn!(error = %Chain(error.as_ref()), "what the configuration before had started");
        }
        over.cancel();
    };
    let late = async {
        if over.run_until_cancelled(tokio::time::sleep(DRAIN)).await.is_some() {
            hard.cancel();
        }
    };
    tokio::join!(ended, late);
}

//! `endpoint`: how the endpoints fare; pausing, resuming and testing them.

mod test;

use lumo_bridge_entity::endpoint::State;
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::{safe, user, view};
use crate::config::Config;
use crate::model::id::EndpointName;
use crate::model::suggest::endpoint_instead;
use crate::store::Store;
use crate::view::{Endpoint, finding};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the endpoints, those that were taken out of the configuration too
    #[command(after_help = "Example: lumo-bridge endpoint list --json")]
    List,
    /// Stop calling an endpoint; what is for it waits
    #[command(after_help = "Example: lumo-bridge endpoint pause shop")]
    Pause {
        /// Its name in the configuration
        name: EndpointName,
    },
    /// Call an endpoint again that is paused, suspended, failing or held; what waits goes out, in order
    #[command(after_help = "Example: lumo-bridge endpoint resume shop --skip-held --yes")]
    Resume {
        /// Its name in the configuration
        name: EndpointName,
        /// Give up everything that waits for it, before it is called again
        #[arg(long)]
        skip_held: bool,
        /// Give it up without asking; without this, what waits is only counted
        #[arg(long, requires = "skip_held")]
        yes: bool,
    },
    /// Send an endpoint a signed test event now, past the queue, and show what it answers
    #[command(after_help = "Example: lumo-bridge endpoint test shop --event deposit.settled --set object.amount=5")]
    Test(test::Args),
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::List => {
            let endpoints = context
                .with_store(async |config, store| Ok(Endpoint::load(store, &config.callbacks.endpoints).await?))
                .await?;
            view::list(context, &endpoints)?;
            if !context.printer().json() {
                let findings = finding::of_endpoints(&endpoints, context.clock().now());
                findings.iter().for_each(|finding| context.printer().say(safe::text(&finding.message)));
            }
            Ok(())
        }
        Command::Pause { name } => set(context, &name, State::Paused, Waiting::Keep).await,
        Command::Resume { name, skip_held, yes } => {
            let waiting = match (skip_held, yes) {
                (false, _) => Waiting::Keep,
                (true, false) => Waiting::Count,
                (true, true) => Waiting::Skip,
            };
            set(context, &name, State::Active, waiting).await
        }
        Command::Test(args) => test::run(context, args).await,
    }
}

/// What becomes of the deliveries that wait for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Keep,
    /// They are given up if there are none.
    Count,
    Skip,
}

/// An endpoint's new state.
#[derive(Serialize)]
struct Changed<'a> {
    name: &'a EndpointName,
    state: &'static str,
    /// How many deliveries were given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u64>,
    /// Whether it is certain that nothing more is on its way to it, where it was paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_certain: Option<bool>,
}

async fn set(context: &Context, name: &EndpointName, state: State, waiting: Waiting) -> Result<(), Failure> {
    let (now, by) = (context.clock().now(), user::actor());
    let done = context.with_store(async |config, store| {
        let is_configured = config.callbacks.endpoints.contains_key(name.as_str());
        if waiting == Waiting::Count
            && let Some(cost) = Endpoint::cost_of_skipping(name, &store.undelivered().await?)
        {
            let hint = if is_configured {
                "say `--yes` to give them up, or leave `--skip-held` out to send them"
            } else {
                "say `--yes` to give them up, or put the endpoint back into the configuration to send them"
            };
            return Err(Failure::usage(cost).with_hint(hint));
        }
        let skipped = match waiting {
            Waiting::Keep => None,
            Waiting::Count | Waiting::Skip => Some(store.skip_all_waiting(name, &by, now).await?),
        };
        if is_configured {
            introduce(context, config, store, name).await?;
        }
        let Some(position) = store.set_endpoint_state(name, state, &by, now).await? else {
            return Err(unknown(config, name));
        };
        let is_certain = match state {
            State::Paused => Some(store.until_seen(name, position.revision).await?),
            _ => None,
        };
        Ok((skipped, is_configured, is_certain))
    });
    let (skipped, is_configured, is_certain) = done.await?;
    let printer = context.printer();
    if printer.json() {
        return Ok(printer.document(&Changed { name, state: state.as_str(), skipped, is_certain })?);
    }
    if let Some(skipped) = skipped {
        printer.say(format!("deliveries to {name} that were skipped: {skipped}"));
    }
    printer.say(match state {
        State::Paused if is_certain == Some(false) => {
            format!(
                "{name} is paused; noted, but who delivers to it has not said so: something may be on its way already"
            )
        }
        State::Paused => format!("{name} is paused; what is for it waits until `lumo-bridge endpoint resume {name}`"),
        _ if !is_configured && skipped.is_some() => format!("{name} is not configured; nothing waits for it any more"),
        _ if !is_configured => format!("{name} is not configured; what is for it waits until it is"),
        _ => format!("{name} is active; what waits for it goes out while the daemon runs"),
    });
    Ok(())
}

/// Makes the tables know an endpoint of the configuration, where no daemon has run since it was written there.
pub(super) async fn introduce(
    context: &Context,
    config: &Config,
    store: &Store,
    name: &EndpointName,
) -> Result<(), Failure> {
    if store.endpoint(name).await?.is_some() {
        return Ok(());
    }
    let store = context.store_to_publish(config).await?;
    let introduced = store.introduce_endpoints(context.clock().now()).await;
    store.close().await;
    Ok(introduced?)
}

/// Refuses the name of an endpoint that neither the configuration nor the tables know.
pub(super) async fn expect_known(config: &Config, store: &Store, name: Option<&EndpointName>) -> Result<(), Failure> {
    let Some(name) = name else { return Ok(()) };
    if config.callbacks.endpoints.contains_key(name.as_str()) || store.endpoint(name).await?.is_some() {
        return Ok(());
    }
    Err(unknown(config, name))
}

/// That there is no such endpoint in the configuration.
pub(super) fn unknown(config: &Config, name: &EndpointName) -> Failure {
    let known: Vec<&str> = config.callbacks.endpoints.keys().map(String::as_str).collect();
    let hint = endpoint_instead(name.as_str(), &known);
    Failure::absent("endpoint", name, &hint)
}

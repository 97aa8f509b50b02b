//! The command line: one file per group of commands, each a thin function over the layers below.
//!
//! Data goes to standard output, words and progress to standard error. A command ends with 0 when it has done its work, 1
//! when the work failed, and 2 when it was asked wrongly or the configuration is wrong.

mod account;
mod callback;
mod check;
mod config;
mod context;
mod delivery;
mod demo;
mod deposit;
mod endpoint;
mod event;
mod event_types;
mod failure;
mod fields;
mod filter;
mod health;
mod manual;
mod migrate;
mod news;
mod pages;
mod printer;
mod progress;
mod reconcile;
mod run;
mod safe;
mod status;
mod style;
mod sync;
mod table;
mod text;
mod time;
mod trial;
mod user;
mod view;
mod wallet;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use context::Context;
use failure::Failure;
use printer::Printer;

use crate::lifecycle::{self, Stop};

const STATUS_HELP: &str = "\
Example: lumo-bridge status --json

Exit code: 0 whatever it says, 1 if the database cannot be read. A monitor takes `lumo-bridge health --ready`.";

/// Keeps a merchant's database in step with the Lumo B2B API, and tells the merchant's own systems about every change.
#[derive(Debug, Parser)]
#[command(
    name = "lumo-bridge",
    version,
    propagate_version = true,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "Examples:\n  lumo-bridge demo --for 20s\n  lumo-bridge config init && lumo-bridge check"
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Where the help of a command shows what every command takes.
const GLOBAL: &str = "Global options";

/// What every command takes.
#[derive(Clone, Debug, clap::Args)]
struct Global {
    /// The configuration file [default: ./config/lumo-bridge.yaml, else /etc/lumo-bridge/config.yaml]
    #[arg(long, short, global = true, help_heading = GLOBAL, env = "LUMO_BRIDGE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// Log more; twice for everything
    #[arg(long, short, global = true, help_heading = GLOBAL, action = ArgAction::Count)]
    verbose: u8,
    /// Log only errors, and show no progress
    #[arg(long, short, global = true, help_heading = GLOBAL, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See everything at work in one process, with no configuration: simulator, bridge, receiver
    Demo(demo::Args),
    /// Run the daemon: sync on schedule, deliver callbacks, serve the admin HTTP
    #[command(after_help = "Example: lumo-bridge run --config /etc/lumo-bridge/config.yaml")]
    Run,
    /// Make one pass over the listings now
    ///
    /// Beside a running daemon, and before a first import, it reads the whole list. Where no daemon runs, it reads what is
    /// new, as far as the order of the list is known.
    Sync(sync::Args),
    /// Examine the configuration, the database, the API key and every endpoint
    Check(check::Args),
    /// Say whether everything is synced and delivered, or what is wrong; show each listing and each endpoint
    #[command(after_help = STATUS_HELP)]
    Status,
    /// Ask the daemon that runs here how it is; exit code 1 if it does not answer or is not well
    Health(health::Args),
    /// Show whose data the tables hold; give them to another company or server
    #[command(subcommand)]
    Account(account::Command),
    /// Compare what is settled with what you have booked; exit code 1 if anything differs
    Reconcile(reconcile::Args),
    /// Bring the tables up to date, take them back, or show where they stand
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Create, block and replace wallets at Lumo; list those that are known
    #[command(subcommand)]
    Wallet(wallet::Command),
    /// List the deposits that are known
    #[command(subcommand)]
    Deposit(deposit::Command),
    /// List what happened; tell it again
    #[command(subcommand)]
    Event(event::Command),
    /// List what was sent, is waiting, or failed; try again, or give up
    #[command(subcommand)]
    Delivery(delivery::Command),
    /// List the endpoints; pause, resume and test them
    #[command(subcommand)]
    Endpoint(endpoint::Command),
    /// Help for whoever writes a receiver: verify a captured callback, listen for callbacks
    #[command(subcommand)]
    Callback(callback::Command),
    /// Write a starter file, show what is in force, print the JSON Schema
    #[command(subcommand)]
    Config(config::Command),
    /// Run the upstream simulator alone
    #[command(after_help = "Example: lumo-bridge simulate --life 2 --preset nested")]
    Simulate(lumo_simulator::cli::Args),
    /// Print a script that completes commands in a shell
    Completions(manual::Completions),
    /// Print the manual, a page for each command
    #[command(after_help = "Example: lumo-bridge man | man -l -")]
    Man,
}

/// Runs the command that the arguments ask for.
pub async fn run(cli: Cli) -> ExitCode {
    let Cli { global, command } = cli;
    let printer = Printer::new(global.json, global.quiet);
    let stop = Stop::default();
    let tasks = TaskTracker::new();
    if let Err(error) = lifecycle::watch_signals(&stop, &tasks) {
        return Failure::work(anyhow::Error::new(error).context("signals cannot be listened to")).report(&printer);
    }
    let context = Context::new(global, printer.clone(), stop);
    let given_up = given_up(&command, context.stop());
    match given_up.run_until_cancelled(execute(&context, command)).await {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(failure)) => failure.report(&printer),
        None => ExitCode::FAILURE,
    }
}

/// When a command is dropped as it stands: what was not committed by then is rolled back.
fn given_up(command: &Command, stop: &Stop) -> CancellationToken {
    match command {
        // Ends by itself, within the time to drain.
        Command::Run => CancellationToken::new(),
        // End in good order at the first signal, at once at the second.
        Command::Demo(_)
        | Command::Sync(_)
        | Command::Migrate(_)
        | Command::Wallet(_)
        | Command::Callback(_)
        | Command::Simulate(_) => stop.hard.clone(),
        Command::Event(command) if command.ends_by_itself() => stop.hard.clone(),
        Command::Deposit(command) if command.ends_by_itself() => stop.hard.clone(),
        _ => stop.soft.clone(),
    }
}

async fn execute(context: &Context, command: Command) -> Result<(), Failure> {
    // Boxed, because the futures of whole commands nest deeper than the compiler follows.
    match command {
        Command::Demo(args) => Box::pin(demo::run(context, args)).await,
        Command::Run => Box::pin(run::run(context)).await,
        Command::Sync(args) => Box::pin(sync::run(context, args)).await,
        Command::Check(args) => Box::pin(check::run(context, args)).await,
        Command::Status => Box::pin(status::run(context)).await,
        Command::Health(args) => Box::pin(health::run(context, args)).await,
        Command::Account(command) => Box::pin(account::run(context, command)).await,
        Command::Reconcile(args) => Box::pin(reconcile::run(context, args)).await,
        Command::Migrate(command) => Box::pin(migrate::run(context, command)).await,
        Command::Wallet(command) => Box::pin(wallet::run(context, command)).await,
        Command::Deposit(command) => Box::pin(deposit::run(context, command)).await,
        Command::Event(command) => Box::pin(event::run(context, command)).await,
        Command::Delivery(command) => Box::pin(delivery::run(context, command)).await,
        Command::Endpoint(command) => Box::pin(endpoint::run(context, command)).await,
        Command::Callback(command) => Box::pin(callback::run(context, command)).await,
        Command::Config(command) => config::run(context, command),
        Command::Completions(args) => {
            manual::completions(context, &args);
            Ok(())
        }
        Command::Man => manual::man(context),
        Command::Simulate(args) => {
            let stopped = context.stop().soft.clone().cancelled_owned();
            lumo_simulator::cli::run(args, stopped).await.map_err(|error| Failure::work(error.into()))
        }
    }
}

#[cfg(test)]
mod tests;

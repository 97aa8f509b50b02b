//! The simulator on its own: parses the command line and serves until it is told to stop.
//!
//! Everything it does is in the library.

use std::io;

use clap::Parser;
use lumo_simulator::cli;
use tokio::signal::unix::{SignalKind, signal};

/// The Lumo B2B user-wallet API in miniature
#[derive(Parser)]
#[command(name = "lumo-simulator", version)]
struct Command {
    #[command(flatten)]
    args: cli::Args,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let Command { args } = Command::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let stopped = async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    cli::run(args, stopped).await
}

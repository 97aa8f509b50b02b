//! Parses the command line, runs the command, and turns the result into an exit code.

use std::process::ExitCode;

use clap::Parser;
use lumo_bridge::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    // One TLS provider for everything; the only failure is that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    cli::run(Cli::parse()).await
}

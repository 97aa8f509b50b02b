//! `callback`: for whoever writes a receiver.

mod listen;
mod verify;

use super::context::Context;
use super::failure::Failure;
use crate::chain::Chain;
use crate::model::sign::SigningSecret;
use crate::setting::Secret;

/// What to do about a text that is no signing secret.
pub(super) const NEW_SECRET: &str = "make one with: echo \"whsec_$(openssl rand -base64 32)\"";

const VERIFY_HELP: &str = "\
Example: lumo-bridge callback verify --secret \"$SHOP_WEBHOOK_SECRET\" < request.txt

The input is the request as it came: its headers, an empty line, and its body, byte for byte.
The secret may come from the variable LUMO_CALLBACK_SECRET as well: on a command line other users of the machine can
read it.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Say what is wrong with the signature of a captured request, which is read from standard input
    #[command(after_help = VERIFY_HELP)]
    Verify(verify::Args),
    /// Print each callback as it comes, until Ctrl-C
    #[command(after_help = "Example: lumo-bridge callback listen --port 8800 --body")]
    Listen(listen::Args),
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Verify(args) => verify::run(context, &args).await,
        Command::Listen(args) => listen::run(context, args).await,
    }
}

/// The secrets of the command line or the environment. A wrong one is told by its place, and not repeated.
fn parse(secrets: &[Secret]) -> Result<Vec<SigningSecret>, Failure> {
    let parse = |(at, secret): (usize, &Secret)| {
        secret.expose().parse().map_err(|error| {
            Failure::usage(format!("secret {} of {}: {}", at + 1, secrets.len(), Chain(&error))).with_hint(NEW_SECRET)
        })
    };
    secrets.iter().enumerate().map(parse).collect()
}

//! What the command line says of itself: completion scripts for shells, and the manual.

use clap::builder::PossibleValue;
use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;
use super::context::Context;
use super::failure::Failure;

/// Which shell.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: lumo-bridge completions bash > ~/.local/share/bash-completion/completions/lumo-bridge"
)]
pub(super) struct Completions {
    /// The shell that it is for
    shell: Known,
}

/// The shells that scripts are made for.
#[derive(Clone, Copy, Debug)]
struct Known(Shell);

impl ValueEnum for Known {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self(Shell::Bash), Self(Shell::Zsh), Self(Shell::Fish)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        self.0.to_possible_value()
    }
}

pub(super) fn completions(context: &Context, args: &Completions) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell.0, &mut Cli::command(), "lumo-bridge", &mut script);
    print(context, &script);
}

pub(super) fn man(context: &Context) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let mut roff = Vec::new();
    pages(&command, &mut roff).map_err(|error| Failure::work(error.into()))?;
    // Where the generator says "extra", there is an example.
    let text = String::from_utf8_lossy(&roff).replace("\n.SH EXTRA\n", "\n.SH EXAMPLE\n");
    print(context, text.as_bytes());
    Ok(())
}

/// The page of a command, and those of the commands below it.
fn pages(command: &Command, roff: &mut Vec<u8>) -> std::io::Result<()> {
    Man::new(command.clone()).manual("lumo-bridge").render(roff)?;
    command.get_subcommands().try_for_each(|command| pages(command, roff))
}

fn print(context: &Context, text: &[u8]) {
    context.printer().line(String::from_utf8_lossy(text).trim_end());
}

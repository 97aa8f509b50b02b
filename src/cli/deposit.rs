//! `deposit`: the deposits that are known.

pub(super) mod list;
mod statuses;
mod watch;

use super::context::Context;
use super::failure::Failure;
use super::view;
use crate::model::id::DepositId;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List deposits, the newest first
    #[command(
        after_help = "Example: lumo-bridge deposit list --settled --since 2026-04-01 --until 2026-05-01 --csv > april.csv"
    )]
    List(list::Args),
    /// Show every status that deposits have, which follows which, and which count as settled
    #[command(after_help = "Example: lumo-bridge deposit statuses")]
    Statuses,
    /// Have a user's deposits looked for every few seconds for a while, and print what happens
    #[command(after_help = "Example: lumo-bridge deposit watch user-42 --for 15m")]
    Watch(watch::Args),
    /// Show one deposit, with the item as the API listed it
    #[command(after_help = "Example: lumo-bridge deposit show 0d3f7c52-8f0e-4c39-a7f5-6b1f9a2c8d11 --json")]
    Show {
        /// The deposit's id at Lumo
        id: DepositId,
    },
}

impl Command {
    /// Whether it goes on for a while and ends in good order when it is interrupted.
    pub(super) const fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Watch(_))
    }
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(context, args).await,
        Command::Statuses => statuses::run(context).await,
        Command::Watch(args) => watch::run(context, args).await,
        Command::Show { id } => {
            let deposit = context.with_store(async |_, store| Ok(store.deposit(&id).await?)).await?;
            let hint = "`lumo-bridge deposit list` shows those that are known, `lumo-bridge sync` fetches the rest";
            view::show(context, &deposit.ok_or_else(|| Failure::absent("deposit", &id, hint))?)
        }
    }
}

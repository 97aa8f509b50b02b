//! `deposit`: the deposits that are known.

mod statuses;
mod watch;

use super::context::Context;
use super::failure::Failure;
use super::filter::{User, Window};
use super::view;
use crate::app;
use crate::config::Config;
use crate::model::id::DepositId;
use crate::store::Store;
use crate::store::query::DepositFilter;

const NONE_NAMED: &str = "no status counts as settled: `lumo.settled_statuses` names none";
const NAME_SOME: &str = "`lumo-bridge deposit statuses` shows which there are";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List deposits, the newest first
    #[command(after_help = "Example: lumo-bridge deposit list --status new --since 2h")]
    List {
        #[command(flatten)]
        user: User,
        /// Only those paid to this address
        #[arg(long)]
        address: Option<String>,
        /// Only those of this transaction
        #[arg(long, value_name = "HASH")]
        tx_hash: Option<String>,
        /// Only in this status, as Lumo spells it
        #[arg(long)]
        status: Option<String>,
        /// Only those that are settled, by `lumo.settled_statuses`
        #[arg(long)]
        settled: bool,
        #[command(flatten)]
        window: Window,
    },
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
        Command::List { user, address, tx_hash, status, settled, window } => {
            let filter = |config: &Config| DepositFilter {
                external_id: user.external_id,
                address,
                tx_hash,
                status,
                settled: settled.then(|| app::settled_statuses(config)),
                since: window.since(context),
                limit: window.limit().probe(),
                ..DepositFilter::default()
            };
            let list = async |config: &Config, store: &Store| {
                if settled && config.lumo.settled_statuses.is_empty() {
                    return Err(Failure::usage(NONE_NAMED.to_owned()).with_hint(NAME_SOME));
                }
                Ok(store.list_deposits(&filter(config)).await?)
            };
            let deposits = context.with_store(list).await?;
            view::list_to_limit(context, deposits, window.limit())
        }
        Command::Statuses => statuses::run(context).await,
        Command::Watch(args) => watch::run(context, args).await,
        Command::Show { id } => {
            let deposit = context.with_store(async |_, store| Ok(store.deposit(&id).await?)).await?;
            let hint = "`lumo-bridge deposit list` shows those that are known, `lumo-bridge sync` fetches the rest";
            view::show(context, &deposit.ok_or_else(|| Failure::absent("deposit", &id, hint))?)
        }
    }
}

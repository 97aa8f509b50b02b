//! `wallet`: the API's writes, and the wallets that are known.

mod list;

use lumo_bridge_entity::wallet;

use super::context::Context;
use super::failure::Failure;
use super::{user, view};
use crate::model::actor::Actor;
use crate::model::id::{ExternalId, WalletId};
use crate::wallets::{self, Interface, Wallets};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a user's wallet at Lumo, or fetch the one that there is
    #[command(after_help = "Example: lumo-bridge wallet create user-42")]
    Create {
        /// The user's id in your own system
        external_id: ExternalId,
    },
    /// Block a wallet at Lumo
    #[command(
        after_help = "Example: lumo-bridge wallet block 5f0c9c3e-1b7a-4f43-9d5e-0a4c1d2b3e4f --reason 'reported stolen'"
    )]
    Block(Because),
    /// Give a wallet's user another wallet at Lumo
    #[command(
        after_help = "Example: lumo-bridge wallet replace 5f0c9c3e-1b7a-4f43-9d5e-0a4c1d2b3e4f --reason 'address leaked'"
    )]
    Replace(Because),
    /// List wallets, the newest first
    #[command(after_help = "Example: lumo-bridge wallet list --blocked --since 7d")]
    List(list::Args),
    /// Show one wallet, with the item as the API listed it
    #[command(after_help = "Example: lumo-bridge wallet show 5f0c9c3e-1b7a-4f43-9d5e-0a4c1d2b3e4f --json")]
    Show {
        /// The wallet's id at Lumo
        id: WalletId,
    },
}

/// A wallet, and why something is done to it.
#[derive(Debug, clap::Args)]
pub(super) struct Because {
    /// The wallet's id at Lumo
    id: WalletId,
    /// Why; Lumo keeps it
    #[arg(long)]
    reason: String,
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { external_id } => {
            change(context, async |wallets, by| wallets.create(&external_id, by).await).await
        }
        Command::Block(Because { id, reason }) => {
            change(context, async |wallets, by| wallets.block(&id, &reason, by).await).await
        }
        Command::Replace(Because { id, reason }) => {
            change(context, async |wallets, by| wallets.replace(&id, &reason, by).await).await
        }
        Command::List(args) => list::run(context, args).await,
        Command::Show { id } => {
            let wallet = context.with_store(async |_, store| Ok(store.wallet(&id).await?)).await?;
            let hint = "`lumo-bridge wallet list` shows those that are known, `lumo-bridge sync` fetches the rest";
            view::show(context, &wallet.ok_or_else(|| Failure::absent("wallet", &id, hint))?)
        }
    }
}

/// Does something to a wallet, and prints the wallet that came of it once it is stored.
async fn change(
    context: &Context,
    write: impl AsyncFnOnce(&Wallets, &Actor) -> Result<wallet::Model, wallets::Error>,
) -> Result<(), Failure> {
    let config = context.load_quietly()?.config;
    let client = context.client(&config)?;
    context.migrate(&config).await?;
    let store = context.store_to_publish(&config).await?;
    store.introduce_endpoints(context.clock().now()).await?;
    let wallets = Wallets::new(store.clone(), client, context.clock().clone());
    let written = match write(&wallets, &user::actor()).await {
        Ok(wallet) => Ok(wallet),
        Err(error) => {
            let hint = wallets.hint(&error, Interface::CommandLine).await;
            let failure = Failure::work(error.into());
            Err(match hint {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            })
        }
    };
    store.close().await;
    view::show(context, &written?)
}

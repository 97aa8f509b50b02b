//! `wallet list`: for people, for scripts, and as CSV for accountants.

use lumo_bridge_entity::wallet;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::filter::{Period, User};
use crate::cli::pages::Form;
use crate::model::id::WalletId;
use crate::store::query::WalletFilter;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    user: User,
    /// Only the one with this address
    #[arg(long)]
    address: Option<String>,
    /// Only those that are blocked, or with `=false` those that are not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    blocked: Option<bool>,
    #[command(flatten)]
    period: Period,
    /// Only those that come after the one with this id, which is the last of what was listed before
    #[arg(long, value_name = "ID")]
    after: Option<WalletId>,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    args.form.check(context)?;
    let [since, until] = args.period.bounds(context.clock().now())?;
    let filter = WalletFilter {
        external_id: args.user.external_id,
        address: args.address,
        blocked: args.blocked,
        since,
        until,
        ..WalletFilter::default()
    };
    context
        .with_store(async |_, store| {
            let after = match &args.after {
                Some(id) => {
                    let row = store.wallet(id).await?;
                    Some(row.ok_or_else(|| Failure::usage(format!("--after: no such wallet: {id}")))?)
                }
                None => None,
            };
            let place = |row: &wallet::Model| (row.created_at, row.id.clone());
            let load = async |after, limit| store.list_wallets(&WalletFilter { after, limit, ..filter.clone() }).await;
            args.form.print(context, after.as_ref().map(place), place, load).await
        })
        .await
}

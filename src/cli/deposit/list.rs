//! `deposit list`: for people, for scripts, and as CSV for accountants.

use lumo_bridge_entity::deposit;

use crate::app;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::filter::{Period, User};
use crate::cli::pages::Form;
use crate::config::Config;
use crate::model::id::DepositId;
use crate::store::query::DepositFilter;

const NONE_NAMED: &str = "no status counts as settled: `lumo.settled_statuses` names none";
const NAME_SOME: &str = "`lumo-bridge deposit statuses` shows which there are";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
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
    period: Period,
    /// Only those that come after the one with this id, which is the last of what was listed before
    #[arg(long, value_name = "ID")]
    after: Option<DepositId>,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    args.form.check(context)?;
    let [since, until] = args.period.bounds(context.clock().now())?;
    let filter = DepositFilter {
        external_id: args.user.external_id,
        address: args.address,
        tx_hash: args.tx_hash,
        status: args.status,
        since,
        until,
        ..DepositFilter::default()
    };
    context
        .with_store(async |config, store| {
            let settled = args.settled.then(|| named(config)).transpose()?;
            let after = match &args.after {
                Some(id) => {
                    let row = store.deposit(id).await?;
                    Some(row.ok_or_else(|| Failure::usage(format!("--after: no such deposit: {id}")))?)
                }
                None => None,
            };
            let filter = DepositFilter { settled, ..filter };
            let place = |row: &deposit::Model| (row.created_at, row.id.clone());
            let load =
                async |after, limit| store.list_deposits(&DepositFilter { after, limit, ..filter.clone() }).await;
            args.form.print(context, after.as_ref().map(place), place, load).await
        })
        .await
}

/// The statuses that count as settled, of which there must be one.
pub(in crate::cli) fn named(config: &Config) -> Result<Vec<String>, Failure> {
    let named = app::settled_statuses(config);
    if named.is_empty() {
        return Err(Failure::usage(NONE_NAMED).with_hint(NAME_SOME));
    }
    Ok(named)
}

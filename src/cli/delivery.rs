//! `delivery`: what was sent, what waits, what failed; trying again, and giving up.

mod retry;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};

use super::context::Context;
use super::endpoint::expect_known;
use super::event_types::types;
use super::failure::Failure;
use super::filter::{User, Window};
use super::style::{GREEN, YELLOW};
use super::view::{
    self,
    delivery::{Sent, Tried},
};
use super::{safe, user};
use crate::model::delivery::State;
use crate::model::id::{DeliveryId, EndpointName, EventId};
use crate::store::query::DeliveryFilter;
use crate::view::Done;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List deliveries, those of the newest event first, and say why each waits
    #[command(after_help = "Example: lumo-bridge delivery list --state dead --endpoint shop")]
    List {
        /// Only in this state
        #[arg(long, value_parser = states(&State::ALL))]
        state: Option<State>,
        /// Only what is not delivered: dead ones too, but none that were skipped
        #[arg(long, conflicts_with = "state")]
        undelivered: bool,
        /// Only to this endpoint
        #[arg(long, value_name = "NAME")]
        endpoint: Option<EndpointName>,
        /// Only of events of this type
        #[arg(long = "type", value_name = "TYPE", value_parser = types(), hide_possible_values = true)]
        kind: Option<String>,
        /// Only of this event
        #[arg(long, value_name = "ID")]
        event: Option<EventId>,
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        window: Window,
    },
    /// Show one delivery, with its attempts
    #[command(after_help = "Example: lumo-bridge delivery show evt_ibk3j2m7zq4cy5e6w7r2t3u4v5@shop --json")]
    Show {
        /// The event and the endpoint: `evt_…@shop`
        #[arg(value_name = "EVENT@ENDPOINT")]
        id: DeliveryId,
    },
    /// Make deliveries due that failed, died or were given up, with the whole schedule before them
    #[command(after_help = "Example: lumo-bridge delivery retry --state dead --endpoint shop --since 2d --dry-run")]
    Retry(retry::Args),
    /// Give deliveries up that are not delivered, dead ones too; what waits behind them goes on
    #[command(
        after_help = "Example: lumo-bridge delivery skip evt_ibk3j2m7zq4cy5e6w7r2t3u4v5@shop --reason 'booked by hand'"
    )]
    Skip {
        /// The events and the endpoint of each: `evt_…@shop`
        #[arg(required = true, value_name = "EVENT@ENDPOINT")]
        ids: Vec<DeliveryId>,
        /// Why; kept as the delivery's last error
        #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
}

/// One of these states, by its name.
fn states(all: &'static [State]) -> impl TypedValueParser<Value = State> {
    let names = PossibleValuesParser::new(all.iter().map(|state| state.as_str()));
    names.try_map(move |name| all.iter().copied().find(|state| state.as_str() == name).ok_or("is no state"))
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { state, undelivered, endpoint, kind, event, user, window } => {
            let filter = DeliveryFilter {
                state,
                undelivered,
                endpoint,
                kind,
                external_id: user.external_id,
                event,
                since: window.since(context),
                limit: window.limit().probe(),
                ..DeliveryFilter::default()
            };
            let deliveries = context.with_store(async |config, store| {
                expect_known(config, store, filter.endpoint.as_ref()).await?;
                Ok(store.list_deliveries(&filter).await?)
            });
            view::list_to_limit(context, Sent::all(deliveries.await?, context.clock().now()), window.limit())
        }
        Command::Show { id } => show(context, &id).await,
        Command::Retry(args) => retry::run(context, args).await,
        Command::Skip { ids, reason } => skip(context, &ids, &reason).await,
    }
}

async fn show(context: &Context, id: &DeliveryId) -> Result<(), Failure> {
    let now = context.clock().now();
    let tried = context.with_store(async |_, store| {
        let Some(row) = store.delivery(id).await? else { return Ok(None) };
        let attempts = store.attempts(&row).await?;
        Ok(Some(Tried { delivery: Sent { row, now }, attempts }))
    });
    let hint = "`lumo-bridge delivery list` shows the newest";
    let tried = tried.await?.ok_or_else(|| Failure::absent("delivery", id, hint))?;
    view::show_with(context, &tried, &tried.attempts)
}

async fn skip(context: &Context, ids: &[DeliveryId], reason: &str) -> Result<(), Failure> {
    let by = user::actor();
    let skipped = context
        .with_store(async |_, store| Ok(store.skip_deliveries(ids, reason, &by, context.clock().now()).await?))
        .await?;
    print(context, ids.iter().zip(skipped).map(|(id, skipped)| Done::skipped(id, skipped)).collect())
}

/// Prints what came of each; fails if that is not what was wanted for all of them.
fn print(context: &Context, lines: Vec<Done>) -> Result<(), Failure> {
    let printer = context.printer();
    if printer.json() {
        printer.document(&lines)?;
    } else {
        for Done { id, message, is_as_wanted, .. } in &lines {
            let style = if *is_as_wanted { GREEN } else { YELLOW };
            printer.line(format!("{}  {style}{}{style:#}", safe::text(id), safe::text(message)));
        }
    }
    if lines.iter().all(|line| line.is_as_wanted) { Ok(()) } else { Err(Failure::said()) }
}

//! `delivery`: what was sent, what waits, what failed; trying again, and giving up.

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use lumo_bridge_entity::delivery::State;

use super::context::Context;
use super::failure::Failure;
use super::filter::Limit;
use super::printer::{GREEN, YELLOW};
use super::safe;
use super::view::{self, delivery::Tried};
use crate::model::id::{DeliveryId, EndpointName, EventId};
use crate::store::query::DeliveryFilter;
use crate::view::Done;

const STATES: [State; 7] =
    [State::Pending, State::Sending, State::Delivered, State::Retrying, State::Held, State::Dead, State::Skipped];

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List deliveries, the newest first
    #[command(after_help = "Example: lumo-bridge delivery list --state dead --endpoint shop")]
    List {
        /// Only in this state
        #[arg(long, value_parser = states())]
        state: Option<State>,
        /// Only to this endpoint
        #[arg(long, value_name = "NAME")]
        endpoint: Option<EndpointName>,
        /// Only of this event
        #[arg(long, value_name = "ID")]
        event: Option<EventId>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show one delivery, with its attempts
    #[command(after_help = "Example: lumo-bridge delivery show dlv_0000000000001 --json")]
    Show { id: DeliveryId },
    /// Make deliveries due now; a dead one gets one more attempt
    #[command(after_help = "Example: lumo-bridge delivery retry dlv_0000000000001 dlv_0000000000002")]
    Retry {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<DeliveryId>,
    },
    /// Give deliveries up that are not finished; what waits behind them goes on
    #[command(after_help = "Example: lumo-bridge delivery skip dlv_0000000000001 --reason 'booked by hand'")]
    Skip {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<DeliveryId>,
        /// Why; kept as the delivery's last error
        #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
}

fn states() -> impl TypedValueParser<Value = State> {
    let names = PossibleValuesParser::new(STATES.map(State::as_str));
    names.try_map(|name| STATES.into_iter().find(|state| state.as_str() == name).ok_or("is no state"))
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { state, endpoint, event, limit } => {
            let filter = DeliveryFilter { state, endpoint, event, before: None, limit: limit.probe() };
            let deliveries = context.with_store(async |_, store| Ok(store.list_deliveries(&filter).await?)).await?;
            view::list_to_limit(context, deliveries, limit)
        }
        Command::Show { id } => show(context, &id).await,
        Command::Retry { ids } => retry(context, &ids).await,
        Command::Skip { ids, reason } => skip(context, &ids, &reason).await,
    }
}

async fn show(context: &Context, id: &DeliveryId) -> Result<(), Failure> {
    let tried = context.with_store(async |_, store| {
        let Some(delivery) = store.delivery(id).await? else { return Ok(None) };
        Ok(Some(Tried { delivery, attempts: store.attempts(id).await? }))
    });
    let hint = "`lumo-bridge delivery list` shows the newest";
    let tried = tried.await?.ok_or_else(|| Failure::absent("delivery", id, hint))?;
    view::show_with(context, &tried, &tried.attempts)
}

async fn retry(context: &Context, ids: &[DeliveryId]) -> Result<(), Failure> {
    let results = context.with_store(async |_, store| {
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            results.push((id, store.retry_delivery(id, context.clock().now()).await?));
        }
        Ok(results)
    });
    print(context, results.await?.into_iter().map(|(id, retried)| Done::retried(id, retried)).collect())
}

async fn skip(context: &Context, ids: &[DeliveryId], reason: &str) -> Result<(), Failure> {
    let results = context.with_store(async |_, store| {
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            results.push((id, store.skip_delivery(id, reason, context.clock().now()).await?));
        }
        Ok(results)
    });
    print(context, results.await?.into_iter().map(|(id, skipped)| Done::skipped(id, skipped)).collect())
}

/// Prints what became of each; fails if that is not what was wanted for all of them.
fn print(context: &Context, lines: Vec<Done>) -> Result<(), Failure> {
    let printer = context.printer();
    if printer.json() {
        printer.document(&lines)?;
    } else {
        for Done { id, words, is_as_wanted, .. } in &lines {
            let style = if *is_as_wanted { GREEN } else { YELLOW };
            printer.line(format!("{}  {style}{words}{style:#}", safe::text(id)));
        }
    }
    if lines.iter().all(|line| line.is_as_wanted) { Ok(()) } else { Err(Failure::said()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state that the list forgets could not be asked for.
    #[test]
    fn every_state_can_be_asked_for() {
        for state in STATES {
            let (State::Pending
            | State::Sending
            | State::Delivered
            | State::Retrying
            | State::Held
            | State::Dead
            | State::Skipped) = state;
        }
        let names = STATES.map(State::as_str);
        assert!(names.iter().enumerate().all(|(at, name)| !names[..at].contains(name)), "{names:?}");
    }
}

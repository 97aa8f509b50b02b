//! `delivery retry`: single deliveries by their names, or whatever died or was given up, by filter.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::print;
use crate::app;
use crate::cli::context::Context;
use crate::cli::endpoint::expect_known;
use crate::cli::event_types::types;
use crate::cli::failure::Failure;
use crate::cli::user;
use crate::deliver::retry::{self, Ended, RetryFilter};
use crate::model::id::{DeliveryId, EndpointName, ExternalId};
use crate::setting::Since;
use crate::store::Ending;
use crate::view::{Done, RetriedAll};

/// Which deliveries.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// These: the event and the endpoint of each, `evt_…@shop`
    #[arg(value_name = "EVENT@ENDPOINT")]
    #[arg(conflicts_with_all = ["state", "endpoint", "kind", "external_id", "since", "dry_run"])]
    ids: Vec<DeliveryId>,
    /// Those in this state [default: dead]
    #[arg(long, value_parser = ended())]
    state: Option<Ended>,
    /// Those to this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<EndpointName>,
    /// Those of events of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = types(), hide_possible_values = true)]
    kind: Option<String>,
    /// Those of the user with this id in your own system
    #[arg(long, value_name = "ID")]
    external_id: Option<ExternalId>,
    /// Those of events that were noticed from then on: a time such as 2026-01-01T00:00:00Z, a date, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Say how many it would be, and change none
    #[arg(long)]
    dry_run: bool,
}

fn ended() -> impl TypedValueParser<Value = Ended> {
    let names = PossibleValuesParser::new(Ended::ALL.map(|ended| ended.state().as_str()));
    names.try_map(|name| Ended::ALL.into_iter().find(|ended| ended.state().as_str() == name).ok_or("is not retried"))
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let by = user::actor();
    if !args.ids.is_empty() {
        let retried = context
            .with_store(async |config, store| {
                let statements = app::statements(&config.callbacks)?;
                Ok(store.retry_deliveries(&args.ids, &statements, &by, context.clock().now()).await?)
            })
            .await?;
        return print(context, args.ids.iter().zip(retried).map(|(id, retried)| Done::retried(id, retried)).collect());
    }
    let filter = RetryFilter {
        state: args.state,
        endpoint: args.endpoint,
        kind: args.kind,
        external_id: args.external_id,
        since: args.since.map(|since| since.before(context.clock().now())),
    };
    if filter.is_empty() {
        let hint = "name them as `evt_…@shop`, or choose with `--state`, `--endpoint`, `--type`, `--external-id` and `--since`";
        return Err(Failure::usage("it is not said which deliveries to retry").with_hint(hint));
    }
    let ending = if args.dry_run { Ending::RollBack } else { Ending::Commit };
    let retried = context.with_store(async |config, store| {
        expect_known(config, store, filter.endpoint.as_ref()).await?;
        let (statements, stop) = (app::statements(&config.callbacks)?, &context.stop().soft);
        let made = retry::to_the_end(store, &filter, &statements, ending, &by, context.clock(), stop).await?;
        Ok(RetriedAll::load(store, made, args.dry_run, context.clock().now()).await?)
    });
    let retried = retried.await?;
    let printer = context.printer();
    if printer.json() {
        printer.document(&retried)?;
    } else {
        retried.lines().iter().for_each(|line| printer.say(line));
    }
    if retried.is_complete {
        Ok(())
    } else {
        Err(Failure::work(anyhow::anyhow!("interrupted before the last delivery")))
    }
}

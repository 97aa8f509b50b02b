//! `event replay`: stored events are sent to an endpoint once more, by the daemon and in their order.

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::endpoint::{introduce, unknown};
use crate::cli::event::patterns;
use crate::cli::failure::Failure;
use crate::cli::user;
use crate::deliver::replay;
use crate::model::id::{EndpointName, EventId, ExternalId};
use crate::setting::Since;
use crate::store::Ending;
use crate::store::replay::{ReplayFilter, Replayed};
use crate::view::due::going_out;

/// Which events, and to whom.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// To this endpoint, whether or not its `events` name them
    #[arg(long, value_name = "NAME")]
    endpoint: EndpointName,
    /// These events
    #[arg(long = "id", value_name = "ID", num_args = 1..)]
    #[arg(conflicts_with_all = ["since", "until", "kinds", "external_id"])]
    ids: Vec<EventId>,
    /// Those noticed from then on: a time such as 2026-01-01T00:00:00Z, a date, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Those noticed before then
    #[arg(long, value_name = "TIME")]
    until: Option<Since>,
    /// Those of these types: names or patterns, as in an endpoint's `events`
    #[arg(long = "type", value_name = "PATTERN", num_args = 1..)]
    kinds: Vec<String>,
    /// Those of the user with this id in your own system
    #[arg(long, value_name = "ID")]
    external_id: Option<ExternalId>,
    /// Say how many it would be, and queue none
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    endpoint: &'a EndpointName,
    queued: u64,
    /// Left out, as the event is on its way to the endpoint.
    unfinished: u64,
    is_dry_run: bool,
    /// False if a signal came before the last event.
    is_complete: bool,
}

impl Args {
    fn filter(&self, context: &Context) -> Result<ReplayFilter, Failure> {
        let now = context.clock().now();
        let kinds = patterns(&self.kinds)?;
        let filter = ReplayFilter {
            ids: self.ids.clone(),
            kinds,
            external_id: self.external_id.clone(),
            since: self.since.map(|since| since.before(now)),
            until: self.until.map(|until| until.before(now)),
        };
        if filter.is_boundless() {
            let hint = "name them with `--id`, or choose with `--since`, `--until`, `--type` and `--external-id`";
            return Err(Failure::usage("it is not said which events to replay").with_hint(hint));
        }
        if filter.is_void() {
            return Err(Failure::usage("no event is left over: `--since` is not before `--until`"));
        }
        Ok(filter)
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let filter = args.filter(context)?;
    let replayed = context.with_store(async |config, store| {
        if !config.callbacks.endpoints.contains_key(args.endpoint.as_str()) {
            return Err(unknown(config, &args.endpoint));
        }
        if let Some(id) = store.unknown_events(&filter.ids).await?.first() {
            return Err(Failure::absent("event", id, "`lumo-bridge event list` shows the newest; nothing was queued"));
        }
        let ending = if args.dry_run { Ending::RollBack } else { Ending::Commit };
        if ending == Ending::Commit {
            introduce(context, config, store, &args.endpoint).await?;
        }
        let replay = store.begin_replay(filter, args.endpoint.clone(), user::actor()).await?;
        let done = replay::to_the_end(store, replay, ending, context.clock(), &context.stop().soft).await?;
        Ok((done, going_out(store.endpoint(&args.endpoint).await?.as_ref(), context.clock().now())))
    });
    let ((Replayed { queued, unfinished }, is_complete), going_out) = replayed.await?;
    let (endpoint, printer) = (&args.endpoint, context.printer());
    if printer.json() {
        let is_dry_run = args.dry_run;
        printer.document(&Document { endpoint, queued, unfinished, is_dry_run, is_complete })?;
    } else {
        printer.say(match (queued, unfinished, args.dry_run) {
            (0, 0, _) => "no event matches; `lumo-bridge event list` shows what there is".to_owned(),
            (_, _, false) => format!("events queued for {endpoint}: {queued}; {going_out}"),
            (_, _, true) => format!("events that would be queued for {endpoint}: {queued}"),
        });
        if unfinished > 0 {
            printer.say(format!("left out, as they are on their way to {endpoint} already: {unfinished}"));
        }
    }
    if is_complete {
        return Ok(());
    }
    let failure = Failure::work(anyhow::anyhow!("interrupted before the last event"));
    Err(failure.with_hint("give the command again: what is on its way by then is left out"))
}

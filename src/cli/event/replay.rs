//! `event replay`: stored events are sent to an endpoint once more, by the daemon and in their order.

use serde::Serialize;

use crate::app;
use crate::cli::context::Context;
use crate::cli::endpoint::{introduce, unknown};
use crate::cli::event::patterns;
use crate::cli::failure::Failure;
use crate::cli::user;
use crate::config::Config;
use crate::deliver::replay;
use crate::model::id::{EndpointName, EventId, ExternalId};
use crate::setting::Since;
use crate::store::Ending;
use crate::store::replay::{ReplayFilter, Replayed, Types};
use crate::view::due::going_out;

/// Which events, and to whom.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// To this endpoint: those of the types that its `events` name
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
    /// Those of all other types, too; not to a statement, which would take them for what it is written for
    #[arg(long)]
    any_type: bool,
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
    /// Left out, as `events` of the endpoint do not name the event's type.
    unwanted: u64,
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

    fn types(&self, config: &Config) -> Result<Types, Failure> {
        let subscribers = app::configured_subscribers(&config.callbacks)?;
        let subscriber = subscribers.into_iter().find(|one| one.endpoint == self.endpoint);
        let subscriber = subscriber.ok_or_else(|| unknown(config, &self.endpoint))?;
        if !self.any_type {
            return Ok(Types::Wanted(subscriber.patterns));
        }
        if is_statement(config, &self.endpoint) {
            let hint = "leave `--any-type` out";
            return Err(Failure::usage(replay::only_named_types(&self.endpoint)).with_hint(hint));
        }
        Ok(Types::Any)
    }
}

fn is_statement(config: &Config, name: &EndpointName) -> bool {
    config.callbacks.endpoints.get(name.as_str()).is_some_and(|endpoint| endpoint.sink.is_some())
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let filter = args.filter(context)?;
    let replayed = context.with_store(async |config, store| {
        let types = args.types(config)?;
        if let Some(id) = store.unknown_events(&filter.ids).await?.first() {
            return Err(Failure::absent("event", id, "`lumo-bridge event list` shows the newest; nothing was queued"));
        }
        let ending = if args.dry_run { Ending::RollBack } else { Ending::Commit };
        if ending == Ending::Commit {
            introduce(context, config, store, &args.endpoint).await?;
        }
        let replay = store.begin_replay(filter, args.endpoint.clone(), types, user::actor()).await?;
        let done = replay::to_the_end(store, replay, ending, context.clock(), &context.stop().soft).await?;
        let going_out = going_out(store.endpoint(&args.endpoint).await?.as_ref(), context.clock().now());
        Ok((done, going_out, is_statement(config, &args.endpoint)))
    });
    let ((done, is_complete), going_out, is_statement) = replayed.await?;
    let Replayed { queued, unfinished, unwanted } = done;
    let (endpoint, printer) = (&args.endpoint, context.printer());
    if printer.json() {
        let is_dry_run = args.dry_run;
        printer.document(&Document { endpoint, queued, unfinished, unwanted, is_dry_run, is_complete })?;
    } else {
        said(endpoint, done, args.dry_run, is_statement, &going_out).iter().for_each(|line| printer.say(line));
    }
    if !is_complete {
        let failure = Failure::work(anyhow::anyhow!("interrupted before the last event"));
        return Err(failure.with_hint("give the command again: what is on its way by then is left out"));
    }
    // Who names an event wants that one sent.
    if args.ids.is_empty() || unwanted == 0 { Ok(()) } else { Err(Failure::said()) }
}

/// What came of it, a line each. `going_out` says when what is queued is sent.
fn said(
    endpoint: &EndpointName,
    Replayed { queued, unfinished, unwanted }: Replayed,
    is_dry_run: bool,
    is_statement: bool,
    going_out: &str,
) -> Vec<String> {
    let would = if is_dry_run { "would be" } else { "is" };
    let all_the_same = |them: &str| match is_statement {
        true => String::new(),
        false => format!("; `--any-type` sends {them} all the same"),
    };
    let nothing = |types: &str| format!("nothing {would} queued for {endpoint}, as its `events` do not name {types}");
    let mut lines = vec![match (queued, unfinished, unwanted) {
        (0, 0, 0) => "no event matches; `lumo-bridge event list` shows what there is".to_owned(),
        (0, 0, 1) => nothing("the type of this event") + &all_the_same("it"),
        (0, 0, _) => nothing(&format!("the types of these {unwanted} events")) + &all_the_same("them"),
        _ if is_dry_run => format!("events that would be queued for {endpoint}: {queued}"),
        _ => format!("events queued for {endpoint}: {queued}; {going_out}"),
    }];
    if unfinished > 0 {
        lines.push(format!("left out, as they are on their way to {endpoint} already: {unfinished}"));
    }
    if unwanted > 0 && queued + unfinished > 0 {
        let why = format!("left out, as `events` of {endpoint} do not name their types: {unwanted}");
        lines.push(why + &all_the_same("them"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(queued: u64, unfinished: u64, unwanted: u64, is_dry_run: bool, is_statement: bool) -> Vec<String> {
        let done = Replayed { queued, unfinished, unwanted };
        said(&"ledger".parse().unwrap(), done, is_dry_run, is_statement, "they go out")
    }

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(
            lines(412, 3, 38, true, false),
            [
                "events that would be queued for ledger: 412",
                "left out, as they are on their way to ledger already: 3",
                "left out, as `events` of ledger do not name their types: 38; `--any-type` sends them all the same",
            ]
        );
        assert_eq!(
            lines(412, 0, 38, false, true),
            [
                "events queued for ledger: 412; they go out",
                "left out, as `events` of ledger do not name their types: 38"
            ]
        );
        assert_eq!(
            lines(0, 0, 1, false, false),
            [
                "nothing is queued for ledger, as its `events` do not name the type of this event; `--any-type` sends it all the \
                 same"
            ]
        );
        assert_eq!(
            lines(0, 0, 2, true, true),
            ["nothing would be queued for ledger, as its `events` do not name the types of these 2 events"]
        );
        assert_eq!(lines(0, 0, 0, false, true), ["no event matches; `lumo-bridge event list` shows what there is"]);
    }
}

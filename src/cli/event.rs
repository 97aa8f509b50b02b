//! `event`: what happened; and telling it again.

mod replay;
mod tail;
use super::context::Context;
use super::event_types::types;
use super::failure::Failure;
use super::filter::{User, Window};
use super::view::{self, delivery::Sent, event::Told};
use crate::model::catalogue;
use crate::model::id::EventId;
use crate::model::pattern::Patterns;
use crate::store::query::{DeliveryFilter, EventFilter};

/// More deliveries than this of one event are not shown.
const DELIVERIES: u64 = 1_000;
/// Nor are more actions.
const ACTIONS: u64 = 1_000;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List events, the newest first
    #[command(after_help = "Example: lumo-bridge event list --type deposit.created --since 2h")]
    List {
        /// Only of this type
        #[arg(long = "type", value_name = "TYPE", value_parser = types(), hide_possible_values = true)]
        kind: Option<String>,
        #[command(flatten)]
        user: User,
        #[command(flatten)]
        window: Window,
    },
    /// Show one event, with its body, its deliveries, and what operators did to them
    #[command(after_help = "Example: lumo-bridge event show evt_ibk3j2m7zq4cy5e6w7r2t3u4v5 --json")]
    Show {
        /// The event's id, which a receiver knows as `webhook-id`
        id: EventId,
    },
    /// Print events as they come, and send them to a receiver on your own machine if asked to
    #[command(after_help = "Example: lumo-bridge event tail --type 'deposit.*' --forward http://127.0.0.1:8800/hooks")]
    Tail(tail::Args),
    /// Send stored events to an endpoint once more, with the same ids
    #[command(after_help = "Example: lumo-bridge event replay --since 2d --type 'deposit.*' --endpoint shop")]
    Replay(replay::Args),
    /// Print the JSON Schema of the bodies of callbacks, for receivers that check or generate by it
    #[command(after_help = "Example: lumo-bridge event schema > events.schema.json")]
    Schema,
}

impl Command {
    /// Whether it does its work in steps and ends in good order between two of them.
    pub(super) const fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Replay(_) | Self::Tail(_))
    }
}

/// What `--type` names where patterns may be given; none if it names nothing.
fn patterns(texts: &[String]) -> Result<Option<Patterns>, Failure> {
    if texts.is_empty() {
        return Ok(None);
    }
    let parsed = Patterns::parse(texts.iter().map(String::as_str)).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(|problem| format!("--type: {problem}")).collect();
        Failure::usage(problems.join("\n"))
    });
    parsed.map(Some)
}

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { kind, user, window } => {
            let filter = EventFilter {
                external_id: user.external_id,
                kind,
                since: window.since(context),
                limit: window.limit().probe(),
                ..EventFilter::default()
            };
            let events = context.with_store(async |_, store| Ok(store.list_events(&filter).await?)).await?;
            view::list_to_limit(context, events, window.limit())
        }
        Command::Show { id } => show(context, &id).await,
        Command::Tail(args) => tail::run(context, args).await,
        Command::Replay(args) => replay::run(context, args).await,
        Command::Schema => Ok(context.printer().document(&catalogue::schema())?),
    }
}

async fn show(context: &Context, id: &EventId) -> Result<(), Failure> {
    let filter = DeliveryFilter { event: Some(id.clone()), limit: DELIVERIES, ..DeliveryFilter::default() };
    let told = context.with_store(async |_, store| {
        let Some(event) = store.event(id).await? else { return Ok(None) };
        let deliveries = Sent::all(store.list_deliveries(&filter).await?, context.clock().now());
        let actions = store.actions_on(id, ACTIONS).await?;
        Ok(Some(Told { event, deliveries, actions }))
    });
    let hint = "`lumo-bridge event list` shows the newest";
    let told = told.await?.ok_or_else(|| Failure::absent("event", id, hint))?;
    view::show_with(context, &told, &told.deliveries)?;
    if !told.actions.is_empty() && !context.printer().json() {
        context.printer().line("");
        view::list(context, &told.actions)?;
    }
    Ok(())
}

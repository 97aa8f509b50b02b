//! `endpoint test`: one signed event now, past the queue, and what came back.

use lumo_bridge_entity::endpoint::Model;

use super::unknown;
use crate::callback::Endpoint;
use crate::chain::Chain;
use crate::cli::context::Context;
use crate::cli::event_types::types;
use crate::cli::failure::Failure;
use crate::cli::fields::Fields;
use crate::cli::style::{GREEN, RED};
use crate::cli::table::Cell;
use crate::cli::trial::{record, try_out};
use crate::deliver::trial::Trial;
use crate::model::event::{EventType, UnknownEvent};
use crate::model::id::EndpointName;
use crate::model::sample::{self, Setting};
use crate::view::Test;
use crate::view::endpoint::kept_back;

/// Which endpoint, and what with.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its name in the configuration
    name: EndpointName,
    /// The type of the event; a sample of it is sent whose objects do not exist. Left out, `bridge.test`; or the first
    /// wanted type that suits, where a statement needs one, or a template in the address or a header of an endpoint
    /// without a `body`
    #[arg(long, value_name = "TYPE", value_parser = types(), hide_possible_values = true)]
    event: Option<String>,
    /// Give a member of its data another value, such as object.amount=5
    #[arg(long = "set", value_name = "MEMBER=VALUE", num_args = 1..)]
    settings: Vec<Setting>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let Args { name, event, settings } = args;
    let named = event.as_deref().map(str::parse::<EventType>).transpose();
    let named = named.map_err(|error: UnknownEvent| Failure::usage(error.to_string()))?;
    let config = context.load_quietly()?.config;
    let callbacks = &config.callbacks;
    let endpoint = callbacks.endpoints.get(name.as_str()).ok_or_else(|| unknown(&config, &name))?;
    let endpoint = Endpoint::compile(name.as_str(), endpoint, &callbacks.defaults).map_err(|error| vec![error])?;
    let kind = named.unwrap_or_else(|| endpoint.test_kind());
    // Before anything is opened.
    if let Err(refused) = sample::test(kind, &name, None, &settings, context.clock().now()) {
        return Err(Failure::usage(refused.to_string()));
    }
    let trial = try_out(context, &config, &endpoint, kind, &settings).await?;
    // A test needs no database; its record does.
    let known = match record(context, &config, &name).await {
        Ok(known) => known,
        Err(error) => {
            context.printer().say(format!("the test is not recorded: {}", Chain(&error)));
            None
        }
    };
    print(context, &endpoint, &trial, known.as_ref())?;
    match trial.hint() {
        None => Ok(()),
        Some(hint) => {
            let problem = format!("{name} did not accept the test: {}", trial.problem());
            Err(Failure::work(anyhow::Error::msg(problem)).with_hint(hint))
        }
    }
}

fn print(context: &Context, endpoint: &Endpoint, trial: &Trial, known: Option<&Model>) -> Result<(), Failure> {
    let test = Test::of(endpoint, trial);
    let printer = context.printer();
    let Test { endpoint: name, origin, event_id, is_accepted, status, duration_ms, error, left_out, .. } = &test;
    if printer.json() {
        return Ok(printer.document(&test)?);
    }
    let (word, style) = if *is_accepted { ("accepted", GREEN) } else { ("not accepted", RED) };
    let now = context.clock().now();
    let fields = Fields::new(now)
        .text("endpoint", name)
        .text("origin", origin)
        .text("event", event_id)
        .text("type", trial.kind)
        .cell("test", Cell::new(word).styled(style))
        .maybe("status", *status)
        .text("took", format_args!("{duration_ms} ms"))
        .maybe("error", error.as_deref())
        .maybe("answer", trial.answer())
        .maybe("effect", test.is_undone.then_some("rolled back"))
        .maybe("note", left_out.as_deref())
        .maybe("note", known.and_then(|row| kept_back(row, now)));
    printer.fields(&fields);
    Ok(())
}

//! `endpoint test`: one signed event now, past the queue, and what came back.

use super::unknown;
use crate::callback::Endpoint;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::fields::Fields;
use crate::cli::printer::{GREEN, RED};
use crate::cli::table::Cell;
use crate::cli::trial::try_out;
use crate::deliver::trial::Trial;
use crate::model::id::EndpointName;
use crate::view::Test;

pub(super) async fn run(context: &Context, name: &EndpointName) -> Result<(), Failure> {
    let config = context.load_quietly()?.config;
    let callbacks = &config.callbacks;
    let endpoint = callbacks.endpoints.get(name.as_str()).ok_or_else(|| unknown(&config, name))?;
    let endpoint = Endpoint::compile(name.as_str(), endpoint, &callbacks.defaults).map_err(|error| vec![error])?;
    let trial = try_out(context, &config, &endpoint).await?;
    print(context, &endpoint, &trial)?;
    match trial.hint() {
        None => Ok(()),
        Some(hint) => {
            let problem = format!("{name} did not accept the test: {}", trial.problem());
            Err(Failure::work(anyhow::Error::msg(problem)).with_hint(hint))
        }
    }
}

fn print(context: &Context, endpoint: &Endpoint, trial: &Trial) -> Result<(), Failure> {
    let test = Test::of(endpoint, trial);
    let printer = context.printer();
    let Test { endpoint: name, origin, event_id, is_accepted, status, duration_ms, error, .. } = &test;
    if printer.json() {
        return Ok(printer.document(&test)?);
    }
    let (word, style) = if *is_accepted { ("accepted", GREEN) } else { ("not accepted", RED) };
    let fields = Fields::new(context.clock().now())
        .text("endpoint", name)
        .text("origin", origin)
        .text("event", event_id)
        .cell("test", Cell::new(word).styled(style))
        .maybe("status", *status)
        .text("took", format_args!("{duration_ms} ms"))
        .maybe("error", error.as_deref())
        .maybe("answer", trial.answer())
        .maybe("effect", test.is_undone.then_some("rolled back"));
    printer.fields(&fields);
    Ok(())
}

//! `endpoint test`: one signed event now, past the queue, and what came back.

use serde::Serialize;

use super::unknown;
use crate::callback::Endpoint;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::fields::Fields;
use crate::cli::printer::{GREEN, RED};
use crate::cli::table::Cell;
use crate::cli::trial::Trial;
use crate::model::id::{EndpointName, EventId};

#[derive(Serialize)]
struct Document<'a> {
    endpoint: &'a EndpointName,
    /// Scheme, host and port: the rest of an address may be a password.
    origin: String,
    event_id: &'a EventId,
    is_accepted: bool,
    status: Option<u16>,
    duration_ms: u64,
    error: Option<&'a str>,
    response_body: Option<&'a str>,
}

pub(super) async fn run(context: &Context, name: &EndpointName) -> Result<(), Failure> {
    let config = context.load_quietly()?.config;
    let callbacks = &config.callbacks;
    let endpoint = callbacks.endpoints.get(name.as_str()).ok_or_else(|| unknown(&config, name))?;
    let endpoint = Endpoint::compile(name.as_str(), endpoint, &callbacks.defaults).map_err(|error| vec![error])?;
    let trial = Trial::make(context, &callbacks.egress, &endpoint).await?;
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
    let Trial { event, attempt } = trial;
    let (name, is_accepted) = (endpoint.name(), trial.hint().is_none());
    let duration_ms = u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX);
    let printer = context.printer();
    if printer.json() {
        return Ok(printer.document(&Document {
            endpoint: name,
            origin: endpoint.origin(),
            event_id: event,
            is_accepted,
            status: trial.status(),
            duration_ms,
            error: attempt.error.as_deref(),
            response_body: attempt.response_body.as_deref(),
        })?);
    }
    let (word, style) = if is_accepted { ("accepted", GREEN) } else { ("not accepted", RED) };
    let fields = Fields::new(context.clock().now())
        .text("endpoint", name)
        .text("origin", endpoint.origin())
        .text("event", event)
        .cell("test", Cell::new(word).styled(style))
        .maybe("status", trial.status())
        .text("took", format_args!("{duration_ms} ms"))
        .maybe("error", attempt.error.as_deref())
        .maybe("answer", trial.answer());
    printer.fields(&fields);
    Ok(())
}

//! `callback listen`: a receiver that shows what it is sent.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use lumo_simulator::{Received, Receiver, ReceiverConfig, Verdict};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::parse;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::safe;
use crate::cli::style::{BOLD, DIM, GREEN, RED, YELLOW};
use crate::setting::Secret;
use crate::view::Embedded;

/// What to do where the port is taken.
const TAKEN: &str = "another process listens there; choose another port with `--port`";

/// How far is indented what does not fit into the line of a callback: the time stands alone.
const INDENT: usize = "18:30:02.123  ".len();

/// Where to listen, and what to show.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The port of this machine to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8800)]
    port: u16,
    /// A signing secret, whsec_…, to verify with; without one everything is accepted
    #[arg(
        long = "secret",
        value_name = "SECRET",
        env = "LUMO_CALLBACK_SECRET",
        hide_env_values = true,
        value_delimiter = ' '
    )]
    secrets: Vec<Secret>,
    /// Print the bodies too, as does -v
    #[arg(long)]
    body: bool,
}

/// A callback, as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    at: DateTime<Utc>,
    path: &'a str,
    webhook_id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    stream: Option<&'a str>,
    sequence: Option<u64>,
    attempt: Option<u32>,
    reason: Option<&'a str>,
    /// `verified`, `unchecked` or `invalid`.
    verdict: &'static str,
    problem: Option<String>,
    answered: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Embedded>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    parse(&args.secrets)?;
    let secrets = args.secrets.iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>();
    let (port, is_checked) = (args.port, !secrets.is_empty());
    let config = ReceiverConfig { listen: (Ipv4Addr::LOCALHOST, port).into(), secrets };
    let receiver = Receiver::start(config).await.with_context(|| format!("cannot listen on port {port}"));
    let receiver = receiver.map_err(|error| Failure::listening(error, TAKEN))?;
    receiver.answer_with(204);
    let mut arrivals = receiver.subscribe();

    let printer = context.printer();
    printer.say(format!("listening on {}; end with Ctrl-C", receiver.url("/")));
    if !is_checked {
        printer.say("no secret was given, so no signature is verified");
    }
    let with_body = args.body || context.is_verbose();
    while let Some(arrival) = context.stop().soft.run_until_cancelled(arrivals.recv()).await {
        match arrival {
            Ok(received) if printer.json() => printer.record(&line(&received, with_body))?,
            Ok(received) => print(context, &received, with_body),
            Err(RecvError::Lagged(missed)) => printer.say(format!("{missed} more came too fast to be shown")),
            Err(RecvError::Closed) => break,
        }
        // What was shown need not be remembered.
        receiver.clear();
    }
    receiver.shutdown().await;
    Ok(())
}

fn line(received: &Received, with_body: bool) -> Line<'_> {
    let (verdict, problem) = match &received.verdict {
        Verdict::Verified => ("verified", None),
        Verdict::Unchecked => ("unchecked", None),
        Verdict::Invalid(problem) => ("invalid", Some(problem.to_string())),
    };
    Line {
        at: received.at,
        path: &received.path,
        webhook_id: received.id.as_deref(),
        kind: received.event_type.as_deref(),
        stream: received.stream.as_deref(),
        sequence: received.sequence,
        attempt: received.attempt,
        reason: received.header("lumo-reason"),
        verdict,
        problem,
        answered: received.answered,
        body: std::str::from_utf8(&received.body).ok().filter(|_| with_body).map(Embedded::new),
    }
}

fn print(context: &Context, received: &Received, with_body: bool) {
    let printer = context.printer();
    let or_dash = |text: Option<&str>| safe::text(text.unwrap_or("-")).into_owned();
    let verdict = match &received.verdict {
        Verdict::Verified => format!("{GREEN}verified{GREEN:#}"),
        Verdict::Unchecked => format!("{YELLOW}unchecked{YELLOW:#}"),
        Verdict::Invalid(problem) => format!("{RED}invalid: {problem}{RED:#}"),
    };
    let sequence = received.sequence.map(|sequence| format!(" #{sequence}")).unwrap_or_default();
    let attempt = received.attempt.map(|attempt| format!("  attempt {attempt}")).unwrap_or_default();
    let reason = received.header("lumo-reason").map(|reason| format!(", {}", safe::text(reason))).unwrap_or_default();
    let line = format!(
        "{DIM}{}{DIM:#}  {BOLD}{:<22}{BOLD:#}  {}{sequence}  {verdict}{DIM}{attempt}{reason}{DIM:#}",
        received.at.format("%H:%M:%S%.3f"),
        or_dash(received.event_type.as_deref()),
        or_dash(received.stream.as_deref()),
    );
    printer.hanging(&line, INDENT);
    if with_body {
        printer.line(format!("  {}", safe::lines(&String::from_utf8_lossy(&received.body))));
    }
}

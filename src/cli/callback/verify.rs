//! `callback verify`: what is wrong with a signature.

use std::io::{IsTerminal, Read};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::oneshot;

use super::parse;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::style::GREEN;
use crate::cli::time::ago;
use crate::model::capture::Captured;
use crate::model::sign::{Verified, VerifyError, verify};
use crate::setting::{Secret, Span};

/// What to verify with.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A signing secret, whsec_…; of several, separated by blanks, one that fits is enough
    #[arg(
        long = "secret",
        value_name = "SECRET",
        env = "LUMO_CALLBACK_SECRET",
        hide_env_values = true,
        value_delimiter = ' ',
        required = true
    )]
    secrets: Vec<Secret>,
    /// How far the timestamp may be from now
    #[arg(long, value_name = "TIME", default_value = "5m")]
    tolerance: Span,
    /// Accept any timestamp, as a captured request has grown old
    #[arg(long, conflicts_with = "tolerance")]
    ignore_age: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    is_valid: bool,
    event_id: Option<&'a str>,
    /// Which of the secrets signed, from 1.
    secret: Option<usize>,
    signed_at: Option<DateTime<Utc>>,
    problem: Option<String>,
    hint: Option<&'static str>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let secrets = parse(&args.secrets)?;
    let printer = context.printer();
    if std::io::stdin().is_terminal() {
        printer.say("paste the request and end it with Ctrl-D; the line break before it is part of the body");
    }
    let bytes = context.stop().soft.run_until_cancelled(read()).await;
    let bytes = bytes.unwrap_or_else(|| Err(Failure::said()))?;
    let captured = Captured::parse(&bytes).map_err(|error| {
        Failure::usage(format!("the input is no captured request: {error}"))
            .with_hint("give the headers one per line, an empty line, and then the body exactly as it came")
    })?;

    let tolerance = if args.ignore_age { Duration::MAX } else { args.tolerance.get() };
    let now = context.clock().now();
    let result = verify(&secrets, &captured.signed(), now.timestamp(), tolerance);
    let signed_at = result.as_ref().ok().and_then(|verified| DateTime::from_timestamp(verified.timestamp, 0));
    if printer.json() {
        printer.document(&Report {
            is_valid: result.is_ok(),
            event_id: captured.header("webhook-id"),
            secret: result.as_ref().ok().map(|verified| verified.secret + 1),
            signed_at,
            problem: result.as_ref().err().map(ToString::to_string),
            hint: result.as_ref().err().and_then(hint),
        })?;
        return result.map(drop).map_err(|_| Failure::said());
    }
    match result {
        Ok(Verified { secret, .. }) => {
            let when = signed_at.map(|at| format!(" {}", ago(at, now))).unwrap_or_default();
            let which = match secrets.len() {
                1 => String::new(),
                secrets => format!(", with secret {} of {secrets}", secret + 1),
            };
            printer.line(format!("{GREEN}✓{GREEN:#} the signature is right: signed{when}{which}"));
            Ok(())
        }
        Err(error) => {
            let hint = hint(&error);
            let failure = Failure::work(error.into());
            Err(match hint {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            })
        }
    }
}

/// Reads in a thread of its own, which the end of the process does not wait for: Ctrl-C works while nothing comes.
async fn read() -> Result<Vec<u8>, Failure> {
    let (done, read) = oneshot::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = std::io::stdin().read_to_end(&mut bytes).map(|_| bytes);
        // Whoever waited may be gone.
        done.send(result).ok();
    });
    let bytes = read.await.context("standard input not read")?;
    Ok(bytes.context("standard input not read")?)
}

/// What to do where the error itself does not say it.
fn hint(error: &VerifyError) -> Option<&'static str> {
    match error {
        VerifyError::MissingHeader(_) => {
            Some("capture every header; a proxy in front of the receiver may take out those that it does not know")
        }
        VerifyError::Mismatch => {
            Some("compare the secret with the endpoint's `secrets`, and take the body as it came, before it is parsed")
        }
        VerifyError::TooOld { .. } => Some("for a request that was captured a while ago say `--ignore-age`"),
        VerifyError::TooFarAhead { .. } => Some("compare the clocks of the two machines"),
        VerifyError::Timestamp(_) | VerifyError::NoV1Signature | VerifyError::Mistake(_) => None,
    }
}

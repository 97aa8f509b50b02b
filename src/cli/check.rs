//! `check`: the doctor. It looks at everything that has to be right, and says what to do about what is not.
//!
//! Every check runs, whatever the others found; one that cannot run without another says so. Nobody is called unless
//! `--send-test` says so, and nothing is stored but that a test was sent.

mod columns;
mod database;
mod endpoint;
mod finding;
mod history;
mod listen;
mod settled;
mod upstream;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::time::ago;
use crate::config::{Config, Loaded};
use crate::model::draft::rfc3339;
use finding::{Finding, Level, Report};

const HELP: &str = "\
Example: lumo-bridge check --send-test

Exit code: 0 if nothing is wrong (a warning is not an error), 1 if a secret is missing or anything else fails,
2 if the configuration cannot be used.";

/// How thorough to be.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Send each endpoint a signed test event, instead of only opening a connection
    #[arg(long)]
    send_test: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    is_healthy: bool,
    findings: &'a [Finding],
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let mut report = Report::new(context.printer());
    let failure = match context.load_quietly() {
        Ok(loaded) => {
            configuration(&mut report, &loaded, context.clock().now());
            let has_daemon = database::check(&mut report, &loaded.config, context.clock().now()).await;
            upstream::check(&mut report, context, &loaded.config).await;
            endpoint::check(&mut report, context, &loaded.config, args.send_test).await;
            listen::check(&mut report, &loaded.config, has_daemon).await;
            schedules(&mut report, context, &loaded.config);
            report.has_failed().then(Failure::said)
        }
        Err(failure) => {
            for problem in failure.problems() {
                report.add(Finding::fail("configuration", problem));
            }
            Some(failure.told())
        }
    };
    if context.printer().json() {
        context.printer().document(&Document { is_healthy: failure.is_none(), findings: report.findings() })?;
    }
    failure.map_or(Ok(()), Err)
}

fn configuration(report: &mut Report<'_>, loaded: &Loaded, now: DateTime<Utc>) {
    report.add(match &loaded.path {
        Some(path) => Finding::ok("configuration", path.display()),
        None => Finding::warn("configuration", "no file was found; the defaults and the environment are in force")
            .hint("write one with `lumo-bridge config init`, or name one with `--config`"),
    });
    let (missing, ended) = (loaded.config.check_secrets(), ended_secrets(&loaded.config, now));
    if missing.is_empty() && ended.is_empty() {
        report.add(Finding::ok("secrets", "all at hand"));
    }
    ended.into_iter().for_each(|finding| report.add(finding));
    for problem in missing {
        let fix = problem.fix.clone();
        report.add(Finding::fail("secrets", format_args!("{}: {}", problem.key, problem.problem)).maybe_hint(fix));
    }
}

/// Signing secrets that sign no longer.
fn ended_secrets(config: &Config, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, endpoint) in &config.callbacks.endpoints {
        for (at, secret) in endpoint.secrets.iter().enumerate() {
            if let Some(end) = secret.not_after.filter(|end| *end <= now) {
                let message = format!("secret {} of {name} ended on {}", at + 1, end.format("%Y-%m-%d"));
                findings.push(Finding::warn("secrets", message).hint("remove it, or correct its `not_after`"));
            }
        }
    }
    findings
}

fn schedules(report: &mut Report<'_>, context: &Context, config: &Config) {
    let now = context.clock().now();
    let sync = &config.sync;
    for (name, line) in [
        ("deposits", &sync.deposits.schedule),
        ("blocked", &sync.blocked.schedule),
        ("wallets", &sync.wallets.schedule),
        ("sweep", &sync.sweep.schedule),
    ] {
        let subject = format!("schedule {name}");
        report.add(match line.after(now) {
            Some(next) => {
                Finding::new(subject, Level::Ok, format_args!("{line}, next {} ({})", rfc3339(next), ago(next, now)))
            }
            None => Finding::new(subject, Level::Warn, format_args!("{line} is never due again")),
        });
    }
}

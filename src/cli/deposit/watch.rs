//! `deposit watch`: has a user's deposits looked for every few seconds for a while, and prints what happens.

use anyhow::anyhow;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use lumo_bridge_entity::event;

use crate::app;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::news::{INDENT, LOOK, News, line};
use crate::cli::safe;
use crate::model::id::ExternalId;
use crate::setting::Span;
use crate::store::{LONGEST_WATCH, Store};
use crate::sync::tail::watch::Plan;
use crate::view::{Embedded, Event, Reader, Watching};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The user's id in your own system
    external_id: ExternalId,
    /// For how long, at most 24h
    #[arg(long = "for", value_name = "TIME", default_value = "15m")]
    time: Span,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let time = TimeDelta::from_std(args.time.get()).ok().filter(|time| !time.is_zero() && *time <= LONGEST_WATCH);
    let time = time.ok_or_else(|| Failure::usage("`--for` is more than 0s and at most 24h"))?;
    let user = args.external_id;
    context
        .with_store(async |config, store| {
            let now = context.clock().now();
            let reader = Reader::load(store, now).await?;
            if !reader.is_running {
                let failure = Failure::work(anyhow!("no daemon reads the lists, so nobody would look"));
                let hint = match reader.silent_since {
                    Some(_) => "one is alive and writes nothing: its log says why",
                    None => "start one with `lumo-bridge run`",
                };
                return Err(failure.with_hint(hint));
            }
            let (after, until) = (store.last_seq().await?, (now + time).trunc_subsecs(6));
            store.watch(&user, until).await?;
            let shown = show(context, store, &user, after, until, app::watch_plan(config)).await;
            // A watch of somebody else's stays.
            store.unwatch(&user, Some(until)).await?;
            shown
        })
        .await
}

/// Prints what happens until then, or until it is interrupted.
async fn show(
    context: &Context,
    store: &Store,
    user: &ExternalId,
    after: i64,
    until: DateTime<Utc>,
    plan: Plan,
) -> Result<(), Failure> {
    let (printer, stop) = (context.printer(), &context.stop().soft);
    let watching = Watching::load(store, plan, context.clock().now()).await?;
    let apart = watching.map_or(plan.every.num_seconds(), |watching| watching.apart_seconds);
    if watching.is_some_and(|watching| !watching.is_looked_for) {
        printer.say("nobody looks for deposits at present; `lumo-bridge status` says why");
    }
    printer.say(format!(
        "deposits of {} are looked for every {apart} s until {}; Ctrl-C ends it",
        safe::text(user.as_str()),
        until.format("%H:%M:%S UTC")
    ));
    let is_meant = |event: &event::Model| event.object_kind == "deposit" && event.external_id.as_ref() == Some(user);
    let (mut news, mut found) = (News { after }, 0_u64);
    loop {
        // Before the events are read, so that the last of them are read when the time is over.
        let is_over = context.clock().now() >= until || stop.is_cancelled();
        let events = news.next(store).await?;
        if events.is_empty() {
            if is_over {
                break;
            }
            stop.run_until_cancelled(tokio::time::sleep(LOOK)).await;
        }
        for event in events.into_iter().filter(is_meant) {
            found += 1;
            if printer.json() {
                let body = Some(Embedded::new(&event.body));
                printer.record(&Event { body, ..Event::brief(&event) })?;
            } else {
                printer.hanging(&line(&event), INDENT);
            }
        }
    }
    if found == 0 {
        printer.say("nothing happened");
    }
    Ok(())
}

//! `deposit watch`: has a user's deposits looked for every few seconds for a while, and prints what happens.

use std::time::Duration;

use anyhow::anyhow;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use lumo_bridge_entity::event;
use serde_json::Value;

use crate::app;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::safe;
use crate::model::draft::rfc3339;
use crate::model::id::ExternalId;
use crate::setting::Span;
use crate::store::{Error, LONGEST_WATCH, Store};
use crate::sync::LEASE;
use crate::sync::watch::Plan;
use crate::view::{Embedded, Event, Reader, Watching};

/// How often to look whether something has happened.
const LOOK: Duration = Duration::from_millis(250);
/// Events that are read at a time.
const AT_ONCE: u64 = 500;

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
            let holder = store.holder(LEASE).await?;
            if !Reader::of(holder.map(|holder| holder.expires_at), now).is_running {
                let failure = Failure::work(anyhow!("no daemon reads the lists, so nobody would look"));
                return Err(failure.with_hint("start one with `lumo-bridge run`"));
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
    mut after: i64,
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
    let mut found = 0_u64;
    while context.clock().now() < until && stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        for event in news(store, user, &mut after).await? {
            found += 1;
            if printer.json() {
                let body = Some(Embedded::new(&event.body));
                printer.record(&Event { body, ..Event::brief(&event) })?;
            } else {
                printer.line(line(&event));
            }
        }
    }
    if found == 0 {
        printer.say("nothing happened");
    }
    Ok(())
}

/// What happened to the user's deposits since, in its order.
async fn news(store: &Store, user: &ExternalId, after: &mut i64) -> Result<Vec<event::Model>, Error> {
    let is_meant = |event: &event::Model| event.object_kind == "deposit" && event.external_id.as_ref() == Some(user);
    let mut meant = Vec::new();
    loop {
        let events = store.events_after(*after, AT_ONCE).await?;
        let is_last = (events.len() as u64) < AT_ONCE;
        *after = events.last().map_or(*after, |last| last.seq);
        meant.extend(events.into_iter().filter(is_meant));
        if is_last {
            return Ok(meant);
        }
    }
}

/// `18:30:02  deposit.created  12.5 USDT  new  8d5f4f0e-…`
fn line(event: &event::Model) -> String {
    let body: Value = serde_json::from_str(&event.body).unwrap_or_default();
    let object = &body["data"]["object"];
    let text = |name: &str| object[name].as_str().unwrap_or("-").to_owned();
    let time = rfc3339(event.detected_at);
    let time = time.get(11..19).unwrap_or(&time);
    safe::text(&format!(
        "{time}  {:<22}  {} {}  {}  {}",
        event.kind,
        text("amount"),
        text("currency"),
        text("status"),
        event.object_id
    ))
    .into_owned()
}

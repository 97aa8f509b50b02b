//! What `delivery` and `endpoint` say of each state, in words.

use std::time::Duration;

use lumo_simulator::{Answer, Received, World};
use sea_orm::DbBackend;
use serde_json::{Value, json};

use super::json;
use crate::admin::Client;
use crate::database::{Database, on_each_database};
use crate::world::{Finished, PATIENCE, Stage, eventually, seed};

on_each_database!(
    a_delivery_that_fails_and_those_behind_it_say_what_they_wait_for,
    who_delivers_is_said_as_far_as_it_is_known,
    a_hold_is_said_everywhere_and_a_resume_alone_ends_it,
);

/// A company whose users have a wallet and a deposit each; what `shop` answers is up to the test. Nothing was read yet.
async fn with_users(database: Database, users: &[&str]) -> Stage {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.retry", json!({ "schedule": ["1h", "1h"], "jitter": 0.0 }));
    for user in users {
        stage.world.add_wallet(user);
        stage.world.add_deposit_for(user, "1").unwrap();
    }
    stage
}

fn is_of(request: &Received, user: &str) -> bool {
    request.stream.as_deref() == Some(format!("user:{user}").as_str())
}

/// The names of a user's deliveries to `shop`, in order.
async fn deliveries(stage: &Stage, user: &str) -> Vec<String> {
    let sql = format!("SELECT id FROM lumo_events WHERE external_id = '{user}' ORDER BY seq");
    let rows = stage.database.rows(&sql).await;
    rows.into_iter().flatten().flatten().map(|event| format!("{event}@shop")).collect()
}

fn lines(finished: &Finished) -> Vec<&str> {
    finished.stdout.lines().collect()
}

async fn done(stage: &Stage, arguments: &[&str]) -> Finished {
    let finished = stage.command(arguments).await;
    assert_eq!(finished.status.code(), Some(0), "{arguments:?}: {finished:?}");
    finished
}

/// The sentence about a delivery; `list` says the same as `show`.
async fn why(stage: &Stage, id: &str) -> String {
    let shown = done(stage, &["delivery", "show", id]).await.stdout;
    let why = shown.lines().find_map(|line| line.strip_prefix("why ")).map(str::trim);
    let why = why.unwrap_or_else(|| panic!("it is not said: {shown}")).to_owned();
    let listed = done(stage, &["delivery", "list", "--limit", "100"]).await.stdout;
    let line = listed.lines().find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("not listed: {listed}"));
    assert!(line.ends_with(&why), "{line} does not end with {why}");
    why
}

/// A time of a delivery, as sentences have it.
async fn time(stage: &Stage, id: &str, field: &str) -> String {
    let shown = json(&done(stage, &["delivery", "show", id, "--json"]).await);
    let time = shown[field].as_str().unwrap_or_else(|| panic!("no {field}: {shown}"));
    format!("{}Z", &time[..19])
}

async fn until(stage: &Stage, state: &str, count: i64) {
    let sql = format!("SELECT COUNT(*) FROM lumo_deliveries WHERE state = '{state}'");
    stage.database.until_at_least(count, PATIENCE, &sql).await;
}

async fn a_delivery_that_fails_and_those_behind_it_say_what_they_wait_for(database: Database) {
    let stage = with_users(database, &["ann", "bob"]).await;
    stage.receiver.script(|request| Answer::status(if is_of(request, "bob") { 500 } else { 200 }));
    let bridge = stage.daemon();
    until(&stage, "retrying", 1).await;
    until(&stage, "delivered", 2).await;
    let of_bob = deliveries(&stage, "bob").await;
    let [first, second] = &of_bob[..] else { panic!("{of_bob:?}") };
    let event = first.trim_end_matches("@shop");
    // What stands behind it is written a moment later.
    eventually!(PATIENCE, "the second waits for the first", why(&stage, second).await.contains("until"));
    let next = time(&stage, first, "next_attempt_at").await;
    assert_eq!(
        why(&stage, first).await,
        format!("failed once (answered 500 Internal Server Error); the next attempt is at {next}")
    );
    let most = time(&stage, second, "next_attempt_at").await;
    assert_eq!(why(&stage, second).await, format!("waits behind {event} of the same user, until {most} at most"));
    let of_ann = deliveries(&stage, "ann").await;
    let at = time(&stage, &of_ann[0], "delivered_at").await;
    assert_eq!(why(&stage, &of_ann[0]).await, format!("delivered at {at}, answered 200"));

    let retried = stage.command(&["delivery", "retry", &of_ann[0], first, second]).await;
    assert_eq!(retried.status.code(), Some(1), "one of them was not sent again: {retried:?}");
    let again = "delivered already; nothing was changed, `lumo-bridge event replay` sends it once more";
    let expected = [
        format!("{}  {again}", of_ann[0]),
        format!("{first}  due in its turn, with the whole schedule before it"),
        format!("{second}  not sent yet, and sent in its turn; nothing was changed"),
    ];
    assert_eq!(lines(&retried), expected);
    // Nothing changes for these two any more, so they are the same in either form.
    let ids = [of_ann[0].as_str(), second.as_str()];
    let text = stage.command(&[&["delivery", "retry"][..], &ids[..]].concat()).await;
    let document = json(&stage.command(&[&["delivery", "retry", "--json"][..], &ids[..]].concat()).await);
    let form = |one: &Value| format!("{}  {}", one["id"].as_str().unwrap(), one["message"].as_str().unwrap());
    assert_eq!(lines(&text), document.as_array().unwrap().iter().map(form).collect::<Vec<_>>());
    let shown = json(&done(&stage, &["delivery", "show", &of_ann[0], "--json"]).await);
    assert_eq!(shown["why"], why(&stage, &of_ann[0]).await);
    stage.database.until_at_least(2, PATIENCE, "SELECT COUNT(*) FROM lumo_delivery_attempts WHERE status = 500").await;
    eventually!(
        PATIENCE,
        "it failed again",
        why(&stage, first).await.starts_with("failed once (answered 500 Internal Server Error)")
    );

    stage.receiver.unscript();
    let skipped = stage.command(&["delivery", "skip", first, &of_ann[0], "--reason", "booked by hand"]).await;
    assert_eq!(skipped.status.code(), Some(1), "the receiver has one of them: {skipped:?}");
    let delivered = format!("{}  delivered already; nothing was changed", of_ann[0]);
    assert_eq!(lines(&skipped), [format!("{first}  skipped"), delivered]);
    assert_eq!(why(&stage, first).await, "given up by the operator: booked by hand");
    until(&stage, "delivered", 3).await;
    let at = time(&stage, second, "delivered_at").await;
    assert_eq!(why(&stage, second).await, format!("delivered at {at}, answered 200"));
    bridge.stop().await;
}

async fn is_led(stage: &Stage) -> bool {
    let listed: Value = json(&done(stage, &["endpoint", "list", "--json"]).await);
    listed[0]["is_led"].as_bool().unwrap()
}

const NOBODY: &str = "no process is known to deliver to shop at present; `lumo-bridge run` does";

async fn who_delivers_is_said_as_far_as_it_is_known(database: Database) {
    let stage = with_users(database, &["ann"]).await;
    let bridge = stage.daemon();
    until(&stage, "delivered", 2).await;
    assert!(is_led(&stage).await);
    bridge.kill();
    stage.world.add_deposit_for("ann", "2").unwrap();
    stage.world.add_deposit_for("ann", "3").unwrap();
    done(&stage, &["sync", "deposits"]).await;
    let of_ann = deliveries(&stage, "ann").await;
    let waiting = &of_ann[2];
    if stage.database.backend() == DbBackend::Sqlite {
        // Nothing beside the file says that it is dead.
        assert!(is_led(&stage).await);
        assert_eq!(why(&stage, waiting).await, "is sent in its turn");
    } else {
        eventually!(PATIENCE, "its lock is gone", !is_led(&stage).await);
        assert_eq!(why(&stage, waiting).await, NOBODY);
    }
    // It is on record, and cannot say what it had in hand.
    let skipped = done(&stage, &["delivery", "skip", waiting, "--reason", "booked by hand"]).await;
    assert_eq!(lines(&skipped), [format!("{waiting}  noted; it may be on its way already")]);
    let paused = done(&stage, &["endpoint", "pause", "shop"]).await;
    let noted = "shop is paused; noted, but who delivers to it has not said so: something may be on its way already";
    assert_eq!(paused.stderr.trim(), noted);
    done(&stage, &["endpoint", "resume", "shop"]).await;
    stage.database.execute("DELETE FROM lumo_processes").await;
    assert!(!is_led(&stage).await);
    assert_eq!(why(&stage, &of_ann[3]).await, NOBODY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_endpoint_holds_says_until_when_and_by_whose_word() {
    let mut stage = with_users(Database::sqlite().await, &["ann"]).await;
    stage.receiver.script(|_| Answer::status(429).with_header("retry-after", "600"));
    let bridge = stage.daemon();
    until(&stage, "retrying", 1).await;
    let id = deliveries(&stage, "ann").await.remove(0);
    let hold = "SELECT COUNT(*) FROM lumo_endpoints WHERE hold_until IS NOT NULL";
    stage.database.until_at_least(1, PATIENCE, hold).await;
    let shown = why(&stage, &id).await;
    let words = "turned away (answered 429 Too Many Requests), which is no attempt; shop is held until ";
    let until_then = shown.strip_prefix(words).unwrap_or_else(|| panic!("{shown}"));
    let until_then = until_then.strip_suffix(" (Retry-After)").unwrap_or_else(|| panic!("{shown}"));
    let listed = done(&stage, &["endpoint", "list"]).await;
    assert!(listed.stdout.contains(&format!("held until {} (Retry-After)", &until_then[11..19])), "{listed:?}");
    let finding = format!("shop is held until {until_then} (Retry-After); 2 callbacks wait for it");
    assert_eq!(listed.stderr.trim(), finding);

    let paused = done(&stage, &["endpoint", "pause", "shop"]).await;
    let words = "shop is paused; what is for it waits until `lumo-bridge endpoint resume shop`";
    assert_eq!(paused.stderr.trim(), words);
    let since = since(&stage).await;
    let words = format!("shop is paused since {since}; `lumo-bridge endpoint resume shop`");
    assert_eq!(why(&stage, &id).await, words);
    let held = done(&stage, &["delivery", "list", "--state", "held"]).await;
    assert_eq!(held.stdout.matches(words.as_str()).count(), 2, "{held:?}");
    let status = done(&stage, &["status"]).await.stdout;
    let table: Vec<&str> = status.lines().skip_while(|line| !line.starts_with("ENDPOINT")).collect();
    let row = table.iter().find(|line| line.starts_with("shop ")).unwrap_or_else(|| panic!("no endpoint: {status}"));
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[1], "paused", "{status}");
    let retried = done(&stage, &["delivery", "retry", &id]).await;
    let words = "waits until `lumo-bridge endpoint resume shop`, with the whole schedule before it";
    assert_eq!(lines(&retried), [format!("{id}  {words}")]);
    let retried = done(&stage, &["delivery", "retry", &id]).await;
    let words = "not sent yet, and sent once its endpoint takes callbacks again; nothing was changed";
    assert_eq!(lines(&retried), [format!("{id}  {words}")]);
    let listed = done(&stage, &["endpoint", "list"]).await;
    assert_eq!(listed.stderr.trim(), format!("shop is paused since {since}; 2 callbacks wait for it"));

    stage.receiver.answer_with(410);
    stage.receiver.unscript();
    let resumed = done(&stage, &["endpoint", "resume", "shop"]).await;
    assert_eq!(resumed.stderr.trim(), "shop is active; what waits for it goes out while the daemon runs");
    let suspended = "SELECT COUNT(*) FROM lumo_endpoints WHERE state = 'suspended'";
    stage.database.until_at_least(1, PATIENCE, suspended).await;
    let since = self::since(&stage).await;
    let words =
        format!("shop is suspended since {since}; repair the receiver, then `lumo-bridge endpoint resume shop`");
    eventually!(PATIENCE, "it is suspended", why(&stage, &id).await == words);
    let listed = done(&stage, &["endpoint", "list"]).await;
    assert_eq!(
        listed.stderr.trim(),
        format!("shop is suspended since {since} (answered 410 Gone); 2 callbacks wait for it")
    );
    bridge.stop().await;

    stage.settings.remove("callbacks.endpoints.shop");
    stage.add_endpoint("crm", "/crm", &["sync.*"]);
    let bridge = stage.daemon();
    let removed = "SELECT COUNT(*) FROM lumo_endpoints WHERE removed_at IS NOT NULL";
    stage.database.until_at_least(1, PATIENCE, removed).await;
    assert_eq!(why(&stage, &id).await, "shop is not configured any more; it is sent once it is");
    let listed = done(&stage, &["endpoint", "list"]).await;
    assert_eq!(listed.stderr.trim(), "shop is not configured any more; 2 callbacks wait for it");
    let resumed = done(&stage, &["endpoint", "resume", "shop"]).await;
    assert_eq!(resumed.stderr.trim(), "shop is not configured; what is for it waits until it is");
    let skipped = done(&stage, &["endpoint", "resume", "shop", "--skip-held", "--yes"]).await;
    let words = "deliveries to shop that were skipped: 2\nshop is not configured; nothing waits for it any more";
    assert_eq!(skipped.stderr.trim(), words);
    bridge.stop().await;
}

async fn since(stage: &Stage) -> String {
    let listed: Value = json(&done(stage, &["endpoint", "list", "--json"]).await);
    format!("{}Z", &listed[0]["since"].as_str().unwrap()[..19])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dead_says_how_it_is_tried_again_and_what_became_of_that() {
    let mut stage = with_users(Database::sqlite().await, &["ann"]).await;
    stage.settings.set("callbacks.defaults.retry", json!({ "schedule": ["1s"], "jitter": 0.0 }));
    stage.receiver.script(|request| {
        let is_it = request.stream.as_deref() == Some("user:ann") && request.sequence == Some(1);
        Answer::status(if is_it { 500 } else { 200 })
    });
    let bridge = stage.daemon();
    stage.database.until_at_least(1, PATIENCE, "SELECT COUNT(*) FROM lumo_delivery_attempts").await;
    stage.world.add_wallet("bob");
    until(&stage, "dead", 1).await;
    until(&stage, "delivered", 2).await;
    bridge.stop().await;
    let attempts = stage.database.value("SELECT attempts FROM lumo_exceptions WHERE state = 'dead'").await;
    let id = deliveries(&stage, "ann").await.remove(0);
    let words = format!(
        "given up after {attempts} attempts (answered 500 Internal Server Error); `lumo-bridge delivery retry {id}` begins anew, \
         `delivery skip` puts it away"
    );
    assert_eq!(why(&stage, &id).await, words);
    let listed = done(&stage, &["endpoint", "list"]).await;
    assert_eq!(listed.stderr.trim(), "1 callback is dead: shop did not take them");

    let counted = done(&stage, &["delivery", "retry", "--state", "dead", "--dry-run"]).await;
    assert_eq!(counted.stderr.trim(), "deliveries that would be due: 1");
    let skipped = done(&stage, &["delivery", "skip", &id, "--reason", "booked by hand"]).await;
    assert_eq!(lines(&skipped), [format!("{id}  skipped; it was dead")]);
    assert_eq!(why(&stage, &id).await, "given up by the operator: booked by hand");
    let listed = done(&stage, &["endpoint", "list"]).await;
    assert_eq!(listed.stderr.trim(), "", "nothing speaks of it any more");
    let status = stage.command(&["status"]).await;
    assert!(status.stdout.contains("\nENDPOINT ") && !status.stdout.contains(" dead"), "{status:?}");
    let retried = done(&stage, &["delivery", "retry", "--state", "skipped"]).await;
    assert_eq!(retried.stderr.trim(), "deliveries that are due: 1; they go out while the daemon runs");
    assert_eq!(why(&stage, &id).await, NOBODY);
    let none = done(&stage, &["delivery", "retry", "--state", "dead"]).await;
    assert_eq!(none.stderr.trim(), "no delivery matches; `lumo-bridge delivery list` shows what there is");
    stage.receiver.unscript();
    let bridge = stage.daemon();
    until(&stage, "delivered", 3).await;
    let at = time(&stage, &id, "delivered_at").await;
    assert_eq!(why(&stage, &id).await, format!("delivered at {at}, answered 200"));
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_or_answered_says_what_is_waited_for() {
    let mut stage = with_users(Database::sqlite().await, &["ann", "bob"]).await;
    stage.settings.set("callbacks.defaults.timeout", json!("60s"));
    stage.settings.set("callbacks.endpoints.shop.ack", json!({ "mode": "row", "within": "10m" }));
    stage.receiver.script(|request| {
        let is_slow = is_of(request, "bob");
        Answer::status(200).after(Duration::from_secs(if is_slow { 3600 } else { 0 }))
    });
    let bridge = stage.daemon();
    until(&stage, "sending", 1).await;
    until(&stage, "awaiting_ack", 1).await;
    let (sending, answered) = (deliveries(&stage, "bob").await.remove(0), deliveries(&stage, "ann").await.remove(0));
    let again = time(&stage, &sending, "next_attempt_at").await;
    let words = format!("its request is under way; unless that ends, it is sent again at {again}");
    assert_eq!(why(&stage, &sending).await, words);
    let shown = why(&stage, &answered).await;
    assert!(shown.starts_with("answered, and waiting until "), "{shown}");
    assert!(shown.ends_with(" for the receiver's row in `lumo_acks`; it is sent again without one"), "{shown}");

    let skipped = stage.command(&["delivery", "skip", &sending, "--reason", "booked by hand"]).await;
    assert_eq!(skipped.status.code(), Some(1), "{skipped:?}");
    let words = "its request is under way; nothing was changed, skip it when that is over";
    assert_eq!(lines(&skipped), [format!("{sending}  {words}")]);
    let retried = done(&stage, &["delivery", "retry", &sending, &answered]).await;
    let expected = [
        format!("{sending}  its request is under way; nothing was changed"),
        format!("{answered}  answered, and waiting for the receiver's row in `lumo_acks`; nothing was changed"),
    ];
    assert_eq!(lines(&retried), expected);
    bridge.kill();
}

/// The time until which `shop` is held by its own word, in the sentences about it.
async fn until_held(stage: &Stage) -> String {
    let held = "SELECT COUNT(*) FROM lumo_endpoints WHERE hold_until IS NOT NULL AND state = 'active'";
    stage.database.until_at_least(1, PATIENCE, held).await;
    let listed = json(&done(stage, &["endpoint", "list", "--json"]).await);
    format!("{}Z", &listed[0]["hold_until"].as_str().unwrap()[..19])
}

async fn a_hold_is_said_everywhere_and_a_resume_alone_ends_it(database: Database) {
    let mut stage = with_users(database, &["ann"]).await;
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    let away = || Answer::status(503).with_header("retry-after", "7200");
    stage.receiver.script(move |_| away());
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    let until_then = until_held(&stage).await;
    until(&stage, "retrying", 1).await;
    let id = deliveries(&stage, "ann").await.remove(0);
    let held = format!("held until {until_then} (Retry-After)");
    assert!(why(&stage, &id).await.ends_with(&format!("; shop is {held}")), "{held}");
    let words = |finished: Finished| finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let status = words(done(&stage, &["status"]).await);
    let finding = format!("shop is {held}; 2 callbacks wait for it");
    let hint = "hint: `lumo-bridge endpoint resume shop` ends the hold";
    assert!(status.contains(&finding) && status.contains(hint), "{status}");
    let brief = format!("shop held until {} (Retry-After)", &until_then[11..19]);
    assert!(status.contains(&brief), "{status}");
    let listed = words(done(&stage, &["endpoint", "list"]).await);
    assert!(listed.contains(&brief), "{listed}");

    // A test goes past the queue, and says nothing of what waits.
    stage.receiver.unscript();
    done(&stage, &["endpoint", "test", "shop"]).await;
    assert_eq!(until_held(&stage).await, until_then);
    let resumed = done(&stage, &["endpoint", "resume", "shop"]).await;
    assert_eq!(resumed.stderr.trim(), "shop is active; what waits for it goes out while the daemon runs");
    until(&stage, "delivered", 2).await;
    assert_eq!(stage.database.count("lumo_endpoints", "hold_until IS NOT NULL").await, 0);

    stage.receiver.script(move |_| away());
    stage.world.add_deposit_for("ann", "2").unwrap();
    until_held(&stage).await;
    stage.receiver.unscript();
    let resumed = client.post("/api/endpoints/shop/resume", &json!({})).await;
    assert_eq!((resumed.status, &resumed.body["state"]), (200, &json!("active")), "{resumed:?}");
    until(&stage, "delivered", 3).await;
    bridge.stop().await;
}

//! `event tail`: what happens as it happens, on the terminal and at a receiver of one's own.

use lumo_simulator::{Answer, Receiver, ReceiverConfig, Verdict};
use serde_json::{Value, json};

use super::{assert_refused, delivered};
use crate::database::{Database, on_each_database};
use crate::world::{Finished, PATIENCE, SECRET, eventually};

on_each_database!(events_are_printed_and_forwarded_as_they_come);

const OWN_SECRET: &str = "whsec_b3duIHNlY3JldCBvZiBhIGRldmVsb3Blcg==";

async fn receiver(secrets: &[&str]) -> Receiver {
    let secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    Receiver::start(ReceiverConfig::local(secrets)).await.unwrap()
}

/// One JSON document a line.
fn records(finished: &Finished) -> Vec<Value> {
    finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn events_are_printed_and_forwarded_as_they_come(database: Database) {
    let stage = delivered(database, 3).await;
    let attempts = stage.database.count("lumo_delivery_attempts", "1 = 1").await;
    let own = receiver(&[OWN_SECRET]).await;
    let url = own.url("/hooks");
    let forward = ["event", "tail", "--since", "1h", "--forward", &url, "--secret", OWN_SECRET, "--json"];
    let tail = stage.start(&forward);
    let mut only = stage.start(&["event", "tail", "--type", "deposit.*", "--external-id", "bob"]);
    only.until_logged("events are printed as they come", PATIENCE).await;
    assert!(own.wait_for(3, PATIENCE).await, "what was before");

    stage.world.add_deposit_for("bob", "12.5").unwrap();
    let parts = stage.parts().await;
    parts.sync().await;
    parts.store.close().await;
    let events = stage.events().await;
    assert!(own.wait_for(events.len(), PATIENCE).await, "what came since");
    // The receiver has an event before `event tail` has its answer and prints it.
    eventually!(PATIENCE, "all are printed", tail.output().lines().count() >= events.len());
    eventually!(PATIENCE, "it is printed", only.output().contains("12.5 USDT  new  "));
    for command in [&tail, &only] {
        command.signal("INT");
    }
    let (tail, only) = (tail.finished(PATIENCE).await, only.finished(PATIENCE).await);
    assert_eq!((tail.status.code(), only.status.code()), (Some(0), Some(0)), "{tail:?} {only:?}");

    let told: Vec<_> = events.iter().map(|event| event.json()).collect();
    let received = own.received();
    assert_eq!(received.iter().map(|request| request.json().unwrap()).collect::<Vec<_>>(), told, "each once, in order");
    for request in &received {
        assert!(matches!(request.verdict, Verdict::Verified), "{:?}", request.verdict);
        assert_eq!(request.header("lumo-reason"), Some("forward"));
    }
    let printed = records(&tail);
    assert_eq!(printed.iter().map(|line| line["body"].clone()).collect::<Vec<_>>(), told);
    assert!(printed.iter().all(|line| line["forwarded"]["is_accepted"] == true), "{printed:?}");
    assert!(printed.iter().all(|line| line["forwarded"]["status"] == 200), "{printed:?}");
    let lines: Vec<_> = only.stdout.lines().collect();
    assert_eq!(lines.len(), 1, "{only:?}");
    assert!(lines[0].contains("deposit.created") && lines[0].ends_with("  bob"), "{lines:?}");

    assert_eq!(stage.database.count("lumo_delivery_attempts", "1 = 1").await, attempts, "nothing is recorded");
    assert_eq!(stage.database.count("lumo_endpoints", "name = 'forward'").await, 0);
    assert_eq!(stage.receiver.count(), 3, "the endpoint gets nothing by it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_receiver_refuses_is_said_and_the_next_one_sent() {
    let stage = delivered(Database::sqlite().await, 2).await;
    let own = receiver(&[]).await;
    own.fail_next(1, 500);
    let url = own.url("/hooks");
    let tail = stage.start(&["event", "tail", "--since", "1h", "--forward", &url]);
    eventually!(PATIENCE, "the second one is accepted", tail.output().contains("accepted, 200"));
    assert!(tail.output().contains("answered 500"), "{}", tail.output());
    let log = tail.log();
    let secret = log.split_whitespace().find(|word| word.starts_with("whsec_")).expect("a fresh secret is printed");
    assert!(secret != SECRET && secret.len() == "whsec_".len() + 44, "{secret}");
    tail.stop().await;
    assert_eq!((own.count(), own.distinct()), (2, 2), "once each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_when_it_is_ended_is_said_to_be() {
    let stage = delivered(Database::sqlite().await, 2).await;
    let own = receiver(&[OWN_SECRET]).await;
    own.script(|_| Answer::status(200).after(PATIENCE));
    let url = own.url("/hooks");
    let forward = ["event", "tail", "--since", "1h", "--forward", &url, "--secret", OWN_SECRET];
    let tail = stage.start(&forward);
    assert!(own.wait_for(1, PATIENCE).await, "it arrived");
    tail.signal("INT");
    let finished = tail.finished(PATIENCE).await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let said = "interrupted before the answer; the receiver may have it";
    assert!(matches!(lines.as_slice(), [line] if line.contains(said)), "{finished:?}");
    assert_eq!(own.count(), 1, "nothing is sent after it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_forwarded_where_callbacks_may_not_go_or_by_an_endpoints_secret() {
    let mut stage = delivered(Database::sqlite().await, 1).await;
    let own = receiver(&[]).await;
    let url = own.url("/hooks");
    let passed = stage.command(&["event", "tail", "--forward", &url, "--secret", SECRET]).await;
    assert_refused(&passed, 2, &["`--secret` is one of endpoint shop"]);
    assert!(!passed.stderr.contains(SECRET));
    let unfit = stage.command(&["event", "tail", "--forward", "ftp://127.0.0.1/"]).await;
    assert_refused(&unfit, 2, &["--forward"]);
    let short = stage.command(&["event", "tail", "--forward", &url, "--secret", "whsec_c2hvcnQ="]).await;
    assert_refused(&short, 2, &["--secret"]);
    let strange = stage.command(&["event", "tail", "--type", "deposit.strange"]).await;
    assert_refused(&strange, 2, &["--type"]);

    stage.settings.set("callbacks.egress.deny", json!(["127.0.0.0/8"]));
    let tail = stage.start(&["event", "tail", "--since", "1h", "--forward", &url]);
    eventually!(PATIENCE, "it is said", tail.output().contains("callbacks.egress.deny"));
    tail.stop().await;
    assert_eq!(own.count(), 0);
}

//! `endpoint test`, and `check --send-test`, which sends the same.

use lumo_simulator::{Answer, World};
use serde_json::json;

use super::{assert_refused, json};
use crate::database::{Database, on_each_database};
use crate::world::{Stage, seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_is_one_signed_event_past_the_queue() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    stage.settings.set("callbacks.endpoints.shop.body", json!(r#"{"text": {{ type ~ " for " ~ data.object.id }}}"#));
    // Another one's trouble is not the question.
    stage.settings.set(
        "callbacks.endpoints.other",
        json!({ "url": "http://127.0.0.1:9/", "events": ["*"], "secrets": [{ "env": "NOT_SET" }] }),
    );
    stage.receiver.script(|_| Answer { body: b"thank\n you".to_vec(), ..Answer::status(202) });
    let tested = stage.command(&["endpoint", "test", "shop"]).await;
    assert_eq!(tested.status.code(), Some(0), "{tested:?}");
    for words in ["shop", "accepted", "202", " ms", "thank you"] {
        assert!(tested.stdout.contains(words), "{words}: {}", tested.stdout);
    }
    let received = stage.receiver.received();
    assert_eq!(received.len(), 1);
    let request = &received[0];
    assert!(tested.stdout.contains(request.id.as_deref().unwrap()));
    assert_eq!((request.header("lumo-event-type"), request.header("lumo-reason")), (Some("bridge.test"), Some("test")));
    assert!(matches!(request.verdict, lumo_simulator::Verdict::Verified), "{:?}", request.verdict);
    assert_eq!(String::from_utf8_lossy(&request.body), r#"{"text": "bridge.test for shop"}"#);

    // No table is there, and none is needed.
    let tables = stage.database.number("SELECT COUNT(*) FROM sqlite_master").await;
    assert_eq!(tables, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_says_whose_events_the_endpoint_gets_as_soon_as_that_is_known() {
    let world = World::new(seed());
    world.seed(1, 1);
    let company = world.company().to_string();
    let stage = Stage::new(Database::sqlite().await, world).await;
    for command in
        [&["endpoint", "test", "shop"][..], &["sync"], &["endpoint", "test", "shop"], &["check", "--send-test"]]
    {
        let finished = stage.command(command).await;
        assert_eq!(finished.status.code(), Some(0), "{command:?}: {finished:?}");
    }
    let told: Vec<_> = stage.receiver.received().iter().map(|request| request.json().unwrap()).collect();
    let whose =
        told.iter().map(|body| (body["company_id"].as_str(), body["environment"].as_str(), body["origin"].as_str()));
    let host = stage.simulator.base_url();
    let host = host.trim_start_matches("http://");
    let known = (Some(company.as_str()), Some(host), Some("test"));
    assert_eq!(whose.collect::<Vec<_>>(), [(None, None, Some("test")), known, known]);
    let recorded = stage.database.count("lumo_operator_actions", "action = 'test' AND object = 'shop'").await;
    assert_eq!(recorded, 2, "both that were sent since there are tables");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_is_not_accepted_fails_and_says_what_to_do() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    stage.receiver.script(|_| Answer { body: vec![b'x'; 5000], ..Answer::status(404) });
    let refused = stage.command(&["endpoint", "test", "shop"]).await;
    assert_refused(&refused, 1, &["shop did not accept the test: answered 404", "compare the path"]);
    assert!(refused.stdout.contains(&format!("{}…", "x".repeat(200))), "{}", refused.stdout);
    let checked = stage.command(&["check", "--send-test"]).await;
    assert!(checked.stdout.contains("answered 404"), "{}", checked.stdout);
    assert_eq!(stage.receiver.count(), 2, "the check sends the same");

    let document = json(&stage.command(&["endpoint", "test", "shop", "--json"]).await);
    assert_eq!((&document["is_accepted"], &document["status"]), (&json!(false), &json!(404)));
    assert!(document["duration_ms"].is_u64() && document["response_body"].is_string(), "{document}");

    stage.settings.set("callbacks.endpoints.shop.body", json!("{{ data.upstream.amount }}"));
    let unfit = stage.command(&["endpoint", "test", "shop"]).await;
    assert_refused(
        &unfit,
        1,
        &[
            "the template failed in line 1",
            "`bridge.test` does not have all that its templates ask for; `lumo-bridge endpoint test shop --event \
             deposit.created` sends a sample that has",
        ],
    );
    let unknown = stage.command(&["endpoint", "test", "shpo"]).await;
    assert_refused(&unknown, 1, &["no such endpoint: shpo", "did you mean `shop`?"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_of_any_type_has_what_is_set_and_passes_for_no_real_event() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    stage.settings.set("callbacks.endpoints.shop.when", json!("data.object.amount >= 10"));
    let settled = ["endpoint", "test", "shop", "--event", "deposit.settled"];
    let tested = stage.command(&[&settled[..], &["--set", "object.amount=12.000000000000000001"]].concat()).await;
    assert_eq!(tested.status.code(), Some(0), "{tested:?}");
    assert!(tested.stdout.contains("evt_test_") && !tested.stdout.contains("\nnote "), "{tested:?}");
    let request = stage.receiver.received()[0].clone();
    let headers = (request.header("lumo-event-type"), request.header("lumo-reason"));
    assert_eq!(headers, (Some("deposit.settled"), Some("test")));
    assert!(matches!(request.verdict, lumo_simulator::Verdict::Verified), "{:?}", request.verdict);
    let body = request.json().unwrap();
    crate::generated::assert_published(&body);
    assert_eq!((&body["origin"], &body["type"]), (&json!("test"), &json!("deposit.settled")));
    assert_eq!(body["data"]["object"]["amount"], "12.000000000000000001");
    assert_eq!(body["data"]["object"]["id"], "00000000-0000-0000-0000-000000000000");

    let few = stage.command(&[&settled[..], &["--set", "object.amount=1"]].concat()).await;
    let note = few.stdout.lines().find_map(|line| line.strip_prefix("note ")).map(str::trim);
    assert_eq!(note, Some("a real one would be left out, as `when` is false for it"), "{few:?}");
    assert_eq!(few.status.code(), Some(0), "a test is sent all the same");
    for (setting, words) in [
        ("object.amuont=1", "did you mean `object.amount`?"),
        ("object.id=8d5f4f0e", "`object.id` cannot be set"),
        ("origin=live", "`origin` cannot be set"),
        ("object.amount=lots", "is an amount, which `lots` is not"),
        ("object.amount", "sets nothing"),
    ] {
        assert_refused(&stage.command(&[&settled[..], &["--set", setting]].concat()).await, 2, &[words]);
    }
    assert_refused(
        &stage.command(&["endpoint", "test", "shop", "--event", "deposit.strange"]).await,
        2,
        &["deposit.strange"],
    );
    assert_eq!(stage.receiver.count(), 2, "nothing else is sent");
}

on_each_database!(a_statement_is_tried_with_a_sample_of_what_it_books);

async fn a_statement_is_tried_with_a_sample_of_what_it_books(database: Database) {
    let mut stage = Stage::new(database, World::new(seed())).await;
    stage
        .database
        .execute("CREATE TABLE bookings (deposit_id varchar(64), amount varchar(40), user_id varchar(200) NOT NULL)")
        .await;
    let sql = "INSERT INTO bookings VALUES (:object_id, :amount, :external_id)";
    stage.settings.set(
        "callbacks.endpoints",
        json!({ "ledger": { "sink": { "sql": sql, "timeout": "5s" }, "events": ["deposit.settled"] } }),
    );
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    // A real one is not of the origin `test`.
    stage.settings.set("callbacks.endpoints.ledger.when", json!("origin == 'live'"));
    for arguments in
        [&["endpoint", "test", "ledger", "--event", "deposit.settled"][..], &["endpoint", "test", "ledger"]]
    {
        let tested = stage.command(arguments).await;
        assert_eq!(tested.status.code(), Some(0), "{tested:?}");
        assert!(tested.stdout.contains("rolled back") && tested.stdout.contains("deposit.settled"), "{tested:?}");
        assert!(!tested.stdout.contains("\nnote "), "{tested:?}");
    }
    let checked = stage.command(&["check", "--send-test"]).await;
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    let took = "a statement in the database took the test, a sample of deposit.settled, ";
    assert!(checked.stdout.contains(took), "{checked:?}");
    let unsuited = stage.command(&["endpoint", "test", "ledger", "--event", "bridge.test"]).await;
    let remedy = "`bridge.test` has no `:external_id`, `:amount` and the like; `lumo-bridge endpoint test ledger --event \
                  deposit.settled` runs the statement with a sample that has";
    assert_refused(&unsuited, 1, &[remedy]);
    assert_eq!(stage.database.count("bookings", "1 = 1").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_are_tried_with_a_sample_unless_it_could_look_real() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    let url = stage.receiver.url("/users/{{ data.object.external_id }}");
    stage.add_endpoint("shop", "/shop", &["deposit.settled"]);
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    stage.settings.set("callbacks.endpoints.shop.url", json!(url));
    for command in [&["check", "--send-test"][..], &["endpoint", "test", "shop"]] {
        let finished = stage.command(command).await;
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    }
    let told = stage.receiver.received();
    let told: Vec<_> = told.iter().map(|one| (one.path.as_str(), one.header("lumo-event-type"))).collect();
    assert_eq!(told, [("/users/lumo-bridge-test", Some("deposit.settled")); 2]);

    // In a body of its own nothing need say that it is a test.
    stage.settings.set("callbacks.endpoints.shop.body", json!("{{ data.object.amount }}"));
    let checked = stage.command(&["check", "--send-test"]).await;
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert!(checked.stdout.contains("accepts connections"), "{checked:?}");
    let untested = "warn endpoint shop: no test was sent: `body`: the template failed in line 1";
    assert!(checked.stdout.contains(untested), "{checked:?}");
    let remedy = "`lumo-bridge endpoint test shop --event deposit.settled` sends a sample that has";
    assert!(checked.stdout.contains(remedy), "{checked:?}");
    assert_refused(&stage.command(&["endpoint", "test", "shop"]).await, 1, &[remedy]);
    assert_eq!(stage.receiver.count(), 2, "nothing more is sent");
    let named = stage.command(&["endpoint", "test", "shop", "--event", "deposit.settled"]).await;
    assert_eq!((named.status.code(), stage.receiver.count()), (Some(0), 3), "{named:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_is_accepted_says_what_keeps_the_others_back() {
    let stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    for command in [&["migrate", "up"][..], &["endpoint", "pause", "shop"]] {
        let finished = stage.command(command).await;
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    }
    for state in ["paused", "suspended", "failing"] {
        stage.database.execute(&format!("UPDATE lumo_endpoints SET state = '{state}'")).await;
        let (found, note) = match state {
            "failing" => ("fails", "fails: one delivery at a time is tried, and the rest follows in order".to_owned()),
            _ => (state, format!("is {state}: nothing else is sent until `lumo-bridge endpoint resume shop`")),
        };
        let tested = stage.command(&["endpoint", "test", "shop"]).await;
        assert_eq!(tested.status.code(), Some(0), "{tested:?}");
        assert!(tested.stdout.contains("accepted") && tested.stdout.contains(&format!("shop {note}")), "{tested:?}");
        for arguments in [&["check"][..], &["check", "--send-test"]] {
            let checked = stage.command(arguments).await;
            assert_eq!(checked.status.code(), Some(0), "{checked:?}");
            let mut lines = checked.stdout.lines();
            let line = lines.find(|line| line.starts_with("warn endpoint shop: ")).unwrap_or_default().to_owned();
            assert!(line.contains(found) && line.contains("0 callbacks wait for it"), "{checked:?}");
            let hint = lines.next().unwrap_or_default();
            let remedy = if state == "failing" { "endpoint test shop" } else { "endpoint resume shop" };
            assert!(hint.contains("hint: ") && hint.contains(remedy), "{checked:?}");
        }
    }
    stage.database.execute("UPDATE lumo_endpoints SET state = 'active'").await;
    let tested = stage.command(&["endpoint", "test", "shop"]).await;
    assert!(!tested.stdout.contains("\nnote "), "{tested:?}");
}

//! What commands leave in `lumo_operator_actions`, and where it is shown.

use std::process::Command;

use lumo_simulator::{Fault, Operation};
use serde_json::{Value, json};

use super::{delivered, json};
use crate::database::{Database, on_each_database};
use crate::store::actions::actions;
use crate::world::{Finished, Stage};

on_each_database!(each_command_says_who_did_what_and_why, an_event_shows_what_was_done_about_it);

/// Who gives the commands of these tests.
fn me() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    format!("cli:{}", String::from_utf8(output.stdout).unwrap().trim())
}

async fn done(stage: &Stage, arguments: &[&str]) -> Finished {
    let finished = stage.command(arguments).await;
    assert_eq!(finished.status.code(), Some(0), "{arguments:?}: {finished:?}");
    finished
}

async fn each_command_says_who_did_what_and_why(database: Database) {
    let mut stage = delivered(database, 2).await;
    let me = me();
    let wallet = stage.world.wallet_of("user 0").unwrap().id.to_string();
    let other = stage.world.wallet_of("user 1").unwrap().id.to_string();
    let sql = "SELECT MIN(id) FROM lumo_events";
    let event = stage.database.value(sql).await;
    let delivery = format!("{event}@shop");
    let mut expected: Vec<String> = Vec::new();
    // What changes nothing, or fails, leaves nothing.
    for (arguments, left) in [
        (vec!["endpoint", "resume", "shop"], None),
        (vec!["endpoint", "pause", "shop"], Some("pause shop".to_owned())),
        (vec!["endpoint", "pause", "shop"], None),
        (vec!["endpoint", "pause", "nobody"], None),
        (vec!["event", "replay", "--endpoint", "shop", "--id", &event, "--dry-run"], None),
        (vec!["event", "replay", "--endpoint", "shop", "--id", &event], Some(format!("replay {delivery}"))),
        (vec!["event", "replay", "--endpoint", "shop", "--id", &event], None),
        (vec!["delivery", "retry", &delivery], None),
        (
            vec!["delivery", "skip", &delivery, "--reason", "booked by hand"],
            Some(format!("skip {delivery} booked by hand")),
        ),
        (vec!["delivery", "skip", &delivery, "--reason", "booked by hand"], None),
        (vec!["delivery", "retry", "--state", "skipped", "--dry-run"], None),
        (vec!["delivery", "retry", "--state", "skipped"], Some(format!("retry {delivery}"))),
        (vec!["endpoint", "resume", "shop", "--skip-held"], None),
        (vec!["endpoint", "resume", "shop", "--skip-held", "--yes"], Some("skip shop".to_owned())),
        (vec!["endpoint", "test", "shop"], Some("test shop".to_owned())),
        (vec!["wallet", "block", &wallet, "--reason", "stolen"], Some(format!("block {wallet} stolen"))),
        (vec!["wallet", "block", "none", "--reason", "stolen"], None),
        (vec!["wallet", "replace", &other, "--reason", "leaked"], Some(format!("replace {other} leaked"))),
        (vec!["wallet", "create", "user 1"], None),
        (vec!["account", "adopt", &stage.world.company().to_string(), "--yes"], None),
    ] {
        let finished = stage.command(&arguments).await;
        expected.extend(left.map(|left| format!("{me} {left}")));
        if arguments.contains(&"--yes") && arguments.contains(&"--skip-held") {
            expected.push(format!("{me} resume shop"));
        }
        assert_eq!(actions(&stage.database).await, expected, "{arguments:?}: {finished:?}");
    }

    let created = json(&done(&stage, &["wallet", "create", "user 2", "--json"]).await);
    expected.push(format!("{me} create {}", created["id"].as_str().unwrap()));
    done(&stage, &["wallet", "create", "user 2"]).await;
    assert_eq!(actions(&stage.database).await, expected, "it was there already");
    stage.simulator.faults().inject_on(Operation::CreateWallet, 1, Fault::CutBody);
    assert_eq!(stage.command(&["wallet", "create", "user 3"]).await.status.code(), Some(1));
    assert_eq!(actions(&stage.database).await, expected, "nobody has seen what came of it");

    let company = stage.world.company().to_string();
    let url = stage.simulator.base_url().replace("127.0.0.1", "localhost");
    stage.settings.set("lumo.base_url", json!(url));
    assert_eq!(stage.command(&["account", "adopt", &company]).await.status.code(), Some(2), "not confirmed");
    assert_eq!(actions(&stage.database).await, expected);
    done(&stage, &["account", "adopt", &company, "--yes"]).await;
    expected.push(format!("{me} adopt {company}"));
    assert_eq!(actions(&stage.database).await, expected);
}

async fn an_event_shows_what_was_done_about_it(database: Database) {
    let stage = delivered(database, 2).await;
    let events = stage.database.rows("SELECT id FROM lumo_events ORDER BY seq").await;
    let events: Vec<String> = events.into_iter().flatten().flatten().collect();
    let delivery = format!("{}@shop", events[0]);
    let show = async |event: &str| json(&done(&stage, &["event", "show", event, "--json"]).await);
    assert_eq!(show(&events[0]).await["actions"], json!([]));
    let before = done(&stage, &["event", "show", &events[0]]).await.stdout;
    assert!(!before.contains("ACTION"), "{before}");

    done(&stage, &["event", "replay", "--endpoint", "shop", "--id", &events[0]]).await;
    done(&stage, &["delivery", "skip", &delivery, "--reason", "booked\nby \u{1b}[31mhand"]).await;
    let shown = show(&events[0]).await;
    let acts: Vec<&Value> = shown["actions"].as_array().unwrap().iter().collect();
    assert_eq!(acts.len(), 2, "{shown:#}");
    let members: Vec<&str> = acts[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["action", "actor", "at", "id", "object", "reason"]);
    assert_eq!((&acts[0]["action"], &acts[0]["object"]), (&json!("skip"), &json!(delivery)));
    assert_eq!((&acts[0]["actor"], &acts[0]["reason"]), (&json!(me()), &json!("booked\nby \u{1b}[31mhand")));
    assert_eq!((&acts[1]["action"], &acts[1]["reason"]), (&json!("replay"), &Value::Null));
    assert!(acts[0]["id"].as_i64() > acts[1]["id"].as_i64(), "the newest first");
    assert!(acts[0]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{shown:#}");
    assert_eq!(show(&events[1]).await["actions"], json!([]));

    let text = done(&stage, &["event", "show", &events[0]]).await.stdout;
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("ACTION")).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].starts_with("skip") && lines[1].contains(&me()) && lines[1].contains(&delivery), "{text}");
    assert!(lines[2].starts_with("replay"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

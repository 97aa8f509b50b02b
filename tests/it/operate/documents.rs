//! `--json`: whatever command prints data prints documents when it is asked to, and nothing else beside them.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use lumo_bridge::cli::Cli;
use lumo_simulator::World;
use serde_json::{Value, json};

use super::{delivered, json};
use crate::database::Database;
use crate::world::{PATIENCE, SECRET, Stage, eventually, seed};

/// Commands that print no data, and what they do instead.
const OTHERS: &[(&str, &str)] = &[
    ("run", "a daemon; it logs"),
    ("simulate", "a server; it says where it listens"),
    ("completions", "prints a script"),
    ("man", "prints a manual"),
];

/// The commands that do something by themselves.
fn leaves(command: &clap::Command, before: &str, found: &mut BTreeSet<String>) {
    for sub in command.get_subcommands() {
        let name = format!("{before}{}", sub.get_name());
        leaves(sub, &format!("{name} "), found);
        if !sub.is_subcommand_required_set() {
            found.insert(name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_that_prints_data_prints_it_as_json() {
    let mut stage = delivered(Database::sqlite().await, 2).await;
    stage.settings.set("lumo.settled_statuses", json!(["new"]));
    let wallet = stage.world.wallet_of("user 0").unwrap().id.to_string();
    let company = stage.world.company().to_string();
    let other = stage.world.wallet_of("user 1").unwrap().id.to_string();
    let deposit = stage.world.add_deposit_for("user 0", "1.5").unwrap().id.to_string();
    let sql = |column: &str, table: &str| format!("SELECT MIN({column}) FROM {table}");
    let event = stage.database.value(&sql("id", "lumo_events")).await;
    let delivery = format!("{event}@shop");
    let file = stage.config_file().with_file_name("new.yaml").display().to_string();

    let mut left = BTreeSet::new();
    leaves(&Cli::command(), "", &mut left);
    for (name, _) in OTHERS {
        assert!(left.remove(*name), "there is no command `{name}`");
    }
    for (name, more) in [
        ("sync", &[][..]),
        // One line for the one deposit that is settled and not booked.
        ("reconcile", &["--against", "SELECT id AS deposit_id, amount FROM lumo_user_deposits WHERE id = ''"]),
        ("sync rejects", &[]),
        ("check", &[]),
        ("status", &[]),
        ("migrate up", &[]),
        ("migrate status", &[]),
        ("account show", &[]),
        ("account adopt", &[&company, "--yes"]),
        ("wallet create", &["user 2"]),
        ("wallet block", &[&wallet, "--reason", "stolen"]),
        ("wallet replace", &[&other, "--reason", "leaked"]),
        ("wallet list", &[]),
        ("wallet show", &[&wallet]),
        ("deposit list", &["--limit", "1"]),
        ("deposit show", &[&deposit]),
        ("deposit statuses", &[]),
        ("event list", &[]),
        ("event show", &[&event]),
        ("event schema", &[]),
        ("event replay", &["--endpoint", "shop", "--id", &event]),
        ("delivery list", &["--limit", "1"]),
        ("delivery show", &[&delivery]),
        ("delivery retry", &[&delivery]),
        ("delivery skip", &[&delivery, "--reason", "booked by hand"]),
        ("endpoint list", &[]),
        ("endpoint pause", &["shop"]),
        ("endpoint resume", &["shop"]),
        ("endpoint test", &["shop"]),
        ("config init", &[&file]),
        ("config show", &[]),
        ("config schema", &[]),
        ("migrate restored", &[]),
        ("migrate down", &["--steps", "1", "--yes"]),
        ("demo", &["--until-delivered", "1", "--wallets", "3", "--deposits", "3", "--pace", "50"]),
    ] {
        let words: Vec<_> = name.split(' ').chain(more.iter().copied()).chain(["--json"]).collect();
        let finished = stage.command(&words).await;
        assert!(!matches!(finished.status.code(), Some(2) | None), "{name}: {finished:?}");
        assert!(!matches!(json(&finished), Value::Null), "{name}: {finished:?}");
        assert!(left.remove(name), "`{name}` is no command");
    }
    // They ask for a daemon, or go on until they are ended; what they print is seen elsewhere.
    assert!(left.remove("health") && left.remove("deposit watch") && left.remove("event tail"));
    listens(&stage).await;
    verifies();
    assert!(left.remove("callback listen") && left.remove("callback verify"));
    assert!(left.is_empty(), "commands whose `--json` nobody has seen: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_level_of_the_log_is_shown_as_configured_whatever_the_command_logs() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    for level in ["info", "info,lumo_bridge=debug"] {
        stage.settings.set("log.level", json!(level));
        for more in [&[][..], &["-v"], &["-q"]] {
            let shown = stage.command(&[&["config", "show", "--json"][..], more].concat()).await;
            assert_eq!(json(&shown)["log"]["level"], level, "{more:?}");
        }
    }
}

/// `callback listen` prints one document per line.
async fn listens(stage: &Stage) {
    let listening = stage.start(&["callback", "listen", "--port", "0", "--json"]);
    eventually!(PATIENCE, "it listens", listening.log().contains("listening on http://"));
    let log = listening.log();
    let url = log.split_whitespace().find(|word| word.starts_with("http://")).unwrap().trim_end_matches(';').to_owned();
    let mut there = Stage::new(Database::sqlite().await, stage.world.clone()).await;
    there.settings.endpoint("shop", &url, &["*"]);
    let tested = there.command(&["endpoint", "test", "shop"]).await;
    assert_eq!(tested.status.code(), Some(0), "{tested:?}");
    eventually!(PATIENCE, "it is printed", listening.output().contains("bridge.test"));
    listening.signal("TERM");
    let finished = listening.finished(PATIENCE).await;
    let lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{}", finished.stdout);
    assert_eq!(lines[0]["type"], "bridge.test");
}

/// `callback verify` reads what it verifies.
fn verifies() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lumo-bridge"));
    command.args(["callback", "verify", "--json", "--secret", SECRET]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"webhook-id: evt_a\n\n{}").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &document["is_valid"]), (Some(1), &Value::Bool(false)));
}

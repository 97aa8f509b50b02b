//! What the documents tell the reader to do is done: commands are run, queries are asked of each database, and every
//! command that is mentioned anywhere is one that the program takes.

mod chat;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser;
use clap::error::ErrorKind::{
    DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion, MissingRequiredArgument,
};
use config::{FileFormat, Format, ValueKind};
use lumo_bridge::cli::Cli;
use lumo_simulator::World;
use sea_orm::DbBackend;
use serde_json::{Value, json};

use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(every_query_of_the_documents_finds_what_it_says, the_page_on_crediting_books_each_deposit_once,);

const DOCUMENTS: [&str; 19] = [
    "README.md",
    "README.ru.md",
    "docs/api.md",
    "docs/chat.md",
    "docs/commands.md",
    "docs/concepts.md",
    "docs/configuration.md",
    "docs/crediting.md",
    "docs/deploy.md",
    "docs/integration.md",
    "docs/metrics.md",
    "docs/operations.md",
    "docs/options.md",
    "docs/performance.md",
    "docs/tables.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/receivers.md",
    "docs/events.md",
];

/// The ports of the documents, of which another test may have taken one.
const PORTS: [&str; 3] = ["8600", "8700", "8800"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks of a document that are marked so, without the indentation of their fence.
fn blocks(document: &str, mark: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in document.lines() {
        let indent = line.len() - line.trim_start().len();
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(marked)) if marked.trim() == mark => open = Some((indent, String::new())),
            (None, Some(_)) => open = Some((usize::MAX, String::new())),
            (Some(_), Some("")) => blocks.extend(open.take().filter(|(indent, _)| *indent < usize::MAX)),
            (Some((indent, block)), _) => {
                block.push_str(line.get(*indent..).unwrap_or_default());
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    let blocks: Vec<String> = blocks.into_iter().map(|(_, block)| block).collect();
    assert!(!blocks.is_empty(), "no block is marked `{mark}`");
    blocks
}

/// Runs the commands of a document one after the other, in one shell, in a folder with this configuration.
async fn run(name: &str, config: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut script = format!(
        "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}",
        blocks(&document(name), "sh").join("\n")
    );
    let mut config = config.to_owned();
    for port in PORTS {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        config = config.replace(&format!(":{port}"), &format!(":{free}"));
        script = script.replace(&format!("--port {port}"), &format!("--port {free}"));
        if port == "8700" {
            script = script.replace("lumo-bridge simulate", &format!("lumo-bridge simulate --listen 127.0.0.1:{free}"));
        }
    }
    fs::create_dir(folder.path().join("config")).unwrap();
    fs::write(folder.path().join("config/lumo-bridge.yaml"), config).unwrap();

    let program = Path::new(env!("CARGO_BIN_EXE_lumo-bridge")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let to = |file: &str| Stdio::from(fs::File::create(folder.path().join(file)).unwrap());
    let mut command = Command::new("bash");
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("LUMO_") {
            command.env_remove(variable);
        }
    }
    command.arg("-c").arg(&script).current_dir(folder.path()).env("PATH", path);
    let mut shell = command.stdin(Stdio::null()).stdout(to("out")).stderr(to("err")).spawn().unwrap();
    let mut status;
    eventually!(PATIENCE, format!("{name} is done"), {
        status = shell.try_wait().unwrap();
        status.is_some()
    });
    let said = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
    assert!(status.unwrap().success(), "{name}:\n{script}\n---\n{}\n---\n{}", said("out"), said("err"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_integration_guide_do_what_they_say() {
    let name = "docs/integration.md";
    run(name, &blocks(&document(name), "yaml")[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_operations_guide_do_what_they_say() {
    let world = World::live(seed());
    world.seed(20, 20);
    let stage = Stage::new(Database::sqlite().await, world).await;
    let bridge = stage.daemon();
    stage.until_imported().await;
    run("docs/operations.md", &stage.settings.to_string()).await;
    bridge.stop().await;
}

async fn every_query_of_the_documents_finds_what_it_says(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    stage.world.add_wallet("42");
    let deposit = stage.world.add_deposit_for("42", "12.5").unwrap().id.to_string();
    let [_, booked] = ["7", "8"].map(|amount| {
        let id = stage.world.add_deposit_for("用户 42", amount).unwrap().id;
        stage.world.set_deposit_status(id, "confirmed").unwrap().id
    });
    let parts = stage.parts().await;
    parts.sync().await;
    stage.world.set_deposit_status(booked, "failed").unwrap();
    parts.sync().await;
    for name in ["docs/crediting.md", "docs/integration.md", "docs/operations.md"] {
        for statement in blocks(&document(name), "sql").iter().flat_map(|block| block.split(';')) {
            let statement = statement.trim().replace("8d5f4f0e-3c1b-4a55-8d0c-0f2b7c1e9a77", &deposit);
            let statement = of_backend(&stage.database, &statement);
            if statement.starts_with("SELECT") {
                let found = stage.database.number(&format!("SELECT COUNT(*) FROM ({statement}) AS found")).await;
                assert!(found > 0, "nothing is found by\n{statement}");
            } else if !statement.is_empty() {
                stage.database.execute(&statement).await;
                if statement.contains("TABLE bookings") {
                    let booking = format!("INSERT INTO bookings VALUES ('{booked}', '42', '8', 'USDT')");
                    stage.database.execute(&booking).await;
                }
                if statement.contains("TABLE users") {
                    let users = "INSERT INTO users VALUES ('42', 'bob@example.com'), ('43', 'eve@example.com')";
                    stage.database.execute(users).await;
                }
            }
        }
    }
    parts.store.close().await;
}

/// What the page on crediting says of databases, and what it shows for PostgreSQL.
fn of_backend(database: &Database, text: &str) -> String {
    let differences = match database.backend() {
        DbBackend::Sqlite => vec![("amount decimal(65, 30)", "amount text")],
        DbBackend::MySql => vec![
            (");", ") CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;"),
            ("ON CONFLICT (deposit_id) DO NOTHING", "ON DUPLICATE KEY UPDATE deposit_id = deposit_id"),
        ],
        _ => Vec::new(),
    };
    let page = document("docs/crediting.md");
    differences.into_iter().fold(text.to_owned(), |text, (shown, other)| {
        assert!(page.contains(shown) && page.contains(&format!("`{other}`")), "the page does not say `{other}`");
        text.replace(shown, other)
    })
}

/// The page on crediting, as somebody follows it who has credited a deposit before.
async fn the_page_on_crediting_books_each_deposit_once(database: Database) {
    let page = document("docs/crediting.md");
    let bookings = blocks(&page, "sql").into_iter().find(|block| block.contains("TABLE bookings")).unwrap();
    database.execute(&of_backend(&database, &bookings)).await;
    let world = World::live(seed());
    // From before the first import by the clocks of both sides.
    world.seed(10, 1);
    let old = world.random_deposit().unwrap().id;
    world.set_deposit_status(old, "confirmed").unwrap();
    let mut stage = Stage::new(database, world).await;
    for block in blocks(&page, "yaml") {
        let table = FileFormat::Yaml.parse(None, &of_backend(&stage.database, &block)).unwrap();
        let shown: Value = config::Value::new(None, ValueKind::Table(table)).try_deserialize().unwrap();
        for path in ["lumo.settled_statuses", "callbacks.endpoints.ledger"] {
            if let Some(value) = shown.pointer(&format!("/{}", path.replace('.', "/"))) {
                stage.settings.set(path, value.clone());
            }
        }
    }
    let bridge = stage.daemon();
    stage.until_imported().await;

    let [paid, pending] =
        ["12.500000000001", "7"].map(|amount| stage.world.add_deposit_for("用户 42", amount).unwrap().id);
    stage.world.set_deposit_status(paid, "confirmed").unwrap();
    stage.database.until_at_least(1, PATIENCE, "SELECT COUNT(*) FROM bookings").await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    let booked = format!("SELECT deposit_id, user_id FROM bookings ORDER BY {}", stage.database.text("amount"));
    let row = |id: &dyn ToString, user: &str| vec![Some(id.to_string()), Some(user.to_owned())];
    assert_eq!(stage.database.rows(&booked).await, [row(&paid, "用户 42")], "neither {old} nor {pending}");
    assert_eq!(stage.database.count("bookings", "amount = '12.500000000001'").await, 1);

    // What was stored in silence is found, and what credited it is written down.
    let reconcile = ["reconcile", "--json", "--against", "SELECT deposit_id, amount FROM bookings"];
    let found = stage.command(&reconcile).await;
    assert_eq!((found.status.code(), found.stdout.lines().count()), (Some(1), 1), "{found:?}");
    assert!(found.stdout.contains(&old.to_string()) && found.stdout.contains("not_booked"), "{found:?}");
    let by_the_old_system = "INSERT INTO bookings SELECT id, external_id, amount, currency FROM lumo_user_deposits";
    stage.database.execute(&format!("{by_the_old_system} WHERE id = '{old}'")).await;
    let before = stage.database.rows(&booked).await;

    // A replay runs the statement again, and a test leaves nothing.
    let replay = ["event", "replay", "--since", "1h", "--type", "deposit.settled", "--endpoint", "ledger"];
    let replayed = stage.command(&replay).await;
    assert_eq!(replayed.status.code(), Some(0), "{replayed:?}");
    let attempts = "SELECT COUNT(*) FROM lumo_delivery_attempts WHERE endpoint = 'ledger' AND reason = 'replay'";
    stage.database.until_at_least(1, PATIENCE, attempts).await;
    let tried = stage.command(&["endpoint", "test", "ledger"]).await;
    assert_eq!(tried.status.code(), Some(0), "{tried:?}");
    assert!(tried.stdout.contains("rolled back") && !tried.stdout.contains("\nnote "), "{tried:?}");
    let checked = stage.command(&["check"]).await;
    assert!(checked.stdout.contains("its statement can be prepared"), "{checked:?}");
    assert_eq!(stage.database.rows(&booked).await, before);
    assert_eq!(before.len(), 2);
    stage.until_delivered().await;

    run("docs/crediting.md", &stage.settings.to_string()).await;
    bridge.stop().await;
}

/// The words of each `lumo-bridge` command in a text, as a shell would take them apart.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("lumo-bridge ") {
        if text[..at]
            .ends_with(|before: char| before.is_alphanumeric() || matches!(before, '-' | '_' | '.' | ':' | '/'))
        {
            continue;
        }
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for letter in text[at..].chars() {
            match (quote, letter) {
                (None, '\'' | '"') => quote = Some(letter),
                (Some(open), _) if open == letter => quote = None,
                (None, ' ') => words.push(std::mem::take(&mut word)),
                (None, '\n' | '`' | ';' | '|' | '<' | '>' | '&' | ')' | '#') => break,
                _ => word.push(letter),
            }
        }
        words.push(word);
        words.retain(|word| !word.is_empty());
        found.push(words);
    }
    found
}

#[test]
fn every_command_that_is_mentioned_is_one_that_the_program_takes() {
    let mut seen = 0;
    for name in DOCUMENTS {
        let text = document(name);
        let code = text.split("```").skip(1).step_by(2).map(str::to_owned);
        let prose: String = text.split("```").step_by(2).collect();
        let inline: Vec<String> = prose.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " ")).collect();
        for words in code.chain(inline).flat_map(|code| commands(&code)) {
            // A path that ends so, such as a folder's name, is followed by no command of ours.
            if words.len() < 2 {
                continue;
            }
            if let Err(error) = Cli::try_parse_from(&words) {
                // In prose a command may be named without what it takes.
                let is_taken = matches!(
                    error.kind(),
                    MissingRequiredArgument | DisplayHelpOnMissingArgumentOrSubcommand | DisplayVersion | DisplayHelp
                );
                assert!(is_taken, "{name}: `{}`: {error}", words.join(" "));
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} commands were seen");
}

#[test]
fn what_contributors_are_told_of_is_there() {
    let text = document("CONTRIBUTING.md");
    let mut sources = String::new();
    let mut waiting = vec![root().join("tests")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            sources.push_str(&fs::read_to_string(path).unwrap_or_default());
        }
    }
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '_' | ':'));
    for variable in words.clone().filter(|word| word.starts_with("LUMO_TEST_")) {
        assert!(sources.contains(&format!("{variable}\"")) || sources.contains(&format!("{variable}=")), "{variable}");
    }
    for filter in words.filter(|word| word.contains("::")) {
        let module = filter.trim_end_matches(':').split("::").next().unwrap();
        let exists = root().join(format!("tests/it/{module}.rs")).exists();
        assert!(exists, "`{filter}` names no module of tests/it");
    }
}

#[test]
fn every_metric_that_is_mentioned_is_there() {
    let (text, metrics) = (document("docs/operations.md"), document("docs/metrics.md"));
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names: Vec<&str> = words.filter(|word| word.starts_with("lumo_bridge_")).collect();
    assert!(names.len() > 10, "metrics are not found any more: {names:?}");
    for name in names {
        assert!(metrics.contains(&format!("| `{name}` |")), "{name} is not in docs/metrics.md");
    }
}

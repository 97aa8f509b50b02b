//! What nobody may see: passwords, values of parameters and headers, files of other users.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lumo_simulator::World;
use serde_json::json;
use url::Url;

use crate::database::Database;
use crate::world::{PATIENCE, Stage, seed};

/// Passwords that an address cannot carry as they are, or only by luck.
const PASSWORDS: [&str; 8] =
    ["hunter-2!", "p@ss/w#rd", "12/34@x@y:zz", "p?ss=w0rd@1", "q#r/s?t@u", "%zz%41bc", "käse wurst", "a://b:c@d"];

fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asserts that no four characters of the secret stand in the text. Pick secrets whose parts no log has by itself: `12:3`
/// is also a time of day.
fn assert_hidden(secret: &str, text: &str) {
    let letters: Vec<char> = secret.chars().collect();
    for part in letters.windows(4).map(|part| part.iter().collect::<String>()) {
        assert!(!text.contains(&part), "{part:?} of {secret:?} is shown: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_of_the_database_is_shown_in_no_way() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    stage.settings.set("log.level", json!("trace,sea_orm=trace,sqlx=trace"));
    let port = closed_port();
    for (scheme, encryption) in [("postgres", "prefer"), ("mysql", "preferred")] {
        for password in PASSWORDS {
            for password in [password.to_owned(), encoded(password)] {
                let url = format!(
                    "{scheme}://shop:{password}@127.0.0.1:{port}/orders?ssl-mode={encryption}&unknown=hush-hush"
                );
                stage.settings.set("database.url", json!(url));
                for command in [&["config", "show"][..], &["status", "-vv"], &["check"], &["run"]] {
                    let finished = stage.command(command).await;
                    let said = finished.stdout + &finished.stderr;
                    assert_hidden(&password, &said);
                    assert!(!said.contains("hush-hush"), "{said}");
                    let is_refused = said.contains("percent-encode") || said.contains("special characters as %XX");
                    assert!(said.contains("shop:***@127.0.0.1") || is_refused || command[0] == "status", "{said}");
                }
            }
        }
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A user with a password that is hard to write, and what their address is.
async fn user(database: &Database, create: &str, password: &str) -> (String, Url) {
    let name = format!("lumo_user_{:08x}", rand::random::<u32>());
    database.execute(&create.replace("NAME", &name)).await;
    let mut url = Url::parse(database.url()).unwrap();
    url.set_username(&name).unwrap();
    url.set_password(Some(&encoded(password))).unwrap();
    (name, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_of_any_characters_works_and_is_not_logged_at_trace() {
    const PASSWORD: &str = "p@ss/w#rd?x:y&z%41";
    for (database, create, drop) in [
        (
            Database::postgres().await,
            "CREATE ROLE NAME LOGIN SUPERUSER PASSWORD 'p@ss/w#rd?x:y&z%41'",
            "DROP OWNED BY NAME; DROP ROLE NAME",
        ),
        (
            Database::mariadb().await,
            "GRANT ALL ON *.* TO NAME@'%' IDENTIFIED BY 'p@ss/w#rd?x:y&z%41'",
            "DROP USER NAME@'%'",
        ),
    ] {
        let mut stage = Stage::new(database, World::live(seed())).await;
        let (name, url) = user(&stage.database, create, PASSWORD).await;
        stage.settings.set("log.level", json!("trace"));
        let mut wrong = url.clone();
        wrong.set_password(Some("wr0ng#h%nt3r")).unwrap();
        stage.settings.set("database.url", json!(wrong.as_str()));
        let finished = stage.command(&["sync", "-vv"]).await;
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        assert_hidden("wr0ng#h%nt3r", &finished.stderr);

        stage.settings.set("database.url", json!(url.as_str()));
        let mut bridge = stage.daemon();
        bridge.until_logged("started", PATIENCE).await;
        stage.until_imported().await;
        for secret in [PASSWORD, &encoded(PASSWORD)] {
            assert_hidden(secret, &bridge.log());
        }
        bridge.stop().await;
        for statement in drop.replace("NAME", &name).split("; ") {
            stage.database.execute(statement).await;
        }
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_files_are_for_their_owner_only_and_old_ones_keep_their_mode() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    stage.settings.set("database.url", json!(format!("sqlite://{}", file.display())));
    let mut bridge = stage.daemon();
    bridge.until_logged("started", PATIENCE).await;
    let beside = |end: &str| folder.path().join(format!("shop.db{end}"));
    crate::world::eventually!(
        PATIENCE,
        "the log of the database is there",
        beside("-courier").exists() && beside("-wal").exists()
    );
    for end in ["", "-wal", "-shm", "-courier"] {
        assert_eq!(mode(&beside(end)), 0o600, "shop.db{end}");
    }
    bridge.stop().await;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(stage.command(&["sync"]).await.status.code(), Some(0));
    assert_eq!(mode(&file), 0o640);

    let config = folder.path().join("new/bridge.yaml");
    let finished = stage.command(&["config", "init", config.to_str().unwrap()]).await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(mode(&config), 0o600);
    assert_eq!(mode(&config.with_file_name("lumo-bridge.schema.json")), 0o600);
}

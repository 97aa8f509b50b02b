//! What is published is JSON that every common reader takes, whatever the item was; the item itself is kept as it was.

use std::io::Write;
use std::process::{Command, Stdio};

use lumo_bridge::model::fingerprint::fingerprint;
use lumo_bridge::model::record::Deposit;
use sea_orm::DbBackend;
use serde_json::Value;

use super::fixture::{at, deposit, ingest, migrated, shop};
use crate::database::{Database, on_each_database};
use crate::world::not_run;

on_each_database!(every_body_is_json_that_every_reader_takes);

/// Members of an item that some readers refuse, and where.
const MEMBERS: &[(&str, &[&str])] = &[
    (r#""note":"a\u0000b""#, &["/upstream/note"]),
    (r#""note":"half \ud83d""#, &["/upstream/note"]),
    (r#""note":"\udc00\ud800 \ud83d\ude00""#, &["/upstream/note"]),
    (r#""fee":1e999999"#, &["/upstream/fee"]),
    (r#""fee":-1e400"#, &["/upstream/fee"]),
    (r#""fee":1e-999999"#, &["/upstream/fee"]),
    (r#""fees":[0e99999999999,1.5e307,-0]"#, &["/upstream/fees/0"]),
    (r#""meta":{"\u0000*\u0000key":1}"#, &["/upstream/meta/\u{fffd}*\u{fffd}key"]),
    (r#""meta":{"\ud800":{"":[]}}"#, &["/upstream/meta/\u{fffd}"]),
    (r#""meta":{"a":1,"b":{"c":2},"\u0061":3}"#, &["/upstream/meta/a"]),
    (r#""note":"plain \\u0000 \u00e9 \ud83d\ude00","fee":12345678901234567890.10"#, &[]),
];

fn item(number: usize, member: &str) -> Deposit {
    let raw = format!(r#"{{"id":"d{number}", "status":"new", {member}}}"#);
    Deposit { fingerprint: fingerprint(&raw), raw: raw.into(), ..deposit(&format!("d{number}")) }
}

async fn every_body_is_json_that_every_reader_takes(database: Database) {
    let store = migrated(&database, &shop()).await;
    for (number, (member, _)) in MEMBERS.iter().enumerate() {
        let listed = item(number, member);
        ingest(&store, std::slice::from_ref(&listed), at(1)).await;
        let row = store.deposit(&listed.id).await.unwrap().unwrap();
        assert_eq!(row.raw, *listed.raw, "the item is kept exactly");
        // The next page shows what was wrong as what it was before.
        ingest(&store, &[item(number, r#""note":"right""#)], at(2)).await;
    }
    let bodies: Vec<String> = database
        .rows("SELECT body FROM lumo_events ORDER BY seq")
        .await
        .into_iter()
        .map(|row| row[0].clone().unwrap())
        .collect();
    assert_eq!(bodies.len(), 2 * MEMBERS.len());
    for (pair, (member, expected)) in bodies.chunks(2).zip(MEMBERS) {
        let [created, updated] = pair else { panic!("{pair:?}") };
        let read: Value = serde_json::from_str(created).unwrap_or_else(|error| panic!("{error}: {created}"));
        let altered: Vec<&str> = read["data"]["upstream_altered"].as_array().into_iter().flatten().map(text).collect();
        assert_eq!(altered, *expected, "{member}");
        for body in pair {
            let read: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
            for path in read["data"]["upstream_altered"].as_array().into_iter().flatten().map(text) {
                assert!(read["data"].pointer(path).is_some(), "{path}: {body}");
            }
        }
        let from_altered = updated.contains(r#""upstream_altered":["/changes/upstream."#);
        assert_eq!(from_altered, !expected.is_empty(), "{updated}");
    }

    let condition = match database.backend() {
        DbBackend::Postgres => "body::jsonb ->> 'id' = id",
        DbBackend::Sqlite => "json_valid(body)",
        _ => "JSON_VALID(body)",
    };
    assert_eq!(database.count("lumo_events", condition).await, i64::try_from(bodies.len()).unwrap());
    assert_php_reads(&bodies);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Where there is PHP, lets it read the bodies as objects and as arrays.
fn assert_php_reads(bodies: &[String]) {
    const READ: &str = "while (($line = fgets(STDIN)) !== false) {
        json_decode($line, false, 512, JSON_THROW_ON_ERROR);
        json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    }";
    let started = Command::new("php").args(["-r", READ]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut php) = started else { return not_run("bodies read by PHP: php is not installed") };
    php.stdin.take().unwrap().write_all((bodies.join("\n") + "\n").as_bytes()).unwrap();
    let ended = php.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

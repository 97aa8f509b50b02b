//! Receivers of every kind, all at once: what becomes of an event follows from what its receiver did, nobody pays for
//! another, and neither time nor memory is theirs to take.

use lumo_simulator::{Answer, World};
use serde_json::json;

use super::manners::{Manner, Rude};
use crate::database::Database;
use crate::world::{PATIENCE, Stage};

/// What is made of the first attempt. If it is no success, the second one is.
#[derive(Clone, Copy, Debug)]
enum Made {
    Delivered(u16),
    Refused(u16),
    /// An error with these words in it, after a status if there was one.
    Broken(&'static str),
}

use Made::{Broken, Delivered, Refused};
use Manner::{Bomb, Drips, Floods, Hangs, Resets, Says};

const TIMEOUT: &str = "8s";
/// The timeout, and what a busy machine may add to it.
const AT_MOST_MS: i64 = 20_000;
/// Far more than it needs, and far less than what it is sent.
const MEMORY: u64 = 300 << 20;

#[rustfmt::skip]
const RECEIVERS: &[(&str, Manner, Made)] = &[
    ("interim", Hangs("HTTP/1.1 100 Continue\r\n\r\n"), Broken("no complete answer within 8s (`timeout`)")),
    ("switching", Says("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), Refused(101)),
    ("created", Says("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"), Delivered(201)),
    ("old", Says("HTTP/1.0 200 OK\r\n\r\nuntil the end of the connection"), Delivered(200)),
    ("odd", Says("HTTP/1.1 299\r\ncontent-length: 0\r\n\r\n"), Delivered(299)),
    ("choices", Says("HTTP/1.1 300 x\r\ncontent-length: 0\r\n\r\n"), Refused(300)),
    ("inward", Says("HTTP/1.1 307 x\r\nlocation: http://169.254.169.254/latest/\r\ncontent-length: 0\r\n\r\n"), Refused(307)),
    ("unchanged", Says("HTTP/1.1 304 Not Modified\r\n\r\n"), Refused(304)),
    ("confused", Says("HTTP/1.1 400 x\r\ncontent-length: 0\r\n\r\n"), Refused(400)),
    ("closed", Says("HTTP/1.1 401 x\r\ncontent-length: 0\r\n\r\n"), Refused(401)),
    ("forbidden", Says("HTTP/1.1 403 x\r\ncontent-length: 0\r\n\r\n"), Refused(403)),
    ("lost", Says("HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n"), Refused(404)),
    ("client", Says("HTTP/1.1 499 x\r\ncontent-length: 0\r\n\r\n"), Refused(499)),
    ("failed", Says("HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n"), Refused(500)),
    ("gateway", Says("HTTP/1.1 502 x\r\ncontent-length: 0\r\n\r\n"), Refused(502)),
    ("busy", Says("HTTP/1.1 503 x\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"), Refused(503)),
    ("beyond", Says("HTTP/1.1 999 x\r\ncontent-length: 0\r\n\r\n"), Refused(999)),
    ("nonsense", Says("HTTP/1.1 42 x\r\n\r\n"), Broken("the connection broke")),
    ("stranger", Says("SSH-2.0-OpenSSH_9.9\r\n"), Broken("the connection broke")),
    ("mute", Says(""), Broken("the connection broke")),
    ("reset", Resets(""), Broken("the connection broke")),
    ("cut", Resets("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"), Broken("answered 200 OK, but not to its end")),
    ("hasty", Resets("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone"), Delivered(200)),
    ("silent", Hangs(""), Broken("no complete answer within 8s (`timeout`)")),
    ("halting", Hangs("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"), Broken("answered 200 OK, but not to its end")),
    ("hesitant", Drips("HTTP/1.1 200 OK\r\nx-so: ", b's'), Broken("no complete answer within 8s (`timeout`)")),
    ("dripping", Drips("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b'x'), Broken("answered 200 OK, but not to its end")),
    ("endless", Floods("HTTP/1.1 200 OK\r\n\r\n", b"and so on "), Delivered(200)),
    ("chunks", Floods("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"4\r\nmore\r\n"), Delivered(200)),
    ("headers", Floods("HTTP/1.1 200 OK\r\n", b"x-so: and so on\r\n"), Broken("the connection broke")),
    ("refusal", Floods("HTTP/1.1 500 x\r\n\r\n", b"and so on "), Refused(500)),
    ("bomb", Bomb, Delivered(200)),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_does_no_harm_beyond_its_own_events() {
    let world = World::new(1);
    world.add_wallet("user");
    let mut stage = Stage::new(Database::sqlite().await, world).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.timeout", json!(TIMEOUT));
    let mut receivers = Vec::new();
    for (name, manner, made) in RECEIVERS {
        let rude = Rude::start(*manner).await;
        stage.settings.endpoint(name, &rude.url(), &["*"]);
        receivers.push((name, rude, *made));
    }
    let bridge = stage.daemon();

    assert!(stage.receiver.wait_for(1, PATIENCE).await);
    stage.until_delivered().await;
    // Those that answer were not kept by those that do not.
    let ended = "julianday(started_at) * 86400000 + duration_ms";
    let slow = format!(
        "SELECT MIN({ended}) FROM lumo_delivery_attempts WHERE endpoint IN ('silent', 'dripping') AND attempt = 1"
    );
    let quick = format!("endpoint IN ('shop', 'created', 'old') AND attempt = 1 AND {ended} < ({slow})");
    assert_eq!(
        stage.database.count("lumo_delivery_attempts", &quick).await,
        3,
        "the quick ones waited for the slow ones"
    );
    let memory = bridge.peak_memory();
    assert!(memory.is_none_or(|bytes| bytes < MEMORY), "{memory:?} bytes at most");
    bridge.stop().await;
    for (name, rude, made) in receivers {
        assert_made(&stage.database, name, made).await;
        let ids = rude.ids();
        let tries = if matches!(made, Delivered(_)) { 1 } else { 2 };
        assert_eq!(ids.len(), tries, "requests to {name}");
        assert!(ids.iter().all(|id| *id == ids[0]), "{name}: a retry has the same id: {ids:?}");
    }
    let states = stage.database.rows("SELECT name, state FROM lumo_endpoints WHERE state <> 'active'").await;
    assert!(states.is_empty(), "one failure changes no endpoint: {states:?}");
}

async fn assert_made(database: &Database, name: &str, made: Made) {
    let attempts = format!(
        "SELECT a.attempt, a.status, a.error, a.duration_ms FROM lumo_delivery_attempts a \
         WHERE a.endpoint = '{name}' ORDER BY a.attempt"
    );
    let rows = database.rows(&attempts).await;
    let (status, error) = (rows[0][1].as_deref(), rows[0][2].as_deref());
    let number = |code: u16| code.to_string();
    match made {
        Delivered(code) => {
            assert_eq!((rows.len(), status, error), (1, Some(number(code).as_str()), None), "{name}: {rows:?}");
        }
        Refused(code) => assert_eq!((rows.len(), status), (2, Some(number(code).as_str())), "{name}: {rows:?}"),
        Broken(words) => {
            assert_eq!((rows.len(), status), (2, None), "{name}: {rows:?}");
            assert!(error.is_some_and(|error| error.contains(words)), "{name}: {rows:?}");
        }
    }
    for row in &rows {
        let took: i64 = row[3].as_deref().unwrap().parse().unwrap();
        assert!(took <= AT_MOST_MS, "{name} took {took} ms of everybody's time: {rows:?}");
    }
}

/// With as much claimed as is worth having in memory, there is nothing to do but to wait for an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_wait_for_a_slow_receiver_costs_no_processor_time() {
    let world = World::new(1);
    world.seed(50, 50);
    let mut stage = Stage::new(Database::sqlite().await, world).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.concurrency", json!(2));
    stage.settings.set("callbacks.defaults.timeout", json!("120s"));
    stage.receiver.script(|_| Answer::status(200).after(PATIENCE));
    let bridge = stage.daemon();
    assert!(stage.receiver.wait_for(2, PATIENCE).await);
    stage.until_imported().await;
    let before = bridge.processor_time();
    stage.until_read_again().await;
    stage.until_read_again().await;
    let Some((before, after)) = before.zip(bridge.processor_time()) else { return };
    let rounds = 4 * 3;
    assert!(after - before <= rounds * 10, "{} hundredths of a second for {rounds} rounds", after - before);
}

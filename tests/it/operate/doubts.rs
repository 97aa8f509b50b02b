//! Why a list is not complete, or its removals are not accepted: what `sync`, `status` and `/readyz` say of it, as text and as
//! JSON, and that none of them says it any more once it is not so.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta};
use lumo_simulator::{Answer, Received, World};
use serde_json::{Value, json};

use super::json;
use crate::admin::Client;
use crate::database::Database;
use crate::world::{Stage, page};

const UNTRUE: &str =
    "`total` is not the number of rows that are listed, so a missed row would not be noticed but by a sweep";
const DISORDER: &str = "the order of the list changed while it was read, and `total` is not the number of rows that \
                        are stored; a sweep reads the list again";
const NOT_ACCEPTED: &str =
    "the order or the end of the list is in doubt, so no row was marked as missing for not being in it";
const NOT_FOUND: &str = "`total` counts 1 more row than was found; a sweep looks for it";

/// The findings that have these sentences.
const CODES: [&str; 3] = ["incomplete", "stalled", "total_too_high"];

/// More pages than those of a list that is read whole as soon as its count does not add up.
const DEPOSITS: usize = 200;
const PAGE: usize = 20;
/// Where two rows change places. They are on the first page and on the second.
const SWAPPED: (usize, usize) = (17, 18);

/// How the server lists the deposits, newest first.
#[derive(Clone, Copy)]
struct Ways {
    /// How many there are. The oldest leave first.
    deposits: usize,
    total: usize,
    /// Whether the pages after the first show two rows in another order.
    swaps: bool,
}

const CALM: Ways = Ways { deposits: DEPOSITS, total: DEPOSITS, swaps: false };

fn listed(request: &Received, ways: Ways) -> Answer {
    let asked = |name: &str| request.query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let answered = match request.path.as_str() {
        "/user-wallets" => json!({ "wallets": page(request, vec![wallet()]), "total": 1 }),
        "/user-wallets/blocked" => json!({ "wallets": [], "total": 0 }),
        "/user-wallets/deposits" if asked("status").is_some() => json!({ "deposits": [], "total": 0 }),
        "/user-wallets/deposits" => {
            let mut numbers: Vec<usize> = (DEPOSITS + 1 - ways.deposits..=DEPOSITS).rev().collect();
            if ways.swaps && asked("offset") != Some("0") {
                numbers.swap(SWAPPED.0, SWAPPED.1);
            }
            let mut total = ways.total;
            if let Some(user) = asked("externalId") {
                numbers.retain(|number| user == format!("u{number}"));
                total = numbers.len();
            }
            json!({ "deposits": page(request, numbers.into_iter().map(deposit).collect()), "total": total })
        }
        "/shop" => return Answer::status(200),
        _ => return Answer::status(404),
    };
    Answer { body: answered.to_string().into_bytes(), ..Answer::status(200) }
}

fn wallet() -> Value {
    json!({
        "id": "739896b0-4cb3-40bd-9e5c-eed603330001",
        "companyId": "61644a25-da5a-4317-94e2-3bc1eca8c766",
        "externalId": "u1",
        "address": "T1HwiU8GCgN9nKAqUzTuRiyUZizzjMjWpc",
        "isBlocked": false,
        "lastUsdtBalance": 0,
        "lastTrxBalance": 0,
        "createdAt": "2025-05-04T10:11:12.345Z",
    })
}

fn deposit(number: usize) -> Value {
    let minutes = i64::try_from(number).unwrap();
    let created_at = DateTime::from_timestamp(1_746_353_472, 0).unwrap() + TimeDelta::minutes(minutes);
    json!({
        "id": format!("d-{number}"),
        "externalId": format!("u{number}"),
        "createdAt": created_at.to_rfc3339(),
    })
}

struct Scene {
    stage: Stage,
    ways: Arc<Mutex<Ways>>,
}

impl Scene {
    async fn new(ways: Ways) -> Self {
        let mut stage = Stage::new(Database::sqlite().await, World::new(1)).await;
        let ways = Arc::new(Mutex::new(ways));
        let shown = Arc::clone(&ways);
        stage.receiver.script(move |request| listed(request, *shown.lock().unwrap()));
        let base_url = stage.receiver.url("");
        stage.settings.set("lumo.base_url", json!(base_url));
        stage.settings.set("lumo.page_size", json!(PAGE));
        Self { stage, ways }
    }

    /// Everything was read this long ago, and is read once more now.
    async fn read_since(&self, before: TimeDelta) {
        let parts = self.stage.parts_with_standing_clock().await;
        parts.clock.advance(-before);
        parts.sync().await;
        parts.clock.advance(before);
        parts.sync().await;
        parts.store.close().await;
    }

    fn becomes(&self, ways: Ways) {
        *self.ways.lock().unwrap() = ways;
    }

    /// What a command prints after it has ended with this code: as text with one space between words, and as JSON.
    async fn said(&self, arguments: &[&str], code: i32) -> (String, Value) {
        let text = self.stage.command(arguments).await;
        assert_eq!(text.status.code(), Some(code), "{arguments:?}: {text:?}");
        let document = self.stage.command(&[arguments, &["--json"]].concat()).await;
        assert_eq!(document.status.code(), Some(code), "{arguments:?}: {document:?}");
        (text.stdout.split_whitespace().collect::<Vec<_>>().join(" "), json(&document))
    }

    /// `sync deposits` with these arguments is not complete, for this reason.
    async fn sync_doubts(&self, arguments: &[&str], why: &str) {
        let (text, document) = self.said(&[&["sync", "deposits"], arguments].concat(), 1).await;
        assert!(text.contains(&format!("not complete: {why}")), "{text}");
        assert_eq!((&document[0]["outcome"], &document[0]["doubt"]), (&json!("incomplete"), &json!(why)), "{document}");
    }

    /// `status` has this finding about the deposits, for this reason.
    async fn status_says(&self, code: &str, message: &str, why: Option<&str>) {
        let (text, document) = self.said(&["status"], 0).await;
        assert!(text.contains(message), "{message:?} is not said: {text}");
        let findings = document["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["about"] == "deposits" && finding["code"] == code);
        let finding = finding.unwrap_or_else(|| panic!("no {code}: {document}"));
        assert_eq!((&finding["message"], &finding["blocks_ready"]), (&json!(message), &json!(code == "stalled")));
        let listings = document["listings"].as_array().unwrap();
        let deposits = listings.iter().find(|listing| listing["listing"] == "deposits").unwrap();
        assert_eq!(deposits["last_error"], json!(why), "{document}");
    }

    /// `status` says that the last round was not complete, for this reason, which is no reason yet not to be ready; once no
    /// round was for some time, it is one.
    async fn is_said_and_in_the_end_not_ready(&mut self, why: &str) {
        let last = format!("deposits: the last round was not complete: {why}");
        self.status_says("incomplete", &last, Some(why)).await;
        let (status, body) = self.readiness().await;
        assert_eq!((status, &body["ready"]), (200, &json!(true)), "{body}");
        let long_ago = "SET complete_through = '2026-01-01 00:00:00.000000' WHERE listing = 'deposits'";
        self.stage.database.execute(&format!("UPDATE lumo_sync_state {long_ago}")).await;
        self.sync_doubts(&[], why).await;
        let stalled = format!("deposits: not complete since 2026-01-01T00:00:00Z: {why}");
        self.status_says("stalled", &stalled, Some(why)).await;
        let (status, body) = self.readiness().await;
        assert_eq!((status, &body["ready"], &body["problem"]), (503, &json!(false), &json!(stalled)), "{body}");
        assert_eq!(body["findings"][0]["message"], json!(stalled), "{body}");
    }

    /// What `/readyz` of a daemon answers that reads nothing before.
    async fn readiness(&mut self) -> (u16, Value) {
        let usual = self.stage.settings.clone();
        for what in ["wallets", "blocked", "deposits", "sweep"] {
            self.stage.settings.set(&format!("sync.{what}.schedule"), json!("@yearly"));
        }
        self.stage.settings.set("server.listen", json!("127.0.0.1:0"));
        let mut bridge = self.stage.daemon();
        let client = Client::of(&mut bridge).await;
        let answer = client.get("/readyz").await;
        bridge.stop().await;
        self.stage.settings = usual;
        (answer.status, answer.body)
    }

    /// A round is complete, and nothing is said of rounds that are not.
    async fn is_complete(&self) {
        let (text, document) = self.said(&["sync", "deposits"], 0).await;
        assert!(!text.contains("not complete"), "{text}");
        assert_eq!((&document[0]["outcome"], &document[0]["doubt"]), (&json!("complete"), &json!(null)), "{document}");
        let (text, document) = self.said(&["status"], 0).await;
        assert!(!text.contains("not complete") && !text.contains("Lumo counts"), "{text}");
        let findings = document["findings"].as_array().unwrap();
        let is_one = |finding: &Value| CODES.iter().any(|code| finding["code"] == *code);
        assert!(!findings.iter().any(is_one), "{document}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_total_that_is_untrue_for_a_day_is_said_until_it_is_true_again() {
    let mut scene = Scene::new(Ways { total: DEPOSITS - 1, ..CALM }).await;
    scene.read_since(TimeDelta::hours(25)).await;
    scene.sync_doubts(&[], UNTRUE).await;
    scene.is_said_and_in_the_end_not_ready(UNTRUE).await;
    scene.becomes(CALM);
    scene.said(&["sync", "deposits", "--full"], 0).await;
    // It counts a row more than it did, and whether that was missed is looked into once.
    scene.sync_doubts(&[], NOT_FOUND).await;
    scene.said(&["sync", "deposits", "--full"], 0).await;
    scene.is_complete().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_changed_is_said_until_the_list_was_read_in_order() {
    let mut scene = Scene::new(CALM).await;
    scene.said(&["sync"], 0).await;
    scene.becomes(Ways { deposits: DEPOSITS - 1, total: DEPOSITS - 1, swaps: true });
    scene.sync_doubts(&["--full"], DISORDER).await;
    // A round that reads only an end of the list cannot know better.
    scene.sync_doubts(&[], DISORDER).await;
    scene.is_said_and_in_the_end_not_ready(DISORDER).await;
    scene.becomes(Ways { deposits: DEPOSITS - 1, total: DEPOSITS - 1, swaps: false });
    scene.said(&["sync", "deposits", "--full"], 0).await;
    scene.is_complete().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_that_are_not_accepted_are_said_to_be_and_hinder_nobody() {
    let mut scene = Scene::new(CALM).await;
    scene.said(&["sync"], 0).await;
    scene.becomes(Ways { swaps: true, ..CALM });
    scene.sync_doubts(&["--accept-removals"], NOT_ACCEPTED).await;
    let last = format!("deposits: the last round was not complete: {NOT_ACCEPTED}");
    scene.status_says("incomplete", &last, Some(NOT_ACCEPTED)).await;
    let (status, body) = scene.readiness().await;
    assert_eq!((status, &body["ready"]), (200, &json!(true)), "everything that is listed is stored: {body}");
    scene.is_complete().await;
    // The same command where the order shows who has left.
    scene.becomes(Ways { deposits: DEPOSITS - 1, total: DEPOSITS - 1, swaps: false });
    let accepted = scene.stage.command(&["sync", "deposits", "--accept-removals", "--json"]).await;
    assert_eq!(accepted.status.code(), Some(0), "{accepted:?}");
    assert_eq!(json(&accepted)[0]["vanished"], json!(1), "{accepted:?}");
    let missing = scene.stage.database.rows("SELECT id FROM lumo_user_deposits WHERE missing_since IS NOT NULL").await;
    assert_eq!(missing, [[Some("d-1".to_owned())]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_total_that_counts_a_row_too_many_is_doubted_and_then_only_named() {
    let mut scene = Scene::new(Ways { total: DEPOSITS + 1, ..CALM }).await;
    scene.read_since(TimeDelta::minutes(2)).await;
    scene.sync_doubts(&[], NOT_FOUND).await;
    let last = format!("deposits: the last round was not complete: {NOT_FOUND}");
    scene.status_says("incomplete", &last, Some(NOT_FOUND)).await;
    // It began after the row was counted, and has not found it either.
    scene.said(&["sync", "deposits", "--full"], 0).await;
    let (text, _) = scene.said(&["sync", "deposits"], 0).await;
    assert!(!text.contains("not complete"), "{text}");
    let named = "deposits: Lumo counts one more row than it lists; every row that it lists is stored";
    scene.status_says("total_too_high", named, None).await;
    let (status, body) = scene.readiness().await;
    assert_eq!((status, &body["ready"]), (200, &json!(true)), "{body}");
    scene.becomes(CALM);
    scene.said(&["sync", "deposits", "--full"], 0).await;
    scene.is_complete().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_seem_to_have_left_are_said_until_the_list_was_read_whole() {
    let mut scene = Scene::new(CALM).await;
    scene.said(&["sync"], 0).await;
    scene.becomes(Ways { deposits: DEPOSITS - 30, total: DEPOSITS - 30, swaps: false });
    // Once for the text and once for the JSON: that is two rounds.
    scene.said(&["sync", "deposits"], 0).await;
    let message = "deposits: Lumo counts 170 rows, and 200 are stored as listed: 30 seem to have left the list; none is marked as \
                   missing before the full scan that looks for them now has shown it";
    scene.status_says("rows_left", message, None).await;
    let (status, body) = scene.readiness().await;
    assert_eq!((status, &body["ready"]), (200, &json!(true)), "everything that is listed is stored: {body}");
    scene.said(&["sync", "deposits", "--full"], 0).await;
    let (text, _) = scene.said(&["status"], 0).await;
    assert!(!text.contains("seem to have left") && text.contains("rows that left the list stay as listed"), "{text}");
}

//! Traces: what a collector is sent, and how a receiver finds its callback among it.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use lumo_simulator::{Received, World};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::database::Database;
use crate::world::{PATIENCE, Stage, seed};

type Batches = Arc<Mutex<Vec<Value>>>;

/// A collector that keeps what it is sent.
struct Collector {
    url: String,
    batches: Batches,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Collector {
    async fn start() -> Self {
        let batches = Batches::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(keep)).with_state(Arc::clone(&batches));
        let mut serving = JoinSet::new();
        serving.spawn(axum::serve(listener, router).into_future());
        Self { url, batches, _serving: serving }
    }

    fn spans(&self) -> Vec<Value> {
        let batches = self.batches.lock().unwrap();
        let all = |of: &Value, name: &str| of[name].as_array().cloned().unwrap_or_default();
        let resources = batches.iter().flat_map(|batch| all(batch, "resourceSpans"));
        let scopes = resources.flat_map(|resource| all(&resource, "scopeSpans"));
        scopes.flat_map(|scope| all(&scope, "spans")).collect()
    }
}

async fn keep(State(batches): State<Batches>, Json(batch): Json<Value>) -> Json<Value> {
    batches.lock().unwrap().push(batch);
    Json(json!({}))
}

async fn stage(traces: Option<&str>) -> Stage {
    let world = World::live(seed());
    world.seed(20, 40);
    let mut stage = Stage::new(Database::sqlite().await, world).await;
    stage.settings.set("telemetry.traces", json!(traces));
    stage
}

/// A deposit that is new, and delivered.
async fn deliver(stage: &Stage) -> Vec<Arc<Received>> {
    stage.until_imported().await;
    stage.world.add_deposit_for("user-000001", "1").unwrap();
    stage.until_mirrored().await;
    stage.until_delivered().await;
    let received = stage.receiver.received();
    assert!(!received.is_empty());
    received
}

fn traceparent(callback: &Received) -> Option<&str> {
    callback.headers.iter().find(|(name, _)| name == "traceparent").map(|(_, value)| value.as_str())
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    attributes.iter().find(|one| one["key"] == key).map_or(&Value::Null, |one| &one["value"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_names_its_span_and_a_request_belongs_to_a_pass() {
    let collector = Collector::start().await;
    let stage = stage(Some(&collector.url)).await;
    let bridge = stage.daemon();
    let received = deliver(&stage).await;
    // What is left goes before the end.
    bridge.stop().await;

    let spans = collector.spans();
    for callback in &received {
        let place: Vec<&str> = traceparent(callback).unwrap().split('-').collect();
        assert_eq!((place.len(), place[0], place[3]), (4, "00", "01"));
        let is_it = |span: &&Value| span["traceId"] == place[1] && span["spanId"] == place[2];
        let span = spans.iter().find(is_it).unwrap_or_else(|| panic!("{place:?} is not among {spans:?}"));
        assert_eq!((&span["name"], &span["kind"], &span["status"]), (&json!("deliver.attempt"), &json!(3), &json!({})));
        assert_eq!(attribute(span, "event.id")["stringValue"], json!(callback.id));
        assert_eq!(attribute(span, "http.response.status_code")["intValue"], callback.answered.to_string());
        let time = |name: &str| span[name].as_str().unwrap().parse::<i64>().unwrap();
        assert!(time("startTimeUnixNano") < time("endTimeUnixNano"));
    }
    let passes: Vec<&Value> = spans.iter().filter(|span| span["name"] == "sync.pass").collect();
    for name in ["lumo.request", "sync.page"] {
        let below = |span: &Value| {
            passes.iter().any(|pass| pass["spanId"] == span["parentSpanId"] && pass["traceId"] == span["traceId"])
        };
        assert!(spans.iter().any(|span| span["name"] == name && below(span)), "no {name} below a pass");
    }
    let text = serde_json::to_string(&spans).unwrap();
    for secret in [&stage.world.api_key(), "whsec_", "v1,", "user-000001"] {
        assert!(!text.contains(secret), "{secret} is among the spans");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_is_in_nobodys_way() {
    let stage = stage(Some("http://127.0.0.1:9/v1/traces")).await;
    let mut bridge = stage.daemon();
    let received = deliver(&stage).await;
    assert!(received.iter().all(|callback| traceparent(callback).is_some()));
    bridge.until_logged("the collector of traces does not take spans", PATIENCE).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_nothing_is_sent_along() {
    let stage = stage(None).await;
    let bridge = stage.daemon();
    let received = deliver(&stage).await;
    assert!(received.iter().all(|callback| traceparent(callback).is_none()));
    bridge.stop().await;
}

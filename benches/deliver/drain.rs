//! What waits is delivered: how fast, and at which price.

use std::time::{Duration, Instant};

use lumo_bridge::model::delivery::State;
use lumo_bridge::store::query::DeliveryFilter;

use super::history;
use super::process::{cpu_time, resident, server, written_ahead};
use super::receiver::Receiver;
use super::scene::{Database, Scene, rate};
use super::table::{Cell, Size};

/// What one drain came to.
struct Drained {
    /// Of raw posts.
    share: f64,
    raw: f64,
    /// Of the bridge and of the database's server, for each delivery.
    cpu: [Option<Duration>; 2],
    /// Bytes that the database wrote ahead for each.
    ahead: Option<i64>,
}

/// The same requests twice: raw, and as deliveries that wait.
async fn drain(
    scene: &mut Scene,
    receiver: &Receiver,
    url: Option<&str>,
    events: usize,
    concurrency: usize,
) -> Drained {
    scene.post(events, concurrency).await;
    let raw = rate(&receiver.take());
    scene.publish(events).await;

    let server = match url {
        Some(url) => server(url).await,
        None => None,
    };
    let server_before = server.map(cpu_time);
    let ahead_before = written(url).await;
    let daemon = scene.daemon();
    receiver.until(events).await;
    let each = |took: Duration| took / u32::try_from(events).unwrap();
    let cpu = [
        Some(each(cpu_time(daemon.id()))),
        server.zip(server_before).map(|(server, before)| each(cpu_time(server) - before)),
    ];
    let ahead = written(url).await.zip(ahead_before).map(|(now, before)| (now - before) / events.cast_signed() as i64);
    drop(daemon);
    let arrivals = receiver.take();
    scene.check(&arrivals);
    Drained { share: rate(&arrivals) / raw, raw, cpu, ahead }
}

async fn written(url: Option<&str>) -> Option<i64> {
    match url {
        Some(url) => written_ahead(url).await,
        None => None,
    }
}

fn percent(drained: &Drained) -> String {
    let Drained { share, raw, .. } = drained;
    format!("{:.0} % of {raw:.0}/s", share * 100.0)
}

/// A receiver that answers at once.
pub(crate) async fn at_once(database: &Database, size: Size) -> Vec<Cell> {
    let receiver = Receiver::start();
    let mut scene = Scene::new(database, 32, &[receiver.url()]).await;
    let drained = drain(&mut scene, &receiver, database.url.as_deref(), size.of(50_000), 32).await;
    scene.end().await;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let [bridge, server] = drained.cpu;
    let sum = ms(bridge.unwrap_or_default()) + ms(server.unwrap_or_default());
    let parts = server.map_or_else(String::new, |server| format!(", {:.3} of it the database's", ms(server)));
    let mut cells = vec![
        Cell::new("drain, receiver answers at once", percent(&drained)),
        Cell::new("CPU of bridge and database per delivery", format!("{sum:.3} ms{parts}")),
    ];
    cells.extend(drained.ahead.map(|bytes| Cell::new("write-ahead log per delivery", format!("{bytes} bytes"))));
    cells
}

/// A receiver that takes 20 ms.
pub(crate) async fn slow(database: &Database, size: Size) -> Vec<Cell> {
    let receiver = Receiver::start();
    receiver.takes(Duration::from_millis(20));
    let mut scene = Scene::new(database, 256, &[receiver.url()]).await;
    let drained = drain(&mut scene, &receiver, database.url.as_deref(), size.of(50_000), 256).await;
    scene.end().await;
    vec![Cell::new("drain, receiver takes 20 ms, 256 at a time", percent(&drained))]
}

/// With a million delivered events in the tables.
pub(crate) async fn after_a_million(database: &Database, size: Size) -> Vec<Cell> {
    let receiver = Receiver::start();
    let mut scene = Scene::new(database, 32, &[receiver.url()]).await;
    scene.publish(history::BASE).await;
    history::fill(scene.config.database.url.expose()).await;
    scene.begin_anew();
    let drained = drain(&mut scene, &receiver, database.url.as_deref(), size.of(50_000), 32).await;
    let list = listed(&scene).await;
    scene.end().await;
    vec![
        Cell::new("drain with 1,000,000 delivered events in the tables", percent(&drained)),
        Cell::new("`delivery list` of an endpoint there; of the slowest state", list),
    ]
}

/// How long a page of the list takes, and the slowest page of one state.
async fn listed(scene: &Scene) -> String {
    let page = async |state| {
        let endpoint = Some("bench-0".parse().unwrap());
        let filter = DeliveryFilter { endpoint, state, limit: 50, ..DeliveryFilter::default() };
        let began = Instant::now();
        scene.store.list_deliveries(&filter).await.unwrap();
        began.elapsed().as_secs_f64() * 1e3
    };
    page(None).await;
    let all = page(None).await;
    let mut slowest = (0.0, "");
    for state in State::ALL {
        let took = page(Some(state)).await;
        if took > slowest.0 {
            slowest = (took, state.as_str());
        }
    }
    format!("{all:.1} ms; {:.0} ms ({})", slowest.0, slowest.1)
}

/// Memory while very much waits.
pub(crate) async fn memory(database: &Database, size: Size) -> Vec<Cell> {
    let receiver = Receiver::start();
    receiver.takes(Duration::from_millis(20));
    let mut scene = Scene::new(database, 256, &[receiver.url()]).await;
    scene.publish(size.of(1_000_000)).await;
    let daemon = scene.daemon();
    receiver.until(size.of(20_000)).await;
    let (now, peak) = resident(daemon.id());
    drop(daemon);
    scene.end().await;
    vec![Cell::new("resident memory with 1,000,000 waiting", format!("{now:.0} MiB, at most {peak:.0}"))]
}

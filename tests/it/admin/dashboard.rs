//! The page at `/`: whole, from this server alone, and bound to it by its policy.

use std::collections::BTreeSet;

use lumo_simulator::World;
use reqwest::Method;
use serde_json::json;

use super::daemon;
use crate::database::Database;
use crate::world::{Stage, seed};

/// What stands in quotes after one of these.
fn named<'a>(text: &'a str, before: &[&str]) -> Vec<&'a str> {
    let after = |mark: &&str| text.split(*mark).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>();
    before.iter().flat_map(after).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_whole_and_fetches_nothing_from_elsewhere() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    // It is no secret; what it shows is.
    stage.settings.set("server.token", json!({ "value": "a t0ken, long enough" }));
    let (bridge, client) = daemon(&mut stage).await;
    let (mut waiting, mut seen) = (vec!["/".to_owned()], BTreeSet::new());
    while let Some(path) = waiting.pop() {
        let response = client.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        let text = response.text().await.unwrap();
        // The namespace of SVG is a name, and nothing is fetched from it.
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("://"), "{path} names another server");
        assert!(!text.contains("innerHTML") && !text.contains("style=\""), "{path}");
        for name in named(&text, &["src=\"", "href=\"", "from \"./"]) {
            let next = match name.strip_prefix('/') {
                Some(_) => name.to_owned(),
                None if name.ends_with(".js") => format!("/dashboard/{name}"),
                None => continue,
            };
            if seen.insert(next.clone()) {
                waiting.push(next);
            }
        }
    }
    let expected = ["charts.js", "client.js", "detail.js", "main.js", "page.js", "style.css"];
    assert_eq!(seen, expected.map(|file| format!("/dashboard/{file}")).into());
    bridge.stop().await;
}

//! The page: whole, from this server alone, bound to it by its policy, and under whatever path a proxy puts it.

use std::collections::BTreeSet;

use lumo_bridge::model::event::EventType;
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
    let (mut waiting, mut seen) = (vec!["/dashboard/".to_owned()], BTreeSet::new());
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
            assert!(!name.starts_with('/'), "{path}: {name} is not relative");
            let next = format!("/dashboard/{name}");
            if (name.ends_with(".js") || name.ends_with(".css")) && seen.insert(next.clone()) {
                waiting.push(next);
            }
        }
        for absolute in ["\"/api", "`/api", "\"/dashboard", "`/dashboard"] {
            assert!(!text.contains(absolute), "{path} has the absolute address {absolute}");
        }
        if path.ends_with("/filters.js") {
            let missing = EventType::ALL.iter().find(|kind| !text.contains(&format!("\"{kind}\"")));
            assert_eq!(missing, None, "{path} does not offer it");
        }
    }
    let expected = [
        "attention.js",
        "charts.js",
        "client.js",
        "day.js",
        "event.js",
        "filters.js",
        "lists.js",
        "main.js",
        "morph.js",
        "overview.js",
        "page.js",
        "style.css",
        "things.js",
    ];
    assert_eq!(seen, expected.map(|file| format!("/dashboard/{file}")).into());
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leads_to_the_page_works_under_the_path_of_a_proxy() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    let (bridge, client) = daemon(&mut stage).await;
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for path in ["/", "/dashboard"] {
        let response = http.get(format!("{}{path}", client.base)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 307, "{path}");
        assert_eq!(response.headers()["location"], "dashboard/", "{path}");
    }
    bridge.stop().await;
}

//! Asks the admin HTTP, as a script would.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::world::{Bridge, PATIENCE};

/// Says before the address where everything is shown.
const UP: &str = "admin HTTP is up address=";
/// Says before the address where something answers already.
const LISTENING: &str = "listening address=";

pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) base: String,
}

/// A status, and the JSON that came with it.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Client {
    /// A client of the daemon, once it shows everything.
    pub(crate) async fn of(bridge: &mut Bridge) -> Self {
        Self::after(UP, bridge).await
    }

    /// A client of the daemon, once something answers.
    pub(crate) async fn of_beginner(bridge: &mut Bridge) -> Self {
        Self::after(LISTENING, bridge).await
    }

    async fn after(words: &str, bridge: &mut Bridge) -> Self {
        bridge.until_logged(words, PATIENCE).await;
        let log = bridge.log();
        let address = log.split_once(words).unwrap().1.split_whitespace().next().unwrap();
        // Somebody else in this process may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { http, base: format!("http://{address}") }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        answer(request.body(body.to_string())).await
    }

    /// The answer to a `GET`, which must be a success.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let Answer { status, body } = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        self.request(Method::GET, path).send().await.unwrap().text().await.unwrap()
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("no answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("half an answer");
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status}: {error}: {text:?}"));
    Answer { status, body }
}

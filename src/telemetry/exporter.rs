//! Sends ended spans to a collector, in batches, and never in the way of anything else.
//!
//! A batch that the collector does not take is lost: traces help to understand, and nothing rests on them.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::otlp;
use super::tracer::{Finished, Tracer};
use crate::chain::Chain;
use crate::roots::{self, Roots};
use crate::setting::HttpUrl;

/// Spans that may wait; beyond it they are lost.
const QUEUE: usize = 8192;
/// Spans of one request.
const BATCH: usize = 1024;
/// How long spans are gathered while there are few.
const GATHER: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(10);
/// What is left at the end must be gone within this.
const LAST: Duration = Duration::from_secs(2);

/// The way to the collector.
pub struct Exporter {
    collector: HttpUrl,
    client: Client,
    finished: mpsc::Receiver<Finished>,
    lost: Arc<AtomicU64>,
    /// The collector did not take the last batch.
    is_refused: bool,
}

/// A tracer, and what brings its spans to the collector.
///
/// # Errors
/// If there can be no HTTP client.
pub fn export(collector: &HttpUrl) -> anyhow::Result<(Tracer, Exporter)> {
    let builder = || Ok(Client::builder().redirect(Policy::none()).no_proxy().timeout(TIMEOUT));
    let client = roots::build(Roots::of_scheme(collector.get().scheme()), builder)
        .context("client for the collector of traces not set up")?;
    let (sender, finished) = mpsc::channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let tracer = Tracer::new(sender, Arc::clone(&lost));
    Ok((tracer, Exporter { collector: collector.clone(), client, finished, lost, is_refused: false }))
}

impl Exporter {
    /// Exports while `work` goes on, and then what is left.
    pub async fn beside<T>(self, work: impl Future<Output = T>) -> T {
        let done = CancellationToken::new();
        let work = async {
            let result = work.await;
            done.cancel();
            result
        };
        tokio::join!(work, self.run(&done)).0
    }

    async fn run(mut self, done: &CancellationToken) {
        let mut batch = Vec::new();
        while let Some(1..) = done.run_until_cancelled(self.finished.recv_many(&mut batch, BATCH)).await {
            if batch.len() < BATCH {
                done.run_until_cancelled(sleep(GATHER)).await;
                while batch.len() < BATCH
                    && let Ok(finished) = self.finished.try_recv()
                {
                    batch.push(finished);
                }
            }
            {
                let mut sending = pin!(self.send(&batch));
                if done.run_until_cancelled(sending.as_mut()).await.is_none() {
                    timeout(LAST, sending).await.ok();
                }
            }
            batch.clear();
        }
        self.finished.close();
        let rest = async {
            while self.finished.recv_many(&mut batch, BATCH).await > 0 {
                self.send(&batch).await;
                batch.clear();
            }
        };
        timeout(LAST, rest).await.ok();
    }

    async fn send(&mut self, batch: &[Finished]) {
        let request = self.client.post(self.collector.get().clone()).header(CONTENT_TYPE, "application/json");
        let sent = request.body(otlp::body(batch).to_string()).send().await;
        match sent.and_then(reqwest::Response::error_for_status) {
            Ok(_) => {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if self.is_refused || lost > 0 {
                    tracing::info!(lost, "the collector of traces takes spans; some were lost before");
                }
                self.is_refused = false;
            }
            Err(error) => {
                self.lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                if !self.is_refused {
                    tracing::warn!(error = %Chain(&error.without_url()), "the collector of traces does not take spans; they are lost");
                }
                self.is_refused = true;
            }
        }
    }
}

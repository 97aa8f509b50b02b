//! What answers from the first moment on, before there is anything to show: that the process lives, and why it is not ready.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::{Access, Admin, Parts, access, health, serve};

/// The door to the admin HTTP; cheap to clone.
#[derive(Clone)]
pub struct Front(Arc<Inner>);

struct Inner {
    /// Everything, once it is there.
    whole: OnceLock<Router>,
    doing: Mutex<&'static str>,
}

impl Front {
    /// A front with nothing behind it, in a process that does this.
    #[must_use]
    pub fn new(doing: &'static str) -> Self {
        Self(Arc::new(Inner { whole: OnceLock::new(), doing: Mutex::new(doing) }))
    }

    /// Says what the process does before it is ready.
    pub fn say(&self, doing: &'static str) {
        *self.0.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    /// Shows everything from now on.
    pub fn open(&self, access: Access, parts: Parts) {
        // Whoever opens it twice shows what was shown before.
        drop(self.0.whole.set(super::router(Admin::new(parts, access))));
    }

    /// Serves until `stop` is cancelled.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let router = Router::new().fallback(move |request: Request| {
            let front = self.clone();
            async move { front.answer(request).await }
        });
        serve::serve(listener, router, stop).await;
    }

    async fn answer(&self, request: Request) -> Response {
        if let Some(whole) = self.0.whole.get() {
            let Ok(response) = TowerToHyperService::new(whole.clone()).call(request).await;
            return response;
        }
        let doing = *self.0.doing.lock().unwrap_or_else(PoisonError::into_inner);
        access::harden(match request.uri().path() {
            "/healthz" => super::ALIVE.into_response(),
            "/readyz" => health::not_ready(doing.to_owned()).into_response(),
            _ => Problem::starting(doing).into_response(),
        })
    }
}

//! Why a request was not done: what is wrong, and what to do about it.

use std::fmt::Display;

use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::chain::Chain;
use crate::{account, lumo, store, sync, wallets};

/// The code where the database is away, read-only or silent.
const DATABASE_UNAVAILABLE: &str = "database_unavailable";

/// A refusal; its text may quote what the caller has sent, and nothing else that is secret.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
}

/// What an answer says that is no success.
#[derive(Serialize, JsonSchema)]
pub(super) struct Refusal {
    error: Details,
}

#[derive(Serialize, JsonSchema)]
struct Details {
    /// For programs.
    code: &'static str,
    /// For people: what is wrong.
    message: String,
    /// What to do about it, where that is not obvious.
    hint: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// It was asked wrongly.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// There is no such thing.
    pub(super) fn absent(noun: &str, id: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("no such {noun}: {id}"))
    }

    /// The thing is not in a state for it.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// It costs something and was not confirmed.
    pub(super) fn unconfirmed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "confirmation_needed", message)
    }

    pub(super) fn too_large() -> Self {
        let message = "the body is larger than 64 KiB";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message).with_hint("send less at a time")
    }

    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not come in time")
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_path", "nothing is here")
            .with_hint("/api/openapi.json describes what there is")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
            .with_hint("/api/openapi.json describes what each path takes")
    }

    pub(super) fn no_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "this takes a token")
            .with_hint("send `Authorization: Bearer …` with what `server.token`, or to read `server.read_token`, names")
    }

    pub(super) fn wrong_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "this is not the token").with_hint(
            "send what `server.token`, or to read `server.read_token`, named when the daemon started or reloaded",
        )
    }

    /// What tells receivers of money is for those who prove who they are.
    pub(super) fn token_required() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "token_required",
            "samples of other types are sent only where `server.token` is set",
        )
        .with_hint("set one, or use `lumo-bridge endpoint test`")
    }

    pub(super) fn read_only() -> Self {
        let message = "this token may look at everything and change nothing";
        Self::new(StatusCode::FORBIDDEN, "read_only", message)
            .with_hint("GET is what it opens; for anything else send what `server.token` names")
    }

    pub(super) fn foreign_host() -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign_host", "the Host of the request is neither an address nor localhost")
            .with_hint("call it by its address, or set `server.token` to call it by any name")
    }

    pub(super) fn foreign_site() -> Self {
        let message = "a browser sent the request for a page of another site";
        Self::new(StatusCode::FORBIDDEN, "foreign_site", message)
            .with_hint("open the address itself, or call it from a program that is no browser")
    }

    pub(super) fn not_json() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "a POST must say that it sends JSON")
            .with_hint("send `Content-Type: application/json`, also with an empty body")
    }

    /// The process has only just begun.
    pub(super) fn starting(doing: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "starting", format!("not ready yet: {doing}"))
            .with_hint("try again in a moment; `/readyz` says when it is")
    }

    pub(super) fn too_many_readers() -> Self {
        let message = "as many follow the events as may";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_readers", message).with_hint("close another page first")
    }

    pub(super) fn too_many_watches(most: u32) -> Self {
        let message = format!("{most} users are watched already");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_watches", message)
            .with_hint("wait until a watch ends, watch for a shorter time, or raise `sync.watch.most`")
    }

    pub(super) fn database_silent(message: &str, hint: &str) -> Self {
        tracing::debug!(code = DATABASE_UNAVAILABLE, "request to the admin HTTP failed: {message}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, DATABASE_UNAVAILABLE, message).with_hint(hint)
    }

    /// It failed for a reason of ours, or of what we rest on. An outage of the database is said once, by the store, and
    /// not with every request of a page that is left open.
    fn failed(status: StatusCode, code: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        if code == DATABASE_UNAVAILABLE {
            tracing::debug!(code, error = %Chain(error), "request to the admin HTTP failed");
        } else {
            tracing::warn!(code, error = %Chain(error), "request to the admin HTTP failed");
        }
        Self::new(status, code, Chain(error).to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, message, hint } = self;
        let mut response = (status, Json(Refusal { error: Details { code, message, hint } })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(format!("path: {}", rejection.body_text()))
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(format!("query: {}", rejection.body_text()))
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::too_large(),
            _ => Self::bad_request(format!("body: {}", rejection.body_text())),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            error if error.is_outage() => Self::failed(StatusCode::SERVICE_UNAVAILABLE, DATABASE_UNAVAILABLE, &error)
                .with_hint("ask again in a moment; if it stays like that, look after the database"),
            _ => Self::failed(StatusCode::INTERNAL_SERVER_ERROR, "database_failed", &error),
        }
    }
}

impl From<lumo::Error> for Problem {
    fn from(error: lumo::Error) -> Self {
        let hint = error.hint();
        let problem = match &error {
            lumo::Error::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", Chain(&error).to_string()),
            lumo::Error::Refused { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "lumo_refused", Chain(&error).to_string())
            }
            lumo::Error::Throttled { .. } | lumo::Error::Unavailable { .. } => {
                Self::failed(StatusCode::SERVICE_UNAVAILABLE, "lumo_unavailable", &error)
            }
            _ => Self::failed(StatusCode::BAD_GATEWAY, "lumo_failed", &error),
        };
        Self { hint: hint.map(str::to_owned), ..problem }
    }
}

impl From<account::Refusal> for Problem {
    fn from(refusal: account::Refusal) -> Self {
        Self::new(StatusCode::CONFLICT, "wrong_account", refusal.to_string()).with_hint(refusal.hint())
    }
}

impl From<wallets::Error> for Problem {
    fn from(error: wallets::Error) -> Self {
        let hint = error.hint(wallets::Interface::Http);
        let problem = match error {
            wallets::Error::NotAsked { source: account::Error::Refused(refusal), .. } => refusal.into(),
            wallets::Error::NotAsked { source: account::Error::Store(source), .. } => source.into(),
            wallets::Error::NotAsked { source: account::Error::Upstream(source), .. }
            | wallets::Error::NotDone { source, .. } => source.into(),
            // No 503, which invites to ask again.
            wallets::Error::Unknown { .. } => Self::failed(StatusCode::BAD_GATEWAY, "outcome_unknown", &error),
            wallets::Error::Odd { .. } => Self::failed(StatusCode::BAD_GATEWAY, "odd_answer", &error),
            wallets::Error::NotStored { .. } => Self::failed(StatusCode::INTERNAL_SERVER_ERROR, "not_stored", &error),
        };
        Self { hint, ..problem }
    }
}

impl From<sync::Error> for Problem {
    fn from(error: sync::Error) -> Self {
        match error {
            sync::Error::Upstream(error) => error.into(),
            sync::Error::Store(error) => error.into(),
            sync::Error::Refused(refusal) => refusal.into(),
        }
    }
}

//! What the API takes and answers: one value for each path and method, from which the router is made and the description.
//!
//! The types of a handler are what is described, so that a description cannot say anything else.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, Method};
use axum::routing::{self, MethodFilter, MethodRouter};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Admin, Problem};
use crate::model::actor::Actor;

/// How long the body of a request may take.
const BODY: Duration = Duration::from_secs(10);

/// The header in which the dashboard names itself.
const ACTOR: &str = "lumo-actor";

/// A path with a method.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// What it does, in a sentence without its stop.
    pub(super) summary: &'static str,
    pub(super) handler: MethodRouter<Admin>,
    pub(super) query: fn(&mut SchemaGenerator) -> Option<Schema>,
    pub(super) body: fn(&mut SchemaGenerator) -> Option<Schema>,
    pub(super) answer: fn(&mut SchemaGenerator) -> Option<Schema>,
}

/// A body that says nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Route {
    /// `GET` of several things.
    pub(super) fn list<Q, A, F>(path: &'static str, summary: &'static str, handler: fn(Admin, Q) -> F) -> Self
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        Self::by_query(Method::GET, MethodFilter::GET, path, summary, handler)
    }

    /// `GET` of the thing that the path names.
    pub(super) fn one<P, A, F>(path: &'static str, summary: &'static str, handler: fn(Admin, P) -> F) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        A: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        let run = move |State(admin): State<Admin>, named: Result<Path<P>, PathRejection>| async move {
            handler(admin, named?.0).await.map(Json)
        };
        let handler = routing::get(run);
        Self { method: Method::GET, path, summary, handler, query: none, body: none, answer: named::<A> }
    }

    /// `POST`: something is done, by somebody.
    pub(super) fn act<B, A, F>(path: &'static str, summary: &'static str, handler: fn(Admin, Actor, B) -> F) -> Self
    where
        B: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        let run = move |State(admin): State<Admin>, request: Request| async move {
            let by = actor(request.headers());
            handler(admin, by, body(request).await?).await.map(Json)
        };
        let handler = routing::post(run);
        Self { method: Method::POST, path, summary, handler, query: none, body: inline::<B>, answer: named::<A> }
    }

    /// `DELETE`: something is removed that the query names.
    pub(super) fn remove<Q, A, F>(path: &'static str, summary: &'static str, handler: fn(Admin, Q) -> F) -> Self
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        Self::by_query(Method::DELETE, MethodFilter::DELETE, path, summary, handler)
    }

    fn by_query<Q, A, F>(
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        summary: &'static str,
        handler: fn(Admin, Q) -> F,
    ) -> Self
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        let run = move |State(admin): State<Admin>, query: Result<Query<Q>, QueryRejection>| async move {
            handler(admin, query?.0).await.map(Json)
        };
        let handler = routing::on(filter, run);
        Self { method, path, summary, handler, query: inline::<Q>, body: none, answer: named::<A> }
    }

    /// `POST`: something is done to the thing that the path names.
    pub(super) fn act_on<P, B, A, F>(
        path: &'static str,
        summary: &'static str,
        handler: fn(Admin, Actor, P, B) -> F,
    ) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        B: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        let run = move |State(admin): State<Admin>, named: Result<Path<P>, PathRejection>, request: Request| async move {
            let by = actor(request.headers());
            handler(admin, by, named?.0, body(request).await?).await.map(Json)
        };
        let handler = routing::post(run);
        Self { method: Method::POST, path, summary, handler, query: none, body: inline::<B>, answer: named::<A> }
    }
}

/// Who asks, as the request says: the dashboard names itself, which is a courtesy and no proof.
fn actor(headers: &HeaderMap) -> Actor {
    match headers.get(ACTOR) {
        Some(name) if name.as_bytes() == Actor::DASHBOARD.as_str().as_bytes() => Actor::DASHBOARD,
        _ => Actor::API,
    }
}

/// The body, read within its bounds; an empty one is an object that names nothing.
async fn body<B: DeserializeOwned>(request: Request) -> Result<B, Problem> {
    let bytes = tokio::time::timeout(BODY, Bytes::from_request(request, &())).await;
    let bytes = bytes.map_err(|_| Problem::too_slow())??;
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!("`{path}`: ") };
        Problem::bad_request(format!("body: {place}{}", error.into_inner()))
    })?;
    json.end().map_err(|error| Problem::bad_request(format!("body: {error}")))?;
    Ok(value)
}

/// Nothing is taken, or answered in JSON.
pub(super) fn none(_: &mut SchemaGenerator) -> Option<Schema> {
    None
}

pub(super) fn inline<T: JsonSchema>(generator: &mut SchemaGenerator) -> Option<Schema> {
    Some(T::json_schema(generator))
}

fn named<T: JsonSchema>(generator: &mut SchemaGenerator) -> Option<Schema> {
    Some(generator.subschema_for::<T>())
}

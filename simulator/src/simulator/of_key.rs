//! Whose key a request has, and with it which company it is about.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use serde::Deserialize;

use crate::simulator::Shared;
use crate::world::World;

/// The companies that are served. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Worlds(Arc<Mutex<Vec<World>>>);

impl Worlds {
    pub(crate) fn of(first: World) -> Self {
        Self(Arc::new(Mutex::new(vec![first])))
    }

    pub(crate) fn add(&self, world: World) {
        self.all().push(world);
    }

    /// The company whose key a request carries.
    pub(crate) fn asked(&self, headers: &HeaderMap, uri: &Uri) -> Option<World> {
        self.all().iter().find(|world| has_key(&world.api_key(), headers, uri)).cloned()
    }

    fn all(&self) -> MutexGuard<'_, Vec<World>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What requests share, with the company that the gate found.
pub(crate) struct OfKey(pub(crate) Shared);

impl FromRequestParts<Shared> for OfKey {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        let mut shared = shared.clone();
        if let Some(world) = parts.extensions.get::<World>() {
            shared.world = world.clone();
        }
        Ok(Self(shared))
    }
}

#[derive(Deserialize)]
struct KeyQuery {
    api_key: Option<String>,
}

/// Whether a request carries the key in one of the three places. One right key is enough.
fn has_key(key: &str, headers: &HeaderMap, uri: &Uri) -> bool {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = header(header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
    if header("x-api-key") == Some(key) || bearer == Some(key) {
        return true;
    }
    let query = axum::extract::Query::<KeyQuery>::try_from_uri(uri);
    query.is_ok_and(|query| query.api_key.as_deref() == Some(key))
}

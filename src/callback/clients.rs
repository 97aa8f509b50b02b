//! Keeps the HTTP clients of a sender: one per transport, and a separate one for each server that has failed.
//!
//! After a failure the server's name is resolved again: it may point to another server by now, while open connections
//! lead to the old one. So a server that fails gets a client of its own. That client is replaced after each failure, at
//! most once a second, and the other servers keep their connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Client;
use url::Url;

use crate::callback::transport::Transport;
use crate::renewable::Renewable;

/// Cheap to clone; clones share connections.
#[derive(Clone)]
pub(super) struct Clients(Arc<Inner>);

/// By transport and origin.
type Own = HashMap<(Transport, String), Arc<Renewable<Client>>>;
type Make = dyn Fn(&Transport) -> Option<Client> + Send + Sync;

struct Inner {
    shared: HashMap<Transport, Client>,
    own: Mutex<Own>,
    make: Arc<Make>,
}

impl Clients {
    pub(super) fn new(
        shared: HashMap<Transport, Client>,
        make: impl Fn(&Transport) -> Option<Client> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner { shared, own: Mutex::default(), make: Arc::new(make) }))
    }

    /// The client for a server; none if no endpoint had this transport when the clients were made.
    pub(super) async fn get(&self, transport: &Transport, server: &Url) -> Option<Client> {
        let own = self.own().get(&key(transport, server)).cloned();
        match own {
            Some(own) => Some(own.get().await),
            None => self.0.shared.get(transport).cloned(),
        }
    }

    /// Notes that the server has failed: no later request uses a connection that is open now.
    pub(super) fn expire(&self, transport: &Transport, server: &Url) {
        let Some(shared) = self.0.shared.get(transport) else { return };
        let mut own = self.own();
        let client = own.entry(key(transport, server)).or_insert_with(|| {
            let (make, transport) = (Arc::clone(&self.0.make), transport.clone());
            Arc::new(Renewable::new(shared.clone(), move || make(&transport)))
        });
        client.expire();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.shared.len()
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.0.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(transport: &Transport, server: &Url) -> (Transport, String) {
    (transport.clone(), server.origin().ascii_serialization())
}

//! Section `server`: the admin HTTP.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::SecretSource;

/// The admin HTTP.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// Address and port to listen on; null for no HTTP at all.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// What callers of `/api` must present as a bearer token; required as soon as `listen` is not loopback.
    pub token: Option<SecretSource>,
    /// A second token, for callers who may look at everything and change nothing; if set, `/metrics` takes one of the two.
    pub read_token: Option<SecretSource>,
}

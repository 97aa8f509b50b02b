//! The certificates of authorities that the system trusts, and machines that have none.
//!
//! Only https needs them. A client that calls plain http is made on a machine without any, and trusts nobody.

use std::error::Error as StdError;
use std::iter::successors;

use reqwest::{Client, ClientBuilder};

/// Whether a client calls https addresses that the system's authorities vouch for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    Needed,
    #[default]
    NotNeeded,
}

impl Roots {
    #[must_use]
    pub fn of_scheme(scheme: &str) -> Self {
        if scheme == "https" { Self::Needed } else { Self::NotNeeded }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "this machine has no CA certificates, without which https trusts nobody; install the package `ca-certificates`, \
         or name a file of certificates in the variable SSL_CERT_FILE"
    )]
    Missing,
    #[error(transparent)]
    Client(#[from] reqwest::Error),
}

/// Makes a client.
///
/// # Errors
/// [`Error::Missing`] if the system has no roots and the client needs them; else what is wrong with the builder.
pub fn build(roots: Roots, builder: impl Fn() -> reqwest::Result<ClientBuilder>) -> Result<Client, Error> {
    match builder()?.build() {
        Err(error) if has_no_roots(&error) => match roots {
            Roots::Needed => Err(Error::Missing),
            Roots::NotNeeded => Ok(builder()?.tls_certs_only([]).build()?),
        },
        made => Ok(made?),
    }
}

/// Whether the verifier was refused for want of certificates, the only error that it has where no roots are added.
fn has_no_roots(error: &reqwest::Error) -> bool {
    let is_verifier = |cause: &(dyn StdError + 'static)| matches!(cause.downcast_ref(), Some(rustls::Error::General(words)) if words.contains("No CA certificates"));
    successors(error.source(), |cause: &&(dyn StdError + 'static)| (*cause).source()).any(is_verifier)
}

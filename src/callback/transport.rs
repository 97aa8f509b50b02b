//! The transport settings of an endpoint: trusted authorities, client certificate, and HTTP version.
//!
//! The files are read once, when the configuration is compiled, and a mistake in them stops the start. Endpoints with
//! equal transports share a client and its connections. A configured authority replaces the system's, because an
//! endpoint that names one knows who issues the receiver's certificate.

use std::fmt;
use std::path::Path;

use data_encoding::BASE64;
use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::callback::config::{EndpointConfig, Tls};
use crate::callback::problem::Problems;
use crate::roots::Roots;
use crate::setting::Text;

/// The settings that two endpoints must share to share connections.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Transport {
    /// The authorities that are trusted instead of the system's, as DER.
    authorities: Option<Vec<Vec<u8>>>,
    /// A certificate chain and its key, as PEM.
    identity: Option<String>,
    http2: bool,
}

impl Transport {
    /// Loads the settings. `is_secure` says whether the endpoint's address is an `https://` one.
    pub(super) fn load(config: &EndpointConfig, is_secure: bool, problems: &mut Problems) -> Self {
        if !is_secure {
            let only_secure = "is for https:// addresses only; take it out, or call the endpoint over https";
            if config.http2 {
                problems.add("http2", only_secure);
            }
            if config.tls.is_some() {
                problems.add("tls", only_secure);
            }
            return Self::default();
        }
        let Some(tls) = &config.tls else { return Self { http2: config.http2, ..Self::default() } };
        if tls.ca.is_none() && tls.client_cert.is_none() && tls.client_key.is_none() {
            problems.add("tls", "names nothing; write `ca`, or `client_cert` and `client_key`");
        }
        let authorities = tls.ca.as_ref().and_then(|path| problems.take("tls.ca", authorities(path)));
        Self { authorities, identity: identity(tls, problems), http2: config.http2 }
    }

    /// Whether the system's authorities are needed for a server of this scheme.
    pub(super) fn roots(&self, scheme: &str) -> Roots {
        if self.authorities.is_some() { Roots::NotNeeded } else { Roots::of_scheme(scheme) }
    }

    /// Applies the transport to a client builder.
    pub(super) fn apply(&self, builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        // The two sides negotiate the newest version that both support.
        let mut builder = if self.http2 { builder } else { builder.http1_only() };
        if let Some(authorities) = &self.authorities {
            let authorities: reqwest::Result<Vec<_>> =
                authorities.iter().map(|der| Certificate::from_der(der)).collect();
            builder = builder.tls_certs_only(authorities?);
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(Identity::from_pem(identity.as_bytes())?);
        }
        Ok(builder)
    }
}

/// The key is not shown.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("authorities", &self.authorities.as_ref().map(Vec::len))
            .field("identity", &self.identity.is_some())
            .field("http2", &self.http2)
            .finish()
    }
}

fn read(path: &Text) -> Result<Vec<u8>, String> {
    std::fs::read(Path::new(path.as_str())).map_err(|error| format!("the file `{path}` cannot be read: {error}"))
}

fn certificates(path: &Text) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| format!("the file `{path}` holds no certificate as PEM"))
}

fn authorities(path: &Text) -> Result<Vec<Vec<u8>>, String> {
    let found = certificates(path)?;
    for certificate in &found {
        let added = RootCertStore::empty().add(certificate.clone());
        added.map_err(|error| format!("the file `{path}` holds a certificate that cannot be used: {error}"))?;
    }
    Ok(found.iter().map(|certificate| certificate.to_vec()).collect())
}

fn identity(tls: &Tls, problems: &mut Problems) -> Option<String> {
    let (certificate, key) = match (&tls.client_cert, &tls.client_key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => {
            problems.add("tls.client_key", "is missing; a client certificate needs its key");
            return None;
        }
        (None, Some(_)) => {
            problems.add("tls.client_cert", "is missing; a client key needs its certificate");
            return None;
        }
        (None, None) => return None,
    };
    let chain = problems.take("tls.client_cert", certificates(certificate));
    let key = problems.take("tls.client_key", private_key(key));
    let (chain, key) = chain.zip(key)?;
    let fits = CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring::default_provider());
    problems.take("tls.client_key", fits.map_err(|error| format!("does not fit `client_cert`: {error}")))?;
    let certificates = chain.iter().map(|certificate| pem("CERTIFICATE", certificate));
    let label = match &key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    Some(certificates.chain([pem(label, key.secret_der())]).collect())
}

fn private_key(path: &Text) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read(path)?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| format!("the file `{path}` holds no private key as PEM; one with a password cannot be read"))
}

/// Encodes the certificate or key again, so that other content of the file is dropped.
fn pem(label: &str, der: &[u8]) -> String {
    let lines: String = der.chunks(48).map(|line| BASE64.encode(line) + "\n").collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

//! Tests TLS: which certificates the sender trusts and shows, and which HTTP version it speaks.

use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::*;
use crate::callback::fixture::request;

/// An authority, and the folder where it keeps what it issues.
pub(super) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// What a server met.
#[derive(Debug)]
pub(super) struct Handshake {
    protocol: Option<Vec<u8>>,
    is_known: bool,
    pub(super) request: Vec<u8>,
}

impl Authority {
    pub(super) fn new() -> Self {
        drop(sender(&[]));
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let authority = Self { folder, certificate: certificate.der().clone(), issuer: Issuer::new(params, key) };
        std::fs::write(authority.file("ca"), certificate.pem()).unwrap();
        authority
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate for the name: in files as `<name>.crt` and `<name>.key`.
    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.file(&format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A server that shows a certificate for the name, and asks for one of its own authority if it `demands` it.
    pub(super) fn server(&self, name: &str, demands: bool, protocols: &[&[u8]]) -> (String, Receiver<Handshake>) {
        self.issue(name);
        let builder = ServerConfig::builder();
        let builder = if demands {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.clone()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_file(self.file(&format!("{name}.crt"))).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        serve(Arc::new(config))
    }

    fn client(&self) -> Value {
        self.issue("client");
        json!({ "client_cert": self.file("client.crt"), "client_key": self.file("client.key") })
    }
}

/// Answers one request with 204, in the HTTP that was negotiated.
fn serve(config: Arc<ServerConfig>) -> (String, Receiver<Handshake>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/hooks", listener.local_addr().unwrap());
    let (meet, met) = channel();
    std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(config).unwrap();
        while connection.is_handshaking() {
            if connection.complete_io(&mut tcp).is_err() {
                return;
            }
        }
        let protocol = connection.alpn_protocol().map(<[u8]>::to_vec);
        let is_known = connection.peer_certificates().is_some();
        let mut stream = StreamOwned::new(connection, tcp);
        let request = if protocol.as_deref() == Some(b"h2") { answer_h2(&mut stream) } else { answer(&mut stream) };
        drop(meet.send(Handshake { protocol, is_known, request }));
        drop(stream.read(&mut [0; 1024]));
    });
    (url, met)
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

fn answer(stream: &mut Stream) -> Vec<u8> {
    let request = request(stream);
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    request
}

/// The preface, and an answer in frames: settings, their acknowledgement, and `:status: 204` as the end of stream 1.
fn answer_h2(stream: &mut Stream) -> Vec<u8> {
    let mut preface = vec![0; 24];
    stream.read_exact(&mut preface).unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    // The request is there once the body has come as the end of its stream.
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        stream.read_exact(&mut payload).unwrap();
        match (kind, flags & 1) {
            (0, 1) => break,
            (4, 0) => stream.write_all(&[0, 0, 0, 4, 1, 0, 0, 0, 0]).unwrap(),
            _ => {}
        }
    }
    stream.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x89]).unwrap();
    preface
}

async fn call(url: &str, more: Value) -> Attempt {
    let endpoint = endpoint(url, more);
    let sender = Sender::new(&egress(&[]), [&endpoint]).unwrap();
    sender.send(&endpoint, &callback(&event_id()), now()).await
}

fn with_ca(authority: &Authority, more: Value) -> Value {
    let mut tls = json!({ "ca": authority.file("ca") });
    tls.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "tls": tls, "timeout": "5s" })
}

fn assert_insecure(attempt: &Attempt, part: &str) {
    assert_eq!(unreachable(attempt), Some(Unreachable::Tls), "{attempt:?}");
    let error = attempt.error.as_deref().unwrap();
    assert!(error.starts_with("no secure connection: ") && error.contains(part), "{error}");
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_no_other() {
    let (own, other) = (Authority::new(), Authority::new());
    let (url, met) = own.server("127.0.0.1", false, &[]);
    let attempt = call(&url, with_ca(&own, json!({}))).await;
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 204 }, "{attempt:?}");
    assert!(met.recv().unwrap().request.ends_with(BODY.as_bytes()));

    for more in [json!({}), with_ca(&other, json!({}))] {
        let (url, _met) = own.server("127.0.0.1", false, &[]);
        assert_insecure(
            &call(&url, more).await,
            "its certificate is self-signed, or issued by an authority that is not trusted here; name that authority in `tls.ca`",
        );
    }
    let (url, _met) = own.server("shop.example.com", false, &[]);
    assert_insecure(
        &call(&url, with_ca(&own, json!({}))).await,
        "its certificate is not valid for the name `127.0.0.1`",
    );
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_demanded() {
    let (own, other) = (Authority::new(), Authority::new());
    let (url, met) = own.server("127.0.0.1", true, &[]);
    let attempt = call(&url, with_ca(&own, own.client())).await;
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 204 }, "{attempt:?}");
    assert!(met.recv().unwrap().is_known);

    let (url, _met) = own.server("127.0.0.1", true, &[]);
    assert_insecure(&call(&url, with_ca(&own, json!({}))).await, "CertificateRequired");
    let (url, _met) = own.server("127.0.0.1", true, &[]);
    assert_insecure(&call(&url, with_ca(&own, other.client())).await, "received fatal alert");
}

#[tokio::test]
async fn http_2_is_spoken_where_both_want_it() {
    const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];
    let own = Authority::new();
    for (wants, protocols, negotiated) in [
        (true, BOTH, Some(&b"h2"[..])),
        (false, BOTH, Some(b"http/1.1")),
        (true, &[b"http/1.1"], Some(b"http/1.1")),
        (true, &[], None),
    ] {
        let (url, met) = own.server("127.0.0.1", false, protocols);
        let mut more = with_ca(&own, json!({}));
        more["http2"] = wants.into();
        let attempt = call(&url, more).await;
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 204 }, "{wants} {protocols:?} {attempt:?}");
        let met = met.recv().unwrap();
        assert_eq!(met.protocol.as_deref(), negotiated);
        let spoken = if negotiated == Some(b"h2") { "PRI * HTTP/2.0\r\n" } else { "POST /hooks HTTP/1.1\r\n" };
        assert!(met.request.starts_with(spoken.as_bytes()), "{met:?}");
    }
}

#[test]
fn endpoints_of_one_transport_share_a_client() {
    let own = Authority::new();
    let with = |more: Value| endpoint("https://example.com/", more);
    let with_ca = || with(json!({ "tls": { "ca": own.file("ca") } }));
    let endpoints = [with(json!({})), with(json!({})), with_ca(), with_ca(), with(json!({ "http2": true }))];
    let sender = Sender::new(&egress(&[]), &endpoints).unwrap();
    assert_eq!(sender.clients.len(), 3);
    assert_eq!(Sender::new(&egress(&[]), []).unwrap().clients.len(), 1);
}

#[test]
fn what_is_wrong_with_the_files_is_told_with_its_key() {
    let (own, other) = (Authority::new(), Authority::new());
    own.issue("a");
    other.issue("a");
    let [ca, certificate, key] = ["ca", "a.crt", "a.key"].map(|name| own.file(name));
    let broken = own.file("broken");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let secure = "https://example.com/";
    for (url, more, key, part) in [
        ("http://example.com/", json!({ "tls": { "ca": ca } }), "tls", "https:// addresses only"),
        ("http://example.com/", json!({ "http2": true }), "http2", "https:// addresses only"),
        (secure, json!({ "tls": {} }), "tls", "names nothing"),
        (secure, json!({ "tls": { "ca": own.file("none") } }), "tls.ca", "cannot be read: No such file"),
        (secure, json!({ "tls": { "ca": key } }), "tls.ca", "holds no certificate as PEM"),
        (secure, json!({ "tls": { "ca": broken } }), "tls.ca", "cannot be used"),
        (secure, json!({ "tls": { "client_cert": certificate } }), "tls.client_key", "is missing"),
        (secure, json!({ "tls": { "client_key": key } }), "tls.client_cert", "is missing"),
        (
            secure,
            json!({ "tls": { "client_cert": certificate, "client_key": ca } }),
            "tls.client_key",
            "no private key",
        ),
        (
            secure,
            json!({ "tls": { "client_cert": certificate, "client_key": other.file("a.key") } }),
            "tls.client_key",
            "does not fit `client_cert`",
        ),
    ] {
        let error = Endpoint::compile("shop", &config(url, more), &defaults()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("callbacks.endpoints.shop.{key}: ")) && error.contains(part), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_key_does_not_show() {
    let own = Authority::new();
    let endpoint = endpoint("https://example.com/", json!({ "tls": own.client() }));
    let shown = format!("{endpoint:?} {:?}", Sender::new(&egress(&[]), [&endpoint]).unwrap());
    let key = std::fs::read_to_string(own.file("client.key")).unwrap();
    let line = key.lines().nth(1).unwrap();
    assert!(!shown.contains(&line[..20]) && !shown.contains("BEGIN"), "{shown}");
    assert!(shown.contains("identity: true"), "{shown}");
}

//! A Lumo server whose certificate nobody issued that is trusted here: it is said in words, with the remedy.

use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{Certificate, CertificateParams, DnType, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ServerConfig, ServerConnection};
use serde_json::json;

use super::{assert_found, found, healthy};

const SENTENCE: &str = "its certificate is self-signed, or issued by an authority that is not trusted here; add that \
                        authority to the system's";

fn self_signed(name: &str) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    (parameters.self_signed(&key).unwrap(), key)
}

/// A server that shows a certificate of its own making; its url.
fn server() -> String {
    // Somebody else in this process may have been first.
    drop(rustls::crypto::ring::default_provider().install_default());
    let (certificate, key) = self_signed("Lumo");
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let (Ok(mut tcp), config) = (tcp, config.clone()) else { continue };
            std::thread::spawn(move || {
                let mut connection = ServerConnection::new(config).unwrap();
                while connection.is_handshaking() && connection.complete_io(&mut tcp).is_ok() {}
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_self_signed_certificate_of_lumo_is_told_in_words() {
    let place = tempfile::tempdir().unwrap();
    // Somebody is trusted, whatever this machine has.
    let trusted = place.path().join("trusted.pem");
    std::fs::write(&trusted, self_signed("somebody else").0.pem()).unwrap();
    let mut stage = healthy().await;
    stage.variables = vec![("SSL_CERT_FILE", trusted), ("SSL_CERT_DIR", place.path().to_owned())];
    stage.settings.set("lumo.base_url", json!(server()));
    assert_found(&found(&stage, &[], 1).await, "API key", "fail", SENTENCE, "");
    let text = stage.command(&["check"]).await.stdout;
    assert!(text.contains("no connection: https://127.0.0.1:") && text.contains(SENTENCE), "{text}");
    assert!(!text.contains("UnknownIssuer") && !text.contains("InvalidCertificate"), "{text}");
}

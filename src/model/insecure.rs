//! Why there is no secure connection, in words: the library's own are names of its types.

use std::error::Error;

use rustls::CertificateError::{
    Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, UnknownIssuer,
};

use crate::chain::causes;

/// Said where the other side speaks plain HTTP.
pub const NO_TLS: &str = "it does not speak TLS on this port; call it over plain http, or name the port that does";

/// What stands in the way of a secure connection, if that is what the error is about. `trust` says where an authority
/// can be named.
#[must_use]
pub fn insecure(error: &(dyn Error + 'static), trust: &str) -> Option<String> {
    let error = causes(error).find_map(<dyn Error>::downcast_ref::<rustls::Error>)?;
    Some(match error {
        rustls::Error::InvalidMessage(_) => NO_TLS.to_owned(),
        rustls::Error::InvalidCertificate(UnknownIssuer) => {
            format!("its certificate is self-signed, or issued by an authority that is not trusted here; {trust}")
        }
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "its certificate has expired; renew it there, or set the time of this machine".to_owned()
        }
        rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "its certificate is not valid yet; set the time of both machines".to_owned()
        }
        rustls::Error::InvalidCertificate(NotValidForNameContext { expected, .. }) => format!(
            "its certificate is not valid for the name `{}`; call it by a name that is in the certificate",
            expected.to_str()
        ),
        rustls::Error::InvalidCertificate(NotValidForName) => {
            "its certificate is for another name; call it by a name that is in the certificate".to_owned()
        }
        rustls::Error::InvalidCertificate(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            format!("its certificate is self-signed, and that of an authority; {trust}, and let it issue another one")
        }
        rustls::Error::InvalidCertificate(_) => {
            "its certificate cannot be used; look at it with `openssl s_client -connect HOST:PORT`".to_owned()
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::{CertificateError, InvalidMessage};

    use super::*;

    #[test]
    fn each_problem_has_its_words() {
        let certificate = rustls::Error::InvalidCertificate;
        for (error, words) in [
            (rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType), "it does not speak TLS on this port"),
            (certificate(UnknownIssuer), "self-signed, or issued by an authority that is not trusted here; name it"),
            (certificate(Expired), "has expired"),
            (certificate(NotValidYet), "is not valid yet"),
            (certificate(NotValidForName), "is for another name"),
            (certificate(CertificateError::BadEncoding), "cannot be used"),
        ] {
            let wrapped = io::Error::new(io::ErrorKind::InvalidData, error);
            let told = insecure(&wrapped, "name it").unwrap();
            assert!(told.contains(words), "{told}");
        }
        assert_eq!(insecure(&io::Error::from(io::ErrorKind::TimedOut), ""), None);
    }
}

//! Refuses addresses that `callbacks.egress.deny` lists, however a name resolves.
//!
//! Names are resolved here, and denied addresses are removed. So the address that was checked is the one that is
//! connected to, and a name whose address changes in between bypasses nothing. An IP address in the url is not
//! resolved, and is checked before the request.
//!
//! With a proxy, the proxy resolves names and connects. Then only an IP address in the url can be checked here, and the
//! proxy's own rules must cover the rest.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The networks that no callback goes to.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    deny: Arc<[IpNet]>,
    /// The address that every name resolves to, in tests.
    #[cfg(test)]
    answer: Option<Arc<std::sync::Mutex<IpAddr>>>,
}

/// An address that may not be called.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{address} is in a network that `callbacks.egress.deny` lists")]
pub(super) struct Denied {
    address: IpAddr,
}

/// Why a name gave no address to call.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("the name does not resolve")]
    Unresolved(#[source] Option<io::Error>),
    #[error(transparent)]
    Denied(Denied),
}

impl Guard {
    pub(super) fn new(deny: &[IpNet]) -> Self {
        Self {
            deny: deny.into(),
            #[cfg(test)]
            answer: None,
        }
    }

    /// A guard for which every name resolves to this address.
    #[cfg(test)]
    pub(super) fn answering(address: Arc<std::sync::Mutex<IpAddr>>) -> Self {
        Self { answer: Some(address), ..Self::new(&[]) }
    }

    /// Checks an IP address in the url itself.
    pub(super) fn check(&self, url: &Url) -> Result<(), Denied> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.admit(address.into()),
            Some(Host::Ipv6(address)) => self.admit(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    pub(super) fn admit(&self, address: IpAddr) -> Result<(), Denied> {
        let denied = readings(address).iter().any(|reading| self.deny.iter().any(|network| network.contains(reading)));
        if denied { Err(Denied { address }) } else { Ok(()) }
    }

    async fn lookup(&self, name: &str) -> Result<Vec<SocketAddr>, LookupError> {
        #[cfg(test)]
        if let Some(answer) = &self.answer {
            return self.admitted([SocketAddr::new(*answer.lock().unwrap(), 0)]);
        }
        // The port is filled in by the client.
        let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| LookupError::Unresolved(Some(error)))?;
        self.admitted(found)
    }

    fn admitted(&self, found: impl IntoIterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, LookupError> {
        let (mut admitted, mut denied) = (Vec::new(), None);
        for address in found {
            match self.admit(address.ip()) {
                Ok(()) => admitted.push(address),
                Err(reason) => denied = Some(reason),
            }
        }
        match denied {
            _ if !admitted.is_empty() => Ok(admitted),
            Some(reason) => Err(LookupError::Denied(reason)),
            None => Err(LookupError::Unresolved(None)),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.lookup(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The addresses that a connection may reach: the address itself, an IPv4 address inside an IPv6 one, and for the
/// unspecified address this machine.
fn readings(address: IpAddr) -> [IpAddr; 3] {
    let plain = match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(outer) => embedded(outer).map_or(address, IpAddr::V4),
    };
    let target = match plain {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    [address, plain, target]
}

/// The IPv4 address that a translator or a tunnel would call: mapped (`::ffff:0:0/96`), compatible (`::/96`, but for
/// the unspecified address and the loopback), NAT64 (`64:ff9b::/96`) and 6to4 (`2002::/16`).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let ipv4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(ipv4(high, low)),
        [0x2002, high, low, ..] => Some(ipv4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_denied(deny: &[&str], url: &str) -> bool {
        let networks: Vec<IpNet> = deny.iter().map(|network| network.parse().unwrap()).collect();
        Guard::new(&networks).check(&url.parse().unwrap()).is_err()
    }

    #[test]
    fn an_address_is_denied_in_every_spelling() {
        for url in [
            "http://169.254.169.254/latest",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://169.254.43518/",
            "http://0251.0376.0251.0376/",
            "http://025177524776/",
            "http://169.0xfe.0251.254/",
            "http://169.254.169.254./",
            "http://%31%36%39.254.169.254/",
            "http://\u{ff11}\u{ff16}\u{ff19}.254.169.254/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:a9fe:a9fe]:8080/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::1]/",
        ] {
            assert!(is_denied(&["169.254.0.0/16"], url), "{url}");
        }
        for url in
            ["http://0.0.0.0:80/", "http://0/", "http://[::ffff:0.0.0.0]/", "http://127.1/", "http://017700000001/"]
        {
            assert!(is_denied(&["127.0.0.0/8"], url), "{url}");
        }
        assert!(is_denied(&["::1/128"], "http://[::]/"));
        assert!(is_denied(&["fe80::/10"], "http://[fe80::1]/"));
        assert!(is_denied(&["::ffff:0:0/96"], "http://[::ffff:10.0.0.1]/"));
    }

    #[test]
    fn what_is_not_listed_is_admitted() {
        for url in ["http://169.253.0.1/", "http://[::1]/", "https://example.com/", "http://169.254.1.1.example.com/"] {
            assert!(!is_denied(&["169.254.0.0/16"], url), "{url}");
        }
        assert!(!is_denied(&[], "http://127.0.0.1/"));
        assert!(!is_denied(&["0.0.0.0/8"], "http://[::1]/"));
    }

    #[test]
    fn of_several_addresses_only_the_admitted_are_called() {
        let guard = Guard::new(&["10.0.0.0/8".parse().unwrap()]);
        let [inside, outside]: [SocketAddr; 2] = ["10.0.0.1:0", "192.0.2.1:0"].map(|text| text.parse().unwrap());
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:0".parse().unwrap();
        assert_eq!(guard.admitted([inside, outside, mapped]).unwrap(), [outside]);
        assert!(matches!(guard.admitted([inside, mapped]), Err(LookupError::Denied(_))));
        assert!(matches!(guard.admitted([]), Err(LookupError::Unresolved(None))));
    }

    #[tokio::test]
    async fn a_name_resolves_to_admitted_addresses_only() {
        let guard = Guard::new(&["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
        assert!(matches!(guard.lookup("localhost").await, Err(LookupError::Denied(_))));
        assert!(matches!(Guard::new(&[]).lookup("localhost").await, Ok(found) if !found.is_empty()));
    }
}

//! Where the daemon serves the admin HTTP: whether it does, or could.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::finding::{Finding, Report};
use crate::cli::health::is_lumo_bridge;
use crate::config::Config;

const SUBJECT: &str = "server";

/// Who listens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    /// The daemon of these tables, as far as can be seen.
    Daemon,
    /// A lumo-bridge, and none runs with these tables.
    Stranger,
    Other,
}

/// `has_daemon`: whether a daemon runs with these tables, if that can be seen.
pub(super) async fn check(report: &mut Report<'_>, config: &Config, has_daemon: Option<bool>) {
    let Some(listen) = config.server.listen else {
        return report.add(Finding::ok(SUBJECT, "no HTTP is served, as `server.listen` is null"));
    };
    // It is closed at once, so that a daemon can start.
    let bound = TcpListener::bind(listen).await.map(drop);
    let is_taken = bound.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
    let listener = match (is_taken && is_lumo_bridge(listen).await, has_daemon) {
        (false, _) => Listener::Other,
        (true, Some(false)) => Listener::Stranger,
        (true, _) => Listener::Daemon,
    };
    report.add(found(listen, bound, listener));
}

/// What came of listening there.
fn found(listen: SocketAddr, bound: io::Result<()>, listener: Listener) -> Finding {
    let Err(error) = bound else {
        return Finding::ok(SUBJECT, format_args!("{listen} is free for `lumo-bridge run`"));
    };
    let message = match (error.kind(), listener) {
        (ErrorKind::AddrInUse, Listener::Daemon) => {
            return Finding::ok(SUBJECT, format_args!("a daemon runs and answers on {listen}"));
        }
        (ErrorKind::AddrInUse, Listener::Stranger) => {
            let message = format_args!("a lumo-bridge answers on {listen}, but none runs with this database");
            return Finding::warn(SUBJECT, message).hint("stop that one, or set `server.listen` to another address");
        }
        (ErrorKind::AddrInUse, Listener::Other) => {
            let message = format_args!("{listen} is taken by a program that does not answer as lumo-bridge does");
            return Finding::fail(SUBJECT, message)
                .hint("stop that program, or set `server.listen` to another address");
        }
        _ => format!("{listen} cannot be listened on here, by this user: {error}"),
    };
    Finding::warn(SUBJECT, message).hint("name an address of the daemon's machine in `server.listen`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::finding::Level;

    #[test]
    fn who_listens_there_is_said_in_a_sentence() {
        for (bound, listener, level, message) in [
            (Ok(()), Listener::Other, Level::Ok, "127.0.0.1:8600 is free for `lumo-bridge run`"),
            (Err(ErrorKind::AddrInUse), Listener::Daemon, Level::Ok, "a daemon runs and answers on 127.0.0.1:8600"),
            (
                Err(ErrorKind::AddrInUse),
                Listener::Stranger,
                Level::Warn,
                "a lumo-bridge answers on 127.0.0.1:8600, but none runs with this database",
            ),
            (
                Err(ErrorKind::AddrInUse),
                Listener::Other,
                Level::Fail,
                "127.0.0.1:8600 is taken by a program that does not answer as lumo-bridge does",
            ),
            (
                Err(ErrorKind::PermissionDenied),
                Listener::Other,
                Level::Warn,
                "127.0.0.1:8600 cannot be listened on here, by this user: permission denied",
            ),
        ] {
            let finding = found("127.0.0.1:8600".parse().unwrap(), bound.map_err(io::Error::from), listener);
            assert_eq!((finding.level(), finding.message()), (level, message));
        }
    }
}

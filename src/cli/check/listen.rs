//! Where the daemon serves the admin HTTP: whether it does, or could.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::finding::{Finding, Report};
use crate::cli::health::is_lumo_bridge;
use crate::config::Config;

const SUBJECT: &str = "server";

pub(super) async fn check(report: &mut Report<'_>, config: &Config) {
    let Some(listen) = config.server.listen else {
        return report.add(Finding::ok(SUBJECT, "no HTTP is served, as `server.listen` is null"));
    };
    // It is closed at once, so that a daemon can start.
    let bound = TcpListener::bind(listen).await.map(drop);
    let is_taken = bound.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
    let is_ours = is_taken && is_lumo_bridge(listen).await;
    report.add(found(listen, bound, is_ours));
}

/// What came of listening there; `is_ours` if a lumo-bridge does.
fn found(listen: SocketAddr, bound: io::Result<()>, is_ours: bool) -> Finding {
    let Err(error) = bound else {
        return Finding::ok(SUBJECT, format_args!("{listen} is free for `lumo-bridge run`"));
    };
    if is_ours {
        return Finding::ok(SUBJECT, format_args!("a daemon runs and answers on {listen}"));
    }
    if error.kind() == ErrorKind::AddrInUse {
        let message = format_args!("{listen} is taken by a program that does not answer as lumo-bridge does");
        return Finding::fail(SUBJECT, message).hint("stop that program, or set `server.listen` to another address");
    }
    let message = format_args!("{listen} cannot be listened on here, by this user: {error}");
    Finding::warn(SUBJECT, message).hint("name an address of the daemon's machine in `server.listen`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::finding::Level;

    #[test]
    fn who_listens_there_is_said_in_a_sentence() {
        for (bound, is_ours, level, message) in [
            (Ok(()), false, Level::Ok, "127.0.0.1:8600 is free for `lumo-bridge run`"),
            (Err(ErrorKind::AddrInUse), true, Level::Ok, "a daemon runs and answers on 127.0.0.1:8600"),
            (
                Err(ErrorKind::AddrInUse),
                false,
                Level::Fail,
                "127.0.0.1:8600 is taken by a program that does not answer as lumo-bridge does",
            ),
            (
                Err(ErrorKind::PermissionDenied),
                false,
                Level::Warn,
                "127.0.0.1:8600 cannot be listened on here, by this user: permission denied",
            ),
        ] {
            let finding = found("127.0.0.1:8600".parse().unwrap(), bound.map_err(io::Error::from), is_ours);
            assert_eq!((finding.level(), finding.message()), (level, message));
        }
    }
}

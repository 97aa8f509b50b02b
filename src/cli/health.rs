//! `health`: asks a running daemon on this machine how it is, for health checks where no other program is at hand; other
//! commands ask it what only it knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::context::Context;
use super::failure::Failure;
use super::safe;
use crate::admin::ALIVE;
use crate::view::Finding;
use crate::view::finding::{NOT_WRITTEN, Severity};

/// Longest wait for the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a command that has more to say than this answer.
const GLANCE: Duration = Duration::from_secs(1);
/// More than this of an answer is not read.
const MOST_BYTES: u64 = 16 * 1024;
/// What to do where no daemon is found.
const NO_DAEMON: &str = "check that `lumo-bridge run` runs, with the same `server.listen`";

/// What to ask.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: lumo-bridge health --ready")]
pub(super) struct Args {
    /// Ask whether the tables can be relied on, too, as `/readyz` says
    #[arg(long)]
    ready: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    is_healthy: bool,
    status: u16,
    answer: &'a str,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load_quietly()?.config;
    let Some(listen) = config.server.listen else {
        let failure = Failure::usage("the daemon cannot be asked: `server.listen` is null");
        return Err(failure.with_hint("let it listen, for example on 127.0.0.1:8600"));
    };
    let (address, path) = (here(listen), if args.ready { "/readyz" } else { "/healthz" });
    let asked = tokio::time::timeout(PATIENCE, ask(address, path)).await;
    let asked = asked.with_context(|| format!("no answer from {address} within {} s", PATIENCE.as_secs()))?;
    let (status, answer) = asked.map_err(|error| {
        let error = error.context(format!("the daemon on {address} does not answer"));
        Failure::work(error).with_hint(NO_DAEMON)
    })?;
    let judged = judge(args.ready, status, &answer);
    let is_healthy = judged == Some(true);
    if context.printer().json() {
        context.printer().document(&Document { is_healthy, status, answer: &answer })?;
    } else if judged.is_some() {
        context.printer().line(safe::lines(&answer));
    }
    if judged.is_none() {
        let problem = anyhow!("another program than lumo-bridge answers on {address}");
        return Err(Failure::work(problem).with_hint(NO_DAEMON));
    }
    if is_healthy { Ok(()) } else { Err(Failure::said()) }
}

/// Whether a lumo-bridge answers where a daemon is to listen.
pub(super) async fn is_lumo_bridge(listen: SocketAddr) -> bool {
    let asked = tokio::time::timeout(PATIENCE, ask(here(listen), "/readyz")).await;
    matches!(asked, Ok(Ok((status, answer))) if judge(true, status, &answer).is_some())
}

/// That a daemon here cannot write to the database, if it says so. On a full disk what is small may still be written, such
/// as its lease, so the tables look as if all were well.
pub(super) async fn trouble_writing(listen: SocketAddr) -> Option<Finding> {
    let address = here(listen);
    let asked = tokio::time::timeout(GLANCE, ask(address, "/readyz")).await;
    let Ok(Ok((_, answer))) = asked else { return None };
    not_written(address, &answer)
}

fn not_written(address: SocketAddr, answer: &str) -> Option<Finding> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let is_it = |finding: &&Value| finding.get("code").and_then(Value::as_str) == Some(NOT_WRITTEN);
    let found = answer.get("findings")?.as_array()?.iter().find(is_it)?;
    let text = |member: &str| found.get(member).and_then(Value::as_str);
    let message = format!("The daemon on {address} says: {}", text("message")?);
    let finding = Finding::new(Severity::Stopped, NOT_WRITTEN, message).blocking();
    Some(Finding { hint: text("hint").map(str::to_owned), ..finding })
}

/// Whether the daemon is well by its answer; none if it is no answer of a lumo-bridge.
fn judge(ready: bool, status: u16, answer: &str) -> Option<bool> {
    if !ready {
        return (status == 200 && answer == ALIVE.trim_end()).then_some(true);
    }
    let readiness: Value = serde_json::from_str(answer).ok()?;
    Some(readiness.get("ready")?.as_bool()? && status == 200)
}

/// Where an address that stands for every address of this machine is called from within.
fn here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The status and the body of an answer.
async fn ask(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    // By HTTP/1.0 the body comes in one piece and ends with the connection.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok());
    let (Some(status), Some((_, body))) = (status, answer.split_once("\r\n\r\n")) else {
        bail!("what listens there does not speak HTTP");
    };
    Ok((status, body.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_of_a_lumo_bridge_is_believed() {
        for (ready, status, answer, judged) in [
            (false, 200, "ok", Some(true)),
            (false, 200, "OK", None),
            (false, 200, "<html>", None),
            (false, 404, "ok", None),
            (true, 200, r#"{"ready":true}"#, Some(true)),
            (true, 200, r#"{"ready":false}"#, Some(false)),
            (true, 503, r#"{"ready":false,"problem":"starting"}"#, Some(false)),
            (true, 503, r#"{"ready":true}"#, Some(false)),
            (true, 200, r#"{"ready":"yes"}"#, None),
            (true, 200, r#"{"status":"UP"}"#, None),
            (true, 200, "[true]", None),
            (true, 200, "true", None),
            (true, 200, "ok", None),
            (true, 200, "", None),
        ] {
            assert_eq!(judge(ready, status, answer), judged, "{ready} {status} {answer}");
        }
    }

    #[test]
    fn what_a_daemon_says_of_its_writing_is_a_finding() {
        let address = "127.0.0.1:8600".parse().unwrap();
        let found = |answer: &str| not_written(address, answer);
        let other = r#"{"code":"stalled","message":"deposits: not complete"}"#;
        let full = r#"{"code":"not_written","message":"Writing has been failing for 9 s","hint":"make room"}"#;
        assert!(found("ok").is_none() && found(r#"{"ready":true}"#).is_none());
        assert!(found(&format!(r#"{{"ready":false,"findings":[{other}]}}"#)).is_none());
        let finding = found(&format!(r#"{{"ready":false,"findings":[{other},{full}]}}"#)).unwrap();
        assert_eq!(finding.message, "The daemon on 127.0.0.1:8600 says: Writing has been failing for 9 s");
        assert_eq!((finding.hint.as_deref(), finding.severity), (Some("make room"), Severity::Stopped));
    }
}

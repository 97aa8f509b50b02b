//! The endpoints: whether each could be called, and with `--send-test` whether it takes a signed callback.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use ipnet::IpNet;
use tokio::net::{TcpStream, lookup_host};
use url::Url;

use super::finding::{Finding, Report};
use crate::callback::{Egress, Endpoint, Problem};
use crate::chain::Chain;
use crate::cli::context::Context;
use crate::cli::trial::{ALLOW, REACH, Trial};
use crate::config::Config;

/// Longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where no callback may go.
#[derive(Debug, thiserror::Error)]
#[error("{0} is in a network that `callbacks.egress.deny` lists")]
struct Denied(IpAddr);

pub(super) async fn check(report: &mut Report<'_>, context: &Context, config: &Config, send_test: bool) {
    let callbacks = &config.callbacks;
    if callbacks.endpoints.is_empty() {
        report.add(
            Finding::warn("endpoints", "none is configured: changes are stored, nobody is told")
                .hint("add one under `callbacks.endpoints`"),
        );
    }
    for (name, endpoint) in &callbacks.endpoints {
        let subject = format!("endpoint {name}");
        match Endpoint::compile(name, endpoint, &callbacks.defaults) {
            Err(error) => {
                let (secrets, others): (Vec<_>, Vec<_>) =
                    error.problems().iter().partition(|problem| matches!(problem, Problem::Secret(_)));
                for problem in others {
                    report.add(Finding::fail(subject.as_str(), Chain(problem)));
                }
                // Which, and why, is told with the other secrets.
                if !secrets.is_empty() {
                    report.add(Finding::fail(subject, "not tried, as a secret is not at hand"));
                }
            }
            Ok(endpoint) if send_test => {
                let finding = match Trial::make(context, &callbacks.egress, &endpoint).await {
                    Ok(trial) => answered(subject, &endpoint, &trial),
                    Err(error) => Finding::fail(subject, Chain(error.as_ref())),
                };
                report.add(finding);
            }
            Ok(compiled) => {
                report.add(match reach(&callbacks.egress, &endpoint.url).await {
                    Ok(words) => Finding::ok(subject, format_args!("{} {words}", compiled.origin())),
                    Err(error) => {
                        let hint = if error.is::<Denied>() { ALLOW } else { REACH };
                        Finding::fail(subject, format_args!("{}: {}", compiled.origin(), Chain(error.as_ref())))
                            .hint(hint)
                    }
                });
            }
        }
    }
}

/// Opens a connection to where the callbacks would go.
async fn reach(egress: &Egress, url: &str) -> anyhow::Result<String> {
    let target = egress.proxy.as_deref().unwrap_or(url);
    // Neither is quoted in an error: both may carry a password.
    let target = Url::parse(target).ok().context("the address cannot be read")?;
    let (Some(host), Some(port)) = (target.host_str(), target.port_or_known_default()) else {
        bail!("the address has no host");
    };
    let host = host.trim_matches(['[', ']']);
    let started = Instant::now();
    let connected = tokio::time::timeout(PATIENCE, connect(host, port, denied(egress))).await;
    connected.with_context(|| format!("no connection to port {port} within {} s", PATIENCE.as_secs()))??;
    let way =
        if egress.proxy.is_some() { "through the proxy, which accepts connections" } else { "accepts connections" };
    Ok(format!("{way}, {} ms", started.elapsed().as_millis()))
}

async fn connect(host: &str, port: u16, denied: &[IpNet]) -> anyhow::Result<()> {
    let found: Vec<SocketAddr> = lookup_host((host, port)).await.context("the name does not resolve")?.collect();
    let is_denied = |address: &SocketAddr| {
        let (plain, canonical) = (address.ip(), address.ip().to_canonical());
        denied.iter().any(|network| network.contains(&plain) || network.contains(&canonical))
    };
    let Some(denied) = found.first().copied() else { bail!("the name does not resolve") };
    let admitted: Vec<_> = found.into_iter().filter(|address| !is_denied(address)).collect();
    if admitted.is_empty() {
        return Err(Denied(denied.ip()).into());
    }
    TcpStream::connect(admitted.as_slice()).await.with_context(|| format!("no connection to port {port}"))?;
    Ok(())
}

/// The proxy is the operator's choice; only what is called directly is denied.
fn denied(egress: &Egress) -> &[IpNet] {
    if egress.proxy.is_some() { &[] } else { &egress.deny }
}

fn answered(subject: String, endpoint: &Endpoint, trial: &Trial) -> Finding {
    let (origin, took) = (endpoint.origin(), trial.attempt.duration.as_millis());
    let Some(hint) = trial.hint() else {
        let status = trial.status().unwrap_or_default();
        return Finding::ok(subject, format_args!("{origin} took the test, answer {status}, {took} ms"));
    };
    let answer = trial.answer().map(|answer| format!(" ({answer})")).unwrap_or_default();
    Finding::fail(subject, format_args!("{origin}: {}{answer}, {took} ms", trial.problem())).hint(hint)
}

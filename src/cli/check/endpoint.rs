//! The endpoints: whether each could be called, and with `--send-test` whether it takes a signed callback.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::{TcpStream, lookup_host};
use url::Url;

use super::finding::{Finding, Report};
use crate::callback::{Egress, Endpoint, Misfit, PROXY, Problem, Proxy, Sender};
use crate::chain::Chain;
use crate::cli::callback::NEW_SECRET;
use crate::cli::context::Context;
use crate::cli::time::ago;
use crate::cli::trial::{record, try_out};
use crate::config::Config;
use crate::deliver::trial::{ALLOW, REACH, Trial};
use crate::model::draft::rfc3339;
use crate::model::event::EventType;
use crate::model::sink::Sink;
use crate::store::{self, Need, Store};
use crate::view;
use crate::view::finding::of_endpoints;

/// Longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long before its end the last signing secret is worth a word.
const ENDS_SOON: TimeDelta = TimeDelta::days(7);

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
    let not_called = not_called(config, context.clock().now()).await;
    for (name, endpoint) in &callbacks.endpoints {
        let subject = format!("endpoint {name}");
        for trouble in not_called.iter().filter(|trouble| trouble.about.as_deref() == Some(name.as_str())) {
            report.add(Finding::warn(subject.as_str(), &trouble.message).maybe_hint(trouble.hint.clone()));
        }
        match Endpoint::compile(name, endpoint, &callbacks.defaults) {
            Err(error) => {
                let (secrets, others): (Vec<_>, Vec<_>) =
                    error.problems().iter().partition(|problem| matches!(problem, Problem::Secret(_)));
                let signing = format!("callbacks.endpoints.{name}.secrets[");
                for problem in others {
                    let is_signing = matches!(problem, Problem::Invalid { key, .. } if key.starts_with(&signing));
                    let hint = is_signing.then_some(NEW_SECRET);
                    report.add(Finding::fail(subject.as_str(), Chain(problem)).maybe_hint(hint));
                }
                // Which, and why, is told with the other secrets.
                if !secrets.is_empty() {
                    report.add(Finding::fail(subject, "not tried, as a secret is not at hand"));
                }
            }
            Ok(compiled) => {
                standing(&subject, &compiled, context.clock().now())
                    .into_iter()
                    .for_each(|finding| report.add(finding));
                if send_test {
                    let findings = tested(subject, context, config, &compiled, &endpoint.url).await;
                    findings.into_iter().for_each(|finding| report.add(finding));
                    continue;
                }
                report.add(if let Some(sink) = compiled.sink() {
                    prepared(subject, config, sink).await
                } else if let Err(error) = Sender::new(&callbacks.egress, [&compiled]) {
                    Finding::fail(subject, Chain(&error))
                } else {
                    reached(subject, &callbacks.egress, &compiled, &endpoint.url).await
                });
            }
        }
    }
}

/// The endpoints that the daemon does not call as usual, by the tables. That these cannot be read is said of the database.
async fn not_called(config: &Config, now: DateTime<Utc>) -> Vec<view::Finding> {
    let Ok(store) = Store::open_for(Need::Little, &config.database, Vec::new()).await else { return Vec::new() };
    let known = view::Endpoint::load(&store, &config.callbacks.endpoints).await;
    store.close().await;
    let mut troubles = of_endpoints(&known.unwrap_or_default(), now);
    troubles.retain(|trouble| matches!(trouble.code, "endpoint_suspended" | "endpoint_failing" | "endpoint_paused"));
    troubles
}

/// Whether a connection to it can be opened.
async fn reached(subject: String, egress: &Egress, endpoint: &Endpoint, url: &str) -> Finding {
    let origin = endpoint.origin();
    match reach(egress, url).await {
        Ok(words) => Finding::ok(subject, format_args!("{origin} {words}")),
        Err(error) => {
            let hint = if error.is::<Denied>() { ALLOW } else { REACH };
            Finding::fail(subject, format_args!("{origin}: {}", Chain(error.as_ref()))).hint(hint)
        }
    }
}

/// What can be told of an endpoint without calling it.
fn standing(subject: &str, endpoint: &Endpoint, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = endpoint.check_signing(now) {
        findings.extend(error.problems().iter().map(|problem| Finding::fail(subject, Chain(problem))));
    } else if let Some(end) = endpoint.signs_until().filter(|end| *end - now <= ENDS_SOON) {
        let text = format!("its last signing secret ends at {} ({})", rfc3339(end), ago(end, now));
        let hint = format!("add the next one to `callbacks.endpoints.{}.secrets`", endpoint.name());
        findings.push(Finding::warn(subject, text).hint(hint));
    }
    for Misfit { problem, hint, events } in endpoint.rehearse() {
        let events = events.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(", ");
        findings.push(Finding::fail(subject, format_args!("{problem}, with a sample of {events}")).maybe_hint(hint));
    }
    findings
}

/// Sends a test, and records that it was sent.
async fn tested(subject: String, context: &Context, config: &Config, endpoint: &Endpoint, url: &str) -> Vec<Finding> {
    let trial = match try_out(context, config, endpoint, endpoint.test_kind(), &[]).await {
        Ok(trial) => trial,
        Err(error) => return vec![Finding::fail(subject, Chain(error.as_ref()))],
    };
    if trial.is_unsuited() {
        let untested = Finding::warn(subject.as_str(), format_args!("no test was sent: {}", trial.problem()));
        let untested = untested.maybe_hint(trial.hint());
        return vec![reached(subject, &config.callbacks.egress, endpoint, url).await, untested];
    }
    let unrecorded = match record(context, config, endpoint.name()).await {
        // That there are no tables yet is said of the database.
        Ok(_) | Err(store::Error::NoFile { .. } | store::Error::NotMigrated) => None,
        Err(error) => {
            Some(Finding::warn(subject.as_str(), format_args!("the test is not recorded: {}", Chain(&error))))
        }
    };
    [answered(subject, endpoint, &trial)].into_iter().chain(unrecorded).collect()
}

/// Lets the database prepare a sink's statement.
async fn prepared(subject: String, config: &Config, sink: &Sink) -> Finding {
    let store = match Store::open_for(Need::Little, &config.database, Vec::new()).await {
        Ok(store) => store,
        Err(error) => {
            return Finding::fail(subject, format_args!("its statement was not prepared: {}", Chain(&error)))
                .hint("see what is said of the database");
        }
    };
    let prepared = store.prepare_sink(sink).await;
    store.close().await;
    match prepared {
        Ok(()) => Finding::ok(subject, "its statement can be prepared; `--send-test` runs it and rolls it back"),
        Err(failure) => {
            Finding::fail(subject, failure.text).hint("compare the statement with the tables and procedures")
        }
    }
}

/// Opens a connection to where the callbacks would go.
async fn reach(egress: &Egress, url: &str) -> anyhow::Result<String> {
    let proxy = egress.proxy.as_ref().map(Proxy::of).transpose().map_err(|problem| anyhow!("{PROXY} {problem}"))?;
    // It is not quoted in an error: it may carry a password.
    let url = Url::parse(url).ok().context("the address cannot be read")?;
    let target = match &proxy {
        Some(proxy) => proxy.host_and_port(),
        None => url.host_str().zip(url.port_or_known_default()),
    };
    let (host, port) = target.context("the address has no host")?;
    let host = host.trim_matches(['[', ']']);
    let started = Instant::now();
    let connected = tokio::time::timeout(PATIENCE, connect(host, port, egress)).await;
    connected.with_context(|| format!("no connection to port {port} within {} s", PATIENCE.as_secs()))??;
    let way = match proxy {
        Some(proxy) => format!("through the proxy {}, which accepts connections", proxy.origin()),
        None => "accepts connections".to_owned(),
    };
    Ok(format!("{way}, {} ms", started.elapsed().as_millis()))
}

async fn connect(host: &str, port: u16, egress: &Egress) -> anyhow::Result<()> {
    let found: Vec<SocketAddr> = lookup_host((host, port)).await.context("the name does not resolve")?.collect();
    let Some(first) = found.first().copied() else { bail!("the name does not resolve") };
    // The proxy is the operator's choice; only what is called directly is denied.
    let admits = |address: &SocketAddr| egress.proxy.is_some() || !egress.denies(address.ip());
    let admitted: Vec<_> = found.into_iter().filter(admits).collect();
    if admitted.is_empty() {
        return Err(Denied(first.ip()).into());
    }
    TcpStream::connect(admitted.as_slice()).await.with_context(|| format!("no connection to port {port}"))?;
    Ok(())
}

fn answered(subject: String, endpoint: &Endpoint, trial: &Trial) -> Finding {
    let (origin, took) = (endpoint.origin(), trial.attempt.duration.as_millis());
    let Some(hint) = trial.hint() else {
        let test = match trial.kind {
            EventType::BridgeTest => "the test".to_owned(),
            kind => format!("the test, a sample of {kind}"),
        };
        let Some(status) = trial.status() else {
            return Finding::ok(subject, format_args!("{origin} took {test}, {took} ms, and was rolled back"));
        };
        return Finding::ok(subject, format_args!("{origin} took {test}, answer {status}, {took} ms"));
    };
    let answer = trial.answer().map(|answer| format!(" ({answer})")).unwrap_or_default();
    Finding::fail(subject, format_args!("{origin}: {}{answer}, {took} ms", trial.problem())).hint(hint)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::check::finding::Level;

    fn found(more: &Value) -> Vec<(Level, String)> {
        let mut endpoint = json!({ "url": "https://x/{{ data.object.id }}", "events": ["deposit.created"] });
        endpoint.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let defaults = json!({
            "timeout": "5s", "concurrency": 8, "rate": null, "ordering": { "by": "user", "max_hold": "15m" },
            "retry": { "schedule": ["5s"], "jitter": 0.1, "retry_after_cap": "12h" },
        });
        let (endpoint, defaults) =
            (serde_json::from_value(endpoint).unwrap(), serde_json::from_value(defaults).unwrap());
        let endpoint = Endpoint::compile("shop", &endpoint, &defaults).unwrap();
        let findings = standing("endpoint shop", &endpoint, "2026-05-04T10:00:00Z".parse().unwrap());
        findings.iter().map(|finding| (finding.level(), finding.message().to_owned())).collect()
    }

    fn until(ends: &[Option<&str>]) -> Value {
        let keys = ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="];
        let secret = |(key, end): (&str, &Option<&str>)| json!({ "value": format!("whsec_{key}"), "not_after": end });
        json!({ "secrets": keys.into_iter().zip(ends).map(secret).collect::<Vec<_>>() })
    }

    #[test]
    fn the_end_of_the_last_secret_is_told_a_week_before() {
        let near = Some("2026-05-11T10:00:00Z");
        let text = "its last signing secret ends at 2026-05-11T10:00:00Z (in 7 d)";
        assert_eq!(found(&until(&[near])), [(Level::Warn, text.to_owned())]);
        assert_eq!(found(&until(&[Some("2026-05-01T00:00:00Z"), near])), [(Level::Warn, text.to_owned())]);
        for fine in [&[Some("2026-05-11T10:00:01Z")][..], &[near, None], &[None]] {
            assert_eq!(found(&until(fine)), []);
        }
        let [(level, text)] = found(&until(&[Some("2026-05-04T10:00:00Z")])).try_into().unwrap();
        assert_eq!(level, Level::Fail);
        assert!(text.starts_with("callbacks.endpoints.shop.secrets: every signing secret has ended"), "{text}");
    }

    #[test]
    fn a_template_that_fits_no_event_is_told_with_its_key() {
        let mut more = until(&[None]);
        more["body"] = "{{ data.object.payer }}".into();
        let text = "`body`: the template failed in line 1: undefined value, with a sample of deposit.created";
        assert_eq!(found(&more), [(Level::Fail, text.to_owned())]);
    }
}

//! `/readyz`: whether the tables can be relied on. The database answers, has the tables of this program and takes writes, the
//! first import is done, every listing is fresh, and the key is accepted and the right one. It is judged by the tables, so every process
//! answers alike, but for what only it knows of its own writing.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::{Admin, Problem};
use crate::chain::Chain;
use crate::model::Listing;
use crate::store;
use crate::view::finding::Severity;
use crate::view::{Account, Finding, finding};

/// Longest wait for the tables. Probes and scrapers give up after some seconds.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);
/// What is wrong when they take longer, …
const SILENT: &str = "the database does not answer";
/// … and what to do about it.
const SILENT_HINT: &str = "check that the database of `database.url` runs and can be reached from here";

#[derive(Serialize)]
pub(super) struct Readiness {
    ready: bool,
    /// The worst of what is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// All that is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
}

pub(super) async fn ready(State(admin): State<Admin>) -> (StatusCode, Json<Readiness>) {
    let findings = blocking(&admin).await.unwrap_or_else(|unknown| vec![unknown]);
    let problem = findings.first().map(|finding| finding.message.clone());
    let status = if findings.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: findings.is_empty(), problem, findings }))
}

/// The answer of a process that is not ready.
pub(super) fn not_ready(problem: String) -> (StatusCode, Json<Readiness>) {
    (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { ready: false, problem: Some(problem), findings: Vec::new() }))
}

/// What keeps the process from being ready, the worst first.
///
/// # Errors
/// Why the tables do not say.
pub(super) async fn blocking(admin: &Admin) -> Result<Vec<Finding>, Finding> {
    match tokio::time::timeout(DATABASE_TIMEOUT, by_the_tables(admin)).await {
        Ok(Ok(findings)) => Ok(findings),
        Ok(Err(error)) => Err(unknown(Chain(&error).to_string(), error.hint())),
        Err(_) => Err(unknown(SILENT.to_owned(), Some(SILENT_HINT))),
    }
}

/// Checks that the database answers, so that a request need not wait until a connection is given up. Only this is limited in
/// time: a count over large tables may take longer.
///
/// # Errors
/// If it fails, or does not answer within [`DATABASE_TIMEOUT`].
pub(super) async fn database_answers(admin: &Admin) -> Result<(), Problem> {
    match tokio::time::timeout(DATABASE_TIMEOUT, admin.store.ping()).await {
        Ok(answered) => answered.map_err(Problem::from),
        Err(_) => Err(Problem::database_silent(SILENT, SILENT_HINT)),
    }
}

fn unknown(message: String, hint: Option<&str>) -> Finding {
    let finding = Finding::new(Severity::Stopped, "database", message).blocking();
    Finding { hint: hint.map(str::to_owned), ..finding }
}

async fn by_the_tables(admin: &Admin) -> Result<Vec<Finding>, store::Error> {
    admin.store.ping().await?;
    let mut listings = Vec::new();
    for listing in Listing::ALL {
        listings.push(admin.store.progress(listing).await?);
    }
    let account = admin.store.account().await?.map(Account::from);
    let writing = admin.store.write_trouble().as_ref().map(finding::of_writing);
    let mut findings = finding::of_listings(&listings, admin.overdue_after, admin.clock.now());
    findings.retain(|finding| finding.blocks_ready);
    findings.extend(account.as_ref().and_then(finding::of_account));
    findings.extend(writing);
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

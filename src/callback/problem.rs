//! Collects every problem in the configuration of callbacks, each with its key.
//!
//! The texts say what to write instead. They never quote a value that could be a secret or carry one.

use std::fmt::Display;

use crate::chain::Chain;
use crate::roots;
use crate::setting::SettingError;

/// Everything that keeps an endpoint, or the way out, from being used.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One of them.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{key}: {problem}")]
    Invalid { key: String, problem: String },
    /// The error names the key itself.
    #[error(transparent)]
    Secret(SettingError),
    #[error("the HTTP client cannot be set up")]
    Client(#[source] roots::Error),
}

impl ConfigError {
    /// The problems; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(|problem| Chain(problem).to_string()).collect();
    lines.join("\n")
}

/// Problems found so far, under one key of the configuration.
pub(super) struct Problems {
    prefix: String,
    found: Vec<Problem>,
}

impl Problems {
    pub(super) fn under(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), found: Vec::new() }
    }

    /// The full name of a key.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    /// `key` is relative to the prefix.
    pub(super) fn add(&mut self, key: &str, problem: impl Display) {
        self.found.push(Problem::Invalid { key: self.key(key), problem: problem.to_string() });
    }

    /// For a key elsewhere in the configuration, named in full.
    pub(super) fn add_elsewhere(&mut self, key: String, problem: impl Display) {
        self.found.push(Problem::Invalid { key, problem: problem.to_string() });
    }

    /// Records an error, and returns no value.
    pub(super) fn take<T, E: Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(key, error)).ok()
    }

    /// The same for a secret, whose errors name their key.
    pub(super) fn take_secret<T>(&mut self, result: Result<T, SettingError>) -> Option<T> {
        result.map_err(|error| self.found.push(Problem::Secret(error))).ok()
    }

    /// The value, if no problem was found.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(ConfigError { problems: self.found }),
        }
    }
}

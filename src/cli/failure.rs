//! How a command fails: what is said, with which hint, and the exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use super::printer::Printer;
use crate::callback::ConfigError;
use crate::chain::Chain;
use crate::config::LoadError;
use crate::setting::SettingError;

/// A command that did not do its work.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    /// What was wrong, one line for each; nothing if it was said already.
    problems: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// The work failed: exit code 1.
    pub(super) fn work(error: anyhow::Error) -> Self {
        let hint = hint(&error);
        Self { code: 1, problems: vec![Chain(error.as_ref()).to_string()], hint }
    }

    /// As [`Failure::work`], with this hint if an address that is to be listened on is taken.
    pub(super) fn listening(error: anyhow::Error, hint: &str) -> Self {
        let is_in_use = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
        let is_taken = error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_in_use));
        let failure = Self::work(error);
        if is_taken { failure.with_hint(hint) } else { failure }
    }

    /// The work failed, and why has been said: exit code 1.
    pub(super) fn said() -> Self {
        Self { code: 1, problems: Vec::new(), hint: None }
    }

    /// It was asked wrongly, or the configuration is wrong: exit code 2.
    pub(super) fn usage(problem: impl Into<String>) -> Self {
        Self { code: 2, problems: vec![problem.into()], hint: None }
    }

    /// All that is wrong with the configuration: exit code 2.
    pub(super) fn configuration(problems: Vec<String>) -> Self {
        let problems = problems.iter().flat_map(|problem| problem.lines().map(str::to_owned)).collect();
        Self { code: 2, problems, hint: None }
    }

    /// There is no such thing: exit code 1.
    pub(super) fn absent(noun: &str, id: impl Display, hint: &str) -> Self {
        Self { code: 1, problems: vec![format!("no such {noun}: {id}")], hint: Some(hint.to_owned()) }
    }

    /// What was wrong, one line for each.
    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The same failure, after everything about it has been said.
    pub(super) fn told(self) -> Self {
        Self { problems: Vec::new(), hint: None, ..self }
    }

    /// Adds what to do about it.
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what is to be said and gives the exit code.
    pub(super) fn report(self, printer: &Printer) -> ExitCode {
        for problem in &self.problems {
            printer.error(problem);
        }
        if let Some(hint) = &self.hint {
            printer.hint(hint);
        }
        ExitCode::from(self.code)
    }
}

/// What to do about well-known errors.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<crate::wallets::Error>() {
            return error.hint(crate::wallets::Interface::CommandLine);
        }
        if let Some(crate::sync::Error::Refused(refusal)) = cause.downcast_ref() {
            return Some(refusal.hint());
        }
        if let Some(error) = cause.downcast_ref::<crate::lumo::Error>() {
            return error.hint().map(str::to_owned);
        }
        let error = cause.downcast_ref::<crate::store::Error>()?;
        let right = error.is_forbidden().then_some("`lumo-bridge check` says which right the database's user lacks");
        error.hint().or(right).map(str::to_owned)
    })
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::work(error)
    }
}

impl From<crate::store::Error> for Failure {
    fn from(error: crate::store::Error) -> Self {
        Self::work(error.into())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::configuration(vec![Chain(&error).to_string()])
    }
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Self {
        Self::usage(Chain(&error).to_string())
    }
}

impl From<Vec<ConfigError>> for Failure {
    fn from(errors: Vec<ConfigError>) -> Self {
        Self::configuration(errors.iter().map(|error| Chain(error).to_string()).collect())
    }
}

//! When something happens, as a crontab line in UTC.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::Malformed;

/// A schedule in UTC: six cron fields with seconds first, a five-field crontab line, or a word such as `@hourly`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct CronLine {
    #[schemars(skip)]
    line: String,
    #[schemars(skip)]
    schedule: Box<cron::Schedule>,
}

impl CronLine {
    /// The first due time after `now`, if there is one.
    #[must_use]
    pub fn after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.schedule.after(&now).next()
    }
}

impl FromStr for CronLine {
    type Err = Malformed;

    fn from_str(line: &str) -> Result<Self, Malformed> {
        let schedule = cron::Schedule::from_str(line).map_err(|_| Malformed::new("wrong"))?;
        Ok(Self { line: line.to_owned(), schedule: Box::new(schedule) })
    }
}

impl TryFrom<String> for CronLine {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl fmt::Display for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl From<CronLine> for String {
    fn from(line: CronLine) -> Self {
        line.line
    }
}

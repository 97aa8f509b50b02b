//! When something happens, as a crontab line in UTC.
//!
//! Two things mean what crontab says and not what the `cron` crate would make of them: days of the week count from
//! Sunday = 0 (the crate counts from 1; see [`weekday`]), and a line that restricts both the day of the month and the
//! day of the week is due when either matches.

mod weekday;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use cron::Schedule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::Malformed;

const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 0 1 1 *"),
    ("@annually", "0 0 0 1 1 *"),
    ("@monthly", "0 0 0 1 * *"),
    ("@weekly", "0 0 0 * * 0"),
    ("@daily", "0 0 0 * * *"),
    ("@midnight", "0 0 0 * * *"),
    ("@hourly", "0 0 * * * *"),
];

/// A schedule in UTC: six cron fields with seconds first, a five-field crontab line, or a word such as `@hourly`.
///
/// Days of the week are names or numbers as in crontab (0 and 7 are Sunday). A line that restricts the day of the month
/// and the day of the week is due on either.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct CronLine {
    line: String,
    /// Due when any of them is; two for a line that restricts both kinds of day.
    any_of: Vec<Schedule>,
}

impl CronLine {
    /// The first due time after `now`; none once the parser's calendar ends, in the year 2100.
    #[must_use]
    pub fn after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.any_of.iter().filter_map(|schedule| schedule.after(&now).next()).min()
    }

    /// The due times after `now`, one after the other.
    pub fn due_after(&self, now: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        std::iter::successors(self.after(now), |due| self.after(*due))
    }
}

impl PartialEq for CronLine {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line
    }
}

impl Eq for CronLine {}

impl FromStr for CronLine {
    type Err = Malformed;

    fn from_str(line: &str) -> Result<Self, Malformed> {
        let fields = Fields::from_str(line).map_err(|problem| Malformed::new(format!("`{line}` {problem}")))?;
        let any_of = fields
            .schedules()
            .map_err(|_| Malformed::new(format!("`{line}` is not a crontab line; see `man 5 crontab`")))?;
        let parsed = Self { line: line.to_owned(), any_of };
        match parsed.after(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(parsed),
            None => Err(Malformed::new(format!("`{line}` is never due; name a date that exists"))),
        }
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

/// The six fields, each of them good for the `cron` crate.
struct Fields {
    second: String,
    minute: String,
    hour: String,
    day: String,
    month: String,
    weekday: String,
}

impl Fields {
    fn schedules(&self) -> Result<Vec<Schedule>, cron::error::Error> {
        let restricted = |field: &str| !field.starts_with(['*', '?']);
        let days = if restricted(&self.day) && restricted(&self.weekday) {
            vec![(self.day.as_str(), "*"), ("*", self.weekday.as_str())]
        } else {
            vec![(self.day.as_str(), self.weekday.as_str())]
        };
        let Self { second, minute, hour, month, .. } = self;
        days.into_iter()
            .map(|(day, weekday)| format!("{second} {minute} {hour} {day} {month} {weekday}").parse())
            .collect()
    }
}

impl FromStr for Fields {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let line = match WORDS.iter().find(|(word, _)| *word == line) {
            Some((_, meaning)) => meaning,
            None if line.starts_with('@') => {
                let words = WORDS.map(|(word, _)| format!("`{word}`")).join(", ");
                return Err(format!("is no such word; write one of {words}"));
            }
            None => line,
        };
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (second, [minute, hour, day, month, weekday]) = match fields.as_slice() {
            [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
            [second, minute, hour, day, month, weekday] => (*second, [minute, hour, day, month, weekday]),
            _ => return Err(format!("has {} fields; write five, or six with seconds first", fields.len())),
        };
        // A field is tried among stars, to be able to say which one is wrong.
        let tried = |name: &str, field: &str, stars: [&str; 2]| {
            let [before, after] = stars;
            match Schedule::from_str(&format!("{before}{field}{after}")) {
                Ok(_) => Ok(field.to_owned()),
                Err(_) => Err(format!("has no {name} in `{field}`; see `man 5 crontab`")),
            }
        };
        Ok(Self {
            second: tried("second", second, ["", " * * * * *"])?,
            minute: tried("minute", minute, ["* ", " * * * *"])?,
            hour: tried("hour", hour, ["* * ", " * * *"])?,
            day: tried("day of the month", day, ["* * * ", " * *"])?,
            month: tried("month", month, ["* * * * ", " *"])?,
            weekday: weekday::for_the_crate(weekday)?,
        })
    }
}

#[cfg(test)]
mod tests;

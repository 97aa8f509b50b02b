//! Days of the week, from crontab's numbering to that of the `cron` crate.
//!
//! crontab knows 0 and 7 for Sunday, names, lists, ranges and steps; a range may run over the end of the week
//! (`fri-mon`, `6-0`, `5-7`). The crate counts Sunday as 1 and knows no wrap-around, so it is handed the days one by one.

use std::collections::BTreeSet;

const NAMES: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const DAYS: u32 = 7;

/// The field as the crate understands it, or what is wrong with it.
pub(super) fn for_the_crate(field: &str) -> Result<String, String> {
    let mut days = BTreeSet::new();
    for item in field.split(',') {
        let listed = listed(item)
            .ok_or_else(|| format!("has no day of the week in `{item}`; write 0 to 7 (0 and 7 are Sunday) or names"))?;
        days.extend(listed);
    }
    if u32::try_from(days.len()) == Ok(DAYS) {
        return Ok("*".to_owned());
    }
    Ok(days.into_iter().map(|day| (day + 1).to_string()).collect::<Vec<_>>().join(","))
}

/// The days of one item, Sunday being 0.
fn listed(item: &str) -> Option<impl Iterator<Item = u32>> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
        None => (item, None),
    };
    let (first, last) = match range.split_once('-') {
        _ if matches!(range, "*" | "?") => (0, DAYS - 1),
        Some((first, last)) => (day(first)?, day(last)?),
        // `2/3` begins on Tuesday and goes on to the end of the week.
        None => (day(range)?, if step.is_some() { DAYS - 1 } else { day(range)? }),
    };
    let last = if last < first { last + DAYS } else { last };
    Some((first..=last).step_by(usize::try_from(step.unwrap_or(1)).ok()?).map(|day| day % DAYS))
}

/// One day: a number up to 7, or a name of which at least three letters are written.
fn day(text: &str) -> Option<u32> {
    if let Ok(number) = text.parse::<u32>() {
        return (number <= DAYS).then_some(number);
    }
    let text = text.to_ascii_lowercase();
    let at = NAMES.iter().position(|name| text.len() >= 3 && name.starts_with(&text))?;
    u32::try_from(at).ok()
}

//! `docs/metrics.md`: every series that a daemon tells, as a scrape has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const OPENING: &str = "\
<!-- Made from the code: LUMO_TEST_WRITE=1 cargo test --test it -- generated -->

# Metrics

What `GET /metrics` on `server.listen` tells. [Operations](operations.md#metrics-and-what-to-be-woken-by) says what to be woken by, and
how Prometheus is told to ask.

`lumo_bridge_account_accepted` and the gauges with a label `endpoint` or `listing` are read off the tables, so all processes tell the
same. Everything else is about the process that answers, and what it counts begins at 0 when it starts.

| label | is |
|---|---|
| `endpoint` | the endpoint's name in the configuration |
| `lane` | what a request is for: `fresh` for new rows and for what somebody waits for, `hot` for rows that have probably changed, `sweep` for the reading of whole lists in the background |
| `listing` | `wallets`, `blocked` or `deposits` |
| `name` | what a transaction is for; the names are the bridge's own and may change |
| `version` | of the program |

A histogram has series that end in `_bucket`, `_sum` and `_count`.

| name | type | labels | is |
|---|---|---|---|
";

/// Labels that the opening explains; of the others the values are shown.
const EXPLAINED: [&str; 5] = ["endpoint", "lane", "listing", "name", "version"];

/// The series of one name.
#[derive(Default)]
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    labels: BTreeMap<&'a str, BTreeSet<&'a str>>,
    is_told: bool,
}

/// What a scrape has, in its order.
fn families(scrape: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in scrape.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.push(Family { name, help: help.trim_end_matches('.'), ..Family::default() });
            continue;
        }
        let family = families.last_mut().unwrap();
        if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            family.kind = kind;
            continue;
        }
        family.is_told = true;
        let labels = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once("\"} "));
        let pairs = labels.into_iter().flat_map(|(labels, _)| labels.split("\","));
        for (label, value) in pairs.filter_map(|pair| pair.split_once("=\"")) {
            family.labels.entry(label).or_default().insert(value);
        }
        // The buckets of a histogram.
        family.labels.remove("le");
    }
    families
}

/// Whether there is a series of each name.
pub(super) fn is_whole(scrape: &str) -> bool {
    let families = families(scrape);
    !families.is_empty() && families.iter().all(|family| family.is_told)
}

pub(super) fn document(scrape: &str) -> String {
    let mut text = OPENING.to_owned();
    for Family { name, kind, help, labels, .. } in families(scrape) {
        let labels = labels.iter().map(|(label, values)| {
            let values = values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
            if EXPLAINED.contains(label) { format!("`{label}`") } else { format!("`{label}`: {values}") }
        });
        let labels = labels.collect::<Vec<_>>().join("; ");
        writeln!(text, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    text
}

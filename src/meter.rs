//! Counters and histograms that a part of the program keeps of itself, and the text in which Prometheus reads them.
//!
//! A meter is a plain value that its owner holds and counts on; whoever answers a scrape asks the owners. There is no
//! registry and nothing global, so what a test counts is its own.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often something happened, by `N` labels whose values are few.
#[derive(Debug)]
pub struct Counter<const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    values: Mutex<BTreeMap<[String; N], u64>>,
}

/// How long something took, by `N` labels whose values are few.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    /// Upper ends of the buckets, in seconds.
    bounds: &'static [f64],
    values: Mutex<BTreeMap<[String; N], Times>>,
}

#[derive(Clone, Debug)]
struct Times {
    /// How many fell into each bucket; the last one has no end.
    buckets: Vec<u64>,
    sum: Duration,
}

impl<const N: usize> Counter<N> {
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self { name, help, labels, values: Mutex::new(BTreeMap::new()) }
    }

    pub fn add(&self, labels: [&str; N], count: u64) {
        let mut values = lock(&self.values);
        let value = values.entry(labels.map(str::to_owned)).or_default();
        *value = value.saturating_add(count);
    }

    pub fn write(&self, text: &mut Exposition) {
        text.family(self.name, "counter", self.help);
        for (values, count) in &*lock(&self.values) {
            text.sample(self.name, self.labels.iter().copied().zip(values.iter().map(String::as_str)), count);
        }
    }
}

impl<const N: usize> Histogram<N> {
    #[must_use]
    pub const fn new(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        bounds: &'static [f64],
    ) -> Self {
        Self { name, help, labels, bounds, values: Mutex::new(BTreeMap::new()) }
    }

    pub fn observe(&self, labels: [&str; N], time: Duration) {
        let bucket = self.bounds.partition_point(|bound| *bound < time.as_secs_f64());
        let mut values = lock(&self.values);
        let new = || Times { buckets: vec![0; self.bounds.len() + 1], sum: Duration::ZERO };
        let times = values.entry(labels.map(str::to_owned)).or_insert_with(new);
        if let Some(count) = times.buckets.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
        times.sum = times.sum.saturating_add(time);
    }

    pub fn write(&self, text: &mut Exposition) {
        text.family(self.name, "histogram", self.help);
        let (bucket, sum, count) =
            (format!("{}_bucket", self.name), format!("{}_sum", self.name), format!("{}_count", self.name));
        for (values, times) in &*lock(&self.values) {
            let labels = || self.labels.iter().copied().zip(values.iter().map(String::as_str));
            let mut total = 0_u64;
            let ends = self.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
            for (end, in_bucket) in ends.zip(&times.buckets) {
                total = total.saturating_add(*in_bucket);
                text.sample(&bucket, labels().chain([("le", end.as_str())]), total);
            }
            text.sample(&sum, labels(), times.sum.as_secs_f64());
            text.sample(&count, labels(), total);
        }
    }
}

/// What a scrape is answered with, in the text format of Prometheus, version 0.0.4.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Begins the samples of a name.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
    }

    pub fn sample<'a>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: impl Display,
    ) {
        self.0.push_str(name);
        let mut before = '{';
        for (label, text) in labels {
            write!(self.0, "{before}{label}=\"").ok();
            self.escaped(text);
            self.0.push('"');
            before = ',';
        }
        if before == ',' {
            self.0.push('}');
        }
        writeln!(self.0, " {value}").ok();
    }

    /// A name with one sample.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, [], value);
    }

    fn escaped(&mut self, text: &str) {
        for char in text.chars() {
            match char {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                char => self.0.push(char),
            }
        }
    }

    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

/// A lock held for a line; a panic elsewhere says nothing about the counts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_by_their_labels() {
        let counter = Counter::new("seen_total", "What was seen.", ["who", "what"]);
        counter.add(["b", "x\"\\\n"], 1);
        counter.add(["a", ""], 2);
        counter.add(["a", ""], 3);
        let mut text = Exposition::default();
        counter.write(&mut text);
        assert_eq!(
            text.into_text(),
            "# HELP seen_total What was seen.\n# TYPE seen_total counter\n\
             seen_total{who=\"a\",what=\"\"} 5\nseen_total{who=\"b\",what=\"x\\\"\\\\\\n\"} 1\n"
        );
    }

    #[test]
    fn a_bucket_holds_what_took_no_longer_and_all_before_it() {
        let histogram = Histogram::new("took_seconds", "How long.", [], &[0.1, 0.5]);
        for milliseconds in [100, 101, 500, 501, 9_000] {
            histogram.observe([], Duration::from_millis(milliseconds));
        }
        let mut text = Exposition::default();
        histogram.write(&mut text);
        let text = text.into_text();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"took_seconds_bucket{le="0.1"} 1"#,
                r#"took_seconds_bucket{le="0.5"} 3"#,
                r#"took_seconds_bucket{le="+Inf"} 5"#,
                "took_seconds_sum 10.202",
                "took_seconds_count 5",
            ]
        );
    }
}

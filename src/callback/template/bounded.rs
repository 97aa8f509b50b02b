//! Bounds the output of filters: each output is measured before it is made, within one budget per rendering.
//!
//! A rendering stays on its thread, so the budget is a thread-local.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io;
use std::time::{Duration, Instant};

use minijinja::value::{Kwargs, Rest, StringInput};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, Value, escape_formatter, filters, functions,
};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;

/// The most bytes that one rendering may make, including intermediate values.
const MAX_MADE: usize = 4 * 1024 * 1024;
/// Much longer than any reasonable template takes.
const MAX_TIME: Duration = Duration::from_secs(5);
const MAX_INDENT: usize = 100;
const MAX_RANGE: usize = 10_000;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(MAX_MADE) };
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
    static IS_OVER: Cell<bool> = const { Cell::new(false) };
}

/// Begins a rendering on this thread.
pub(super) fn begin() {
    LEFT.set(MAX_MADE);
    IS_OVER.set(false);
    UNTIL.set(Instant::now().checked_add(MAX_TIME));
}

/// Whether the rendering on this thread has exceeded its budget.
pub(super) fn is_over() -> bool {
    IS_OVER.get()
}

/// Takes the bytes that are about to be made from the budget.
pub(super) fn charge(bytes: usize) -> Result<(), Error> {
    let Some(left) = LEFT.get().checked_sub(bytes) else {
        return Err(excess(format!("more than {MAX_MADE} bytes would be made on the way")));
    };
    LEFT.set(left);
    if UNTIL.get().is_some_and(|until| Instant::now() > until) {
        return Err(excess(format!("it takes longer than {} s", MAX_TIME.as_secs())));
    }
    Ok(())
}

/// The error for an exceeded budget.
fn excess(problem: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    IS_OVER.set(true);
    invalid(problem)
}

fn invalid(problem: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, problem)
}

/// Replaces the engine's filters by bounded ones, and removes those that cannot be bounded.
pub(super) fn install(environment: &mut Environment<'_>) {
    for name in ["batch", "slice", "pprint"] {
        environment.remove_filter(name);
    }
    for name in ["namespace", "debug"] {
        environment.remove_global(name);
    }
    environment.set_formatter(write);
    environment.add_filter("replace", replace);
    environment.add_filter("join", join);
    environment.add_filter("indent", indent);
    environment.add_filter("format", format);
    environment.add_filter("tojson", tojson);
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_function("range", range);
}

/// Writes a value in the template's form.
fn write(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    charge(length(state, value)?)?;
    escape_formatter(out, state, value)
}

/// The length of a value when it is written.
fn length(state: &State<'_, '_>, value: &Value) -> Result<usize, Error> {
    if value.is_safe() || !matches!(state.auto_escape(), AutoEscape::Json) {
        text_length(value)
    } else {
        json_length(value, None)
    }
}

pub(super) fn text_length(value: &Value) -> Result<usize, Error> {
    let mut counter = Counter::default();
    write!(counter, "{value}").map_err(|_| counter.error())?;
    Ok(counter.counted)
}

fn json_length(value: &Value, indent: Option<usize>) -> Result<usize, Error> {
    let mut counter = Counter::default();
    let written = match indent {
        None => serde_json::to_writer(&mut counter, value),
        Some(indent) => {
            let indent = " ".repeat(indent);
            let formatter = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut counter, formatter))
        }
    };
    written.map_err(|error| {
        if counter.is_over() { counter.error() } else { invalid("cannot serialize to JSON").with_source(error) }
    })?;
    Ok(counter.counted)
}

/// Counts what is written, as far as the budget goes.
#[derive(Default)]
struct Counter {
    counted: usize,
}

impl Counter {
    fn count(&mut self, bytes: usize) -> bool {
        self.counted = self.counted.saturating_add(bytes);
        !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.counted > LEFT.get()
    }

    /// The error for a spent budget.
    fn error(&self) -> Error {
        charge(self.counted).err().unwrap_or_else(|| invalid("formatting failed"))
    }
}

impl fmt::Write for Counter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.count(text.len()) { Ok(()) } else { Err(fmt::Error) }
    }
}

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.count(bytes.len()) { Ok(bytes.len()) } else { Err(io::ErrorKind::FileTooLarge.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn replace(
    state: &State<'_, '_>,
    value: StringInput<'_>,
    from: StringInput<'_>,
    to: StringInput<'_>,
) -> Result<Value, Error> {
    let found = value.as_str().matches(from.as_str()).count();
    charge(value.as_str().len().saturating_add(found.saturating_mul(to.as_str().len())))?;
    filters::replace(state, value, from, to)
}

fn join(state: &State<'_, '_>, value: &Value, joiner: Option<StringInput<'_>>) -> Result<Value, Error> {
    let between = joiner.as_ref().map_or(0, |joiner| joiner.as_str().len());
    if let Ok(items) = value.try_iter() {
        for item in items {
            charge(length(state, &item)?.saturating_add(between))?;
        }
    }
    filters::join(state, value, joiner)
}

fn indent(
    value: StringInput<'_>,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    named: Kwargs,
) -> Result<Value, Error> {
    let wide = if width.is_some() { width } else { named.get("width")? };
    let wide = wide.unwrap_or_default();
    if wide > MAX_INDENT {
        return Err(excess(format!("`indent` takes at most {MAX_INDENT} blanks")));
    }
    let lines = value.as_str().lines().count() + 1;
    charge(value.as_str().len().saturating_add(lines.saturating_mul(wide)))?;
    filters::indent(value, width, first, blank, named)
}

fn format(state: &State<'_, '_>, text: &Value, values: Rest<Value>) -> Result<Value, Error> {
    let form = text.as_str().unwrap_or_default();
    let numbers = form.split(|letter: char| !letter.is_ascii_digit());
    if form.contains('*') || numbers.into_iter().any(|number| number.len() > 3) {
        return Err(excess("`format` takes widths of at most 999"));
    }
    let widths = form.matches('%').count().saturating_mul(1_000);
    let lengths = values.iter().map(text_length).sum::<Result<usize, _>>()?;
    charge(form.len().saturating_add(widths).saturating_add(lengths))?;
    filters::format(state, text, values)
}

fn tojson(value: &Value, indent: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let given = match &indent {
        Some(given) => Some(given.clone()),
        None => named.get::<Option<Value>>("indent")?,
    };
    let wide = given.and_then(|given| given.as_usize());
    if wide.is_some_and(|wide| wide > MAX_INDENT) {
        return Err(excess(format!("`tojson` takes an indent of at most {MAX_INDENT}")));
    }
    charge(json_length(value, wide.or(indent.as_ref().map(|_| 2)))?)?;
    let made = filters::tojson(value, indent, named)?;
    charge(made.as_str().map_or(0, str::len))?;
    Ok(made)
}

fn escape(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    charge(length(state, value)?)?;
    filters::escape(state, value)
}

fn range(lower: isize, upper: Option<isize>, step: Option<isize>) -> Result<Value, Error> {
    let (from, to) = upper.map_or((0, lower), |upper| (lower, upper));
    if from.abs_diff(to) / step.map_or(1, isize::unsigned_abs).max(1) > MAX_RANGE {
        return Err(excess(format!("`range` takes at most {MAX_RANGE} numbers")));
    }
    functions::range(lower, upper, step)
}

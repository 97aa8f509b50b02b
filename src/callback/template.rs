//! Renders an event into a request with MiniJinja templates: the body, the address, or a header.
//!
//! The template sees the members of the stored body (`id`, `type`, `data.object.amount`, …); see [`super::number`] for
//! numbers. A name that is missing is an error, not an empty text. `x is defined` and `x | default(…)` handle members
//! that may be absent.
//!
//! If the endpoint's content type is JSON, which is the default, `{{ x }}` writes `x` as JSON with its quotes, so no
//! user's text can break out of its place, and the result must be JSON. `tojson` may be written explicitly. `{{ x |
//! safe }}` inserts text into the middle of a string, at the operator's own risk. Other content types get values
//! unchanged. Addresses get them percent-encoded once, with or without `urlencode`. Addresses and headers accept only
//! texts, numbers and booleans.
//!
//! A template cannot exhaust the process: [`limits`] bounds its source, [`bounded`] its output, and the engine its
//! steps.

mod bounded;
mod limits;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use limits::Refused;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior, Value};

/// The largest text that a template may render.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// Instructions of the template engine; a body of many lines takes a few thousand.
const FUEL: u64 = 100_000;
const NAME: &str = "template";
const COMPILER_STACK: usize = 16 * 1024 * 1024;

/// What a template renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON.
    Json,
    /// A body of any other content type.
    Plain,
    /// The value of a header.
    Header,
    /// An address.
    Url,
}

/// A compiled template.
#[derive(Clone)]
pub(super) struct Template {
    /// Shared, because an endpoint is cloned more often than a template is compiled.
    environment: Arc<Environment<'static>>,
    form: Form,
}

/// Why a template does not compile.
#[derive(Debug, thiserror::Error)]
#[error("the template is wrong{}: {problem}", place(*.line))]
pub(super) struct SyntaxError {
    line: Option<usize>,
    problem: String,
}

impl From<Error> for SyntaxError {
    fn from(error: Error) -> Self {
        Self { line: error.line(), problem: detail(&error) }
    }
}

impl From<Refused> for SyntaxError {
    fn from(Refused { line, problem }: Refused) -> Self {
        Self { line, problem }
    }
}

/// Why a template rendered no text.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    #[error("the template failed{}: {}", place(.0.line()), detail(.0))]
    Failed(Error),
    /// It fails for every event: it exceeds a limit, or uses something that does not exist.
    #[error("the template failed{}: {}", place(.0.line()), detail(.0))]
    Refused(Error),
    #[error("the template made more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the template made no JSON, but the content type says JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("the template made no text")]
    NotText(#[from] std::string::FromUtf8Error),
}

/// The position of the first template delimiter in a text; none if there is none.
pub(super) fn first_mark(text: &str) -> Option<usize> {
    ["{{", "{%", "{#"].into_iter().filter_map(|mark| text.find(mark)).min()
}

impl Template {
    pub(super) fn compile(source: &str, form: Form) -> Result<Self, SyntaxError> {
        limits::check(source)?;
        let environment = on_roomy_stack(|| Self::environment(source, form))?;
        Ok(Self { environment: Arc::new(environment), form })
    }

    fn environment(source: &str, form: Form) -> Result<Environment<'static>, SyntaxError> {
        let mut environment = Environment::new();
        bounded::install(&mut environment);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(move |_| match form {
            Form::Json => AutoEscape::Json,
            Form::Url => AutoEscape::Custom("url"),
            Form::Plain | Form::Header => AutoEscape::None,
        });
        if let Form::Header | Form::Url = form {
            // An address is always escaped, even if the template turns escaping off.
            environment.set_formatter(move |out, _, value| write_word(out, value, form));
        }
        environment.add_filter("urlencode", move |value: Value| {
            let word = word(&value)?;
            bounded::charge(word.len().saturating_mul(3))?;
            let encoded = percent_encoded(&word);
            Ok::<_, Error>(if form == Form::Url { Value::from_safe_string(encoded) } else { encoded.into() })
        });
        environment.add_template_owned(NAME, source.to_owned())?;
        Ok(environment)
    }

    /// Renders the template with the members of an event.
    pub(super) fn render(&self, event: &Value) -> Result<String, RenderError> {
        let mut made = Bounded::default();
        bounded::begin();
        let template = self.environment.get_template(NAME).map_err(RenderError::Failed)?;
        let rendered = template.render_captured_to(event, &mut made).map(drop);
        if made.is_over {
            return Err(RenderError::TooLarge);
        }
        rendered.map_err(|error| {
            use ErrorKind::{OutOfFuel, UnknownFilter, UnknownFunction, UnknownTest};
            match error.kind() {
                OutOfFuel | UnknownFilter | UnknownFunction | UnknownTest => RenderError::Refused(error),
                _ if bounded::is_over() => RenderError::Refused(error),
                _ => RenderError::Failed(error),
            }
        })?;
        if self.form == Form::Json {
            serde_json::from_slice::<serde::de::IgnoredAny>(&made.bytes).map_err(RenderError::NotJson)?;
        }
        Ok(String::from_utf8(made.bytes)?)
    }
}

fn write_word(out: &mut Output<'_>, value: &Value, form: Form) -> Result<(), Error> {
    // The value of a condition without an `else`. Any other undefined value has failed before.
    if value.is_undefined() {
        return Ok(());
    }
    let word = word(value)?;
    bounded::charge(word.len())?;
    let text = if form == Form::Url && !value.is_safe() { percent_encoded(&word) } else { word };
    out.write_str(&text).map_err(Error::from)
}

/// The value as text, if it is a text, a number or a boolean.
fn word(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String | ValueKind::Number | ValueKind::Bool => Ok(value.to_string()),
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        kind => Err(Error::new(ErrorKind::InvalidOperation, format!("a {kind} is no text").replace("a none", "none"))),
    }
}

/// Every byte but the unreserved ones of RFC 3986 as `%` and its code.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(encoded, "%{byte:02X}").ok();
        }
        encoded
    })
}

fn place(line: Option<usize>) -> String {
    line.map(|line| format!(" in line {line}")).unwrap_or_default()
}

/// Compiles on a thread with a large stack: compiling recurses, to a limited depth.
fn on_roomy_stack<T: Send>(work: impl FnOnce() -> Result<T, SyntaxError> + Send) -> Result<T, SyntaxError> {
    let failed = || SyntaxError { line: None, problem: "there is no thread to compile it in".to_owned() };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(COMPILER_STACK).spawn_scoped(scope, work);
        thread.map_err(|_| failed())?.join().map_err(|_| failed())?
    })
}

impl RenderError {
    /// Whether the template is wrong for every event, not only for this one.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::TooLarge)
    }
}

/// The name of the problem, and its particulars where they say more.
fn detail(error: &Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}

#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_BYTES {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::number::exact;
    use crate::chain::Chain;

    const STORED: &str = r#"{"id":"evt_1","type":"deposit.created","data":{
        "object":{"external_id":"4\"2","amount":"12.5"},"changes":null,
        "upstream":{"amount":12345678901234567890.10,"block":7}}}"#;

    fn render(source: &str, form: Form) -> Result<String, String> {
        let template = Template::compile(source, form).map_err(|error| error.to_string())?;
        template.render(&exact(STORED).unwrap()).map_err(|error| Chain(&error).to_string())
    }

    #[test]
    fn json_is_written_with_its_quotes() {
        for (source, expected) in [
            (r#"{"user": {{ data.object.external_id }}}"#, r#"{"user": "4\"2"}"#),
            (r#"{"user": {{ data.object.external_id | tojson }}}"#, r#"{"user": "4\"2"}"#),
            (r#"{"text": "got {{ data.object.amount | safe }} USDT"}"#, r#"{"text": "got 12.5 USDT"}"#),
            (r#"{"text": {{ "got " ~ data.object.amount }}}"#, r#"{"text": "got 12.5"}"#),
            ("{{ data.upstream }}", r#"{"amount":"12345678901234567890.10","block":7}"#),
            (r#"{{ {"type": type, "from": data.changes} }}"#, r#"{"from":null,"type":"deposit.created"}"#),
            ("{{ data.object.tx_hash | default(none) }}", "null"),
            ("{% if data.object.tx_hash is defined %}1{% else %}2{% endif %}", "2"),
            ("{{ 'a b' | urlencode }}", r#""a%20b""#),
        ] {
            assert_eq!(render(source, Form::Json).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn other_content_types_get_values_as_they_are() {
        assert_eq!(
            render("id={{ id }}&amount={{ data.object.amount }}", Form::Plain).as_deref(),
            Ok("id=evt_1&amount=12.5")
        );
    }

    #[test]
    fn headers_take_texts_and_numbers() {
        for (source, expected) in [
            ("Bearer {{ id }}", Ok("Bearer evt_1")),
            ("{{ data.upstream.block }}/{{ data.upstream.amount }}", Ok("7/12345678901234567890.10")),
            ("{{ 'old' if data.changes else 'new' }}{{ 'x' if false }}", Ok("new")),
            ("{{ data.object.external_id | urlencode }}", Ok("4%222")),
            ("{{ data.changes }}", Err("the template failed in line 1: none is no text")),
            ("{{ data.object }}", Err("the template failed in line 1: a map is no text")),
            ("{{ data.object.tx_hash }}", Err("the template failed in line 1: undefined value")),
        ] {
            let made = render(source, Form::Header);
            assert_eq!(made.as_deref().map_err(String::as_str), expected, "{source}");
        }
    }

    #[test]
    fn a_mark_is_found_wherever_it_stands() {
        assert_eq!(first_mark("a{% if x %}{{ x }}"), Some(1));
        assert_eq!(first_mark("{# x #}"), Some(0));
        assert_eq!(first_mark("{ {a} }"), None);
    }

    #[test]
    fn a_failing_template_says_where_and_why() {
        for (source, expected) in [
            ("{{ data.object.tx_hash }}", "the template failed in line 1: undefined value"),
            ("\n{{ nothing.at_all }}", "the template failed in line 2: undefined value"),
            ("{{ 1 + ", "the template is wrong in line 1: unexpected end of input, expected expression"),
            ("{{ id | shout }}", "the template failed in line 1: filter shout is unknown"),
            ("{% include 'other' %}", "the template is wrong in line 1: unknown statement include"),
            (r#"{"user": "{{ id }}"}"#, "the template made no JSON, but the content type says JSON: "),
        ] {
            let error = render(source, Form::Json).unwrap_err();
            assert!(error.starts_with(expected), "{source}: {error}");
        }
    }

    #[test]
    fn size_and_steps_are_bounded() {
        let large = format!("{{% for i in range(9999) %}}{}{{% endfor %}}", "x".repeat(1000));
        assert_eq!(render(&large, Form::Plain), Err("the template made more than 1048576 bytes".to_owned()));
        let long = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}";
        assert!(render(long, Form::Plain).unwrap_err().contains("fuel"), "{long}");
    }

    #[test]
    fn nothing_large_is_made_on_the_way() {
        for (source, expected) in [
            ("{{ 'a\nb' | indent(100000000000000) }}", "`indent` takes at most 100 blanks"),
            ("{{ 'a\nb' | indent(width=100000000000000) }}", "`indent` takes at most 100 blanks"),
            ("{{ '%99999999999d' | format(1) }}", "`format` takes widths of at most 999"),
            ("{{ '%*d' | format(99999999, 1) }}", "`format` takes widths of at most 999"),
            ("{{ data | tojson(indent=100000000000) }}", "`tojson` takes an indent of at most 100"),
            ("{{ range(99999) }}", "`range` takes at most 10000 numbers"),
            (
                "{% set x = range(9999) | join('0123456789') | replace('1', range(9999) | join) %}",
                "more than 4194304 bytes",
            ),
            ("{{ range(9999) | join(range(9999) | join) }}", "more than 4194304 bytes"),
            (
                "{% set t = range(9999) | join %}{% for i in t | list %}{% set x = t | replace('z', '') %}{% endfor %}",
                "more than 4194304 bytes",
            ),
            ("{{ [1, 2] | batch(100000000000000, 0) }}", "filter batch is unknown"),
            ("{{ [1, 2] | slice(100000000000000) }}", "filter slice is unknown"),
            ("{% set n = namespace(x=1) %}", "namespace"),
            ("{{ [1] * 10**12 }}", "`**` is not available"),
        ] {
            for form in [Form::Json, Form::Plain, Form::Header, Form::Url] {
                let error = render(source, form).unwrap_err();
                assert!(error.contains(expected), "{source}: {error}");
            }
        }
        let escaping = format!("{{{{ '\"' {} }}}}", "| tojson | string ".repeat(200));
        assert!(render(&escaping, Form::Plain).unwrap_err().contains("more than 4194304 bytes"));
        let nested = format!("{{{{ {}1{} }}}}", "[".repeat(60), "]".repeat(60));
        assert!(render(&nested, Form::Json).is_ok_and(|made| made.len() == 121), "deep, and not too deep");
        let deeper = format!("{{{{ {}1{} }}}}", "[".repeat(400), "]".repeat(400));
        assert!(render(&deeper, Form::Json).unwrap_err().contains("the template is wrong"));
    }

    #[test]
    fn bounded_filters_do_what_they_always_did() {
        for (source, expected) in [
            ("{{ 'a/b' | replace('/', '-') }}", "a-b"),
            ("{{ [1, 2] | join(', ') }}", "1, 2"),
            ("{{ 'a\nb' | indent(2) }}", "a\n  b"),
            ("{{ 'a\nb' | indent(width=2, first=true) }}", "  a\n  b"),
            ("{{ '%05.1f %s' | format(2.5, 'x') }}", "002.5 x"),
            ("{{ {'a': 1} | tojson }}", r#"{"a":1}"#),
            ("{{ {'a': 1} | tojson(indent=1) }}", "{\n \"a\": 1\n}"),
            ("{{ 'a<b' | e }}", "a&lt;b"),
            ("{{ range(1, 4) | list }}", "[1, 2, 3]"),
            ("{{ 2 * 3 + 4 }}", "10"),
            ("{% set x = 'a' ~ 1 %}{% set y = x ~ 'b' %}{{ y }}", "a1b"),
        ] {
            assert_eq!(render(source, Form::Plain).as_deref(), Ok(expected), "{source}");
        }
    }
}

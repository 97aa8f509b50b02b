//! What an endpoint makes of an event: a MiniJinja template of the body, of the address or of a header.
//!
//! The template sees the members of the stored body (`id`, `type`, `data.object.amount`, …); see [`super::number`] for
//! what becomes of numbers. A name that is not there is an error, not an empty text: `x is defined` and
//! `x | default(…)` ask for what may be absent.
//!
//! Where the endpoint's content type is JSON, which it is unless its headers say otherwise, `{{ x }}` writes `x` as JSON
//! with its quotes, so no text of a user's can break out of its place, and the result must be JSON. `tojson` may be
//! written out, and `{{ x | safe }}` puts text into the middle of a string at one's own risk. Other content types get
//! values as they are; addresses get them percent-encoded, once, with `urlencode` written out or without. Addresses and
//! headers take texts, numbers and booleans only.
//!
//! Size and steps are bounded: a template cannot eat the process.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior, Value};

/// Largest text that a template may make.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// Instructions of the template engine; a body of many lines takes a few thousand.
const FUEL: u64 = 100_000;
const NAME: &str = "template";

/// What a template makes.
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
#[error("the template is wrong{}: {}", place(.0), detail(.0))]
pub(super) struct SyntaxError(Error);

/// Why a template gave no text.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    #[error("the template failed{}: {}", place(.0), detail(.0))]
    Failed(Error),
    #[error("the template made more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the template made no JSON, but the content type says JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("the template made no text")]
    NotText(#[from] std::string::FromUtf8Error),
}

/// Where the first template mark of a text stands, if it has one.
pub(super) fn first_mark(text: &str) -> Option<usize> {
    ["{{", "{%", "{#"].into_iter().filter_map(|mark| text.find(mark)).min()
}

impl Template {
    pub(super) fn compile(source: &str, form: Form) -> Result<Self, SyntaxError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(move |_| match form {
            Form::Json => AutoEscape::Json,
            Form::Url => AutoEscape::Custom("url"),
            Form::Plain | Form::Header => AutoEscape::None,
        });
        if let Form::Header | Form::Url = form {
            // Whatever a template says of escaping, an address is escaped.
            environment.set_formatter(move |out, _, value| write_word(out, value, form));
        }
        environment.add_filter("urlencode", move |value: Value| {
            let encoded = word(&value).map(|word| percent_encoded(&word))?;
            Ok::<_, Error>(if form == Form::Url { Value::from_safe_string(encoded) } else { encoded.into() })
        });
        environment.add_template_owned(NAME, source.to_owned()).map_err(SyntaxError)?;
        Ok(Self { environment: Arc::new(environment), form })
    }

    /// Makes a text out of the members of an event.
    pub(super) fn render(&self, event: &Value) -> Result<String, RenderError> {
        let mut made = Bounded::default();
        let template = self.environment.get_template(NAME).map_err(RenderError::Failed)?;
        let rendered = template.render_captured_to(event, &mut made).map(drop);
        if made.is_over {
            return Err(RenderError::TooLarge);
        }
        rendered.map_err(RenderError::Failed)?;
        if self.form == Form::Json {
            serde_json::from_slice::<serde::de::IgnoredAny>(&made.bytes).map_err(RenderError::NotJson)?;
        }
        Ok(String::from_utf8(made.bytes)?)
    }
}

fn write_word(out: &mut Output<'_>, value: &Value, form: Form) -> Result<(), Error> {
    // What a condition without an `else` leaves; any other undefined value is an error before it comes here.
    if value.is_undefined() {
        return Ok(());
    }
    let word = word(value)?;
    let text = if form == Form::Url && !value.is_safe() { percent_encoded(&word) } else { word };
    out.write_str(&text).map_err(Error::from)
}

/// The value as a text, if it is one or has one spelling only.
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

fn place(error: &Error) -> String {
    error.line().map(|line| format!(" in line {line}")).unwrap_or_default()
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
        let large = "{% for i in range(9999) %}{{ 'x' * 1000 }}{% endfor %}";
        assert_eq!(render(large, Form::Plain), Err("the template made more than 1048576 bytes".to_owned()));
        let long = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}";
        assert!(render(long, Form::Plain).unwrap_err().contains("fuel"), "{long}");
    }
}

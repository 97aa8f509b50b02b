//! A body of the endpoint's own making: a MiniJinja template, rendered from the stored body when a callback is sent.
//!
//! The template sees the members of the stored body (`id`, `type`, `data.object.amount`, …); see [`super::number`] for
//! what becomes of numbers. A name that is not there is an error, not an empty text: `x is defined` and
//! `x | default(…)` ask for what may be absent.
//!
//! Where the endpoint's content type is JSON, which it is unless its headers say otherwise, `{{ x }}` writes `x` as JSON
//! with its quotes, so no text of a user's can break out of its place, and the result must be JSON. `tojson` may be
//! written out, and `{{ x | safe }}` puts text into the middle of a string at one's own risk. Other content types get
//! values as they are.
//!
//! Size and steps are bounded: a template cannot eat the process.

use std::io::{self, Write};
use std::sync::Arc;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use crate::callback::number::{self, BodyError};

/// Largest body that a template may make.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// Instructions of the template engine; a body of many lines takes a few thousand.
const FUEL: u64 = 100_000;
const NAME: &str = "body";

/// A compiled template.
#[derive(Clone)]
pub(super) struct Template {
    /// Shared, because an endpoint is cloned more often than a template is compiled.
    environment: Arc<Environment<'static>>,
    makes_json: bool,
}

/// Why a template does not compile.
#[derive(Debug, thiserror::Error)]
#[error("the template is wrong{}: {}", place(.0), detail(.0))]
pub(super) struct SyntaxError(minijinja::Error);

/// Why a template gave no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    #[error("the template failed{}: {}", place(.0), detail(.0))]
    Failed(minijinja::Error),
    #[error("the template made more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the template made no JSON, but the content type says JSON")]
    NotJson(#[source] serde_json::Error),
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl Template {
    pub(super) fn compile(source: &str, makes_json: bool) -> Result<Self, SyntaxError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(move |_| if makes_json { AutoEscape::Json } else { AutoEscape::None });
        environment.add_template_owned(NAME, source.to_owned()).map_err(SyntaxError)?;
        Ok(Self { environment: Arc::new(environment), makes_json })
    }

    /// Makes a body out of the stored one.
    pub(super) fn render(&self, stored: &str) -> Result<Vec<u8>, RenderError> {
        let context = number::exact(stored)?;
        let mut body = Bounded::default();
        let template = self.environment.get_template(NAME).map_err(RenderError::Failed)?;
        let rendered = template.render_captured_to(context, &mut body).map(drop);
        if body.is_over {
            return Err(RenderError::TooLarge);
        }
        rendered.map_err(RenderError::Failed)?;
        if self.makes_json {
            serde_json::from_slice::<serde::de::IgnoredAny>(&body.bytes).map_err(RenderError::NotJson)?;
        }
        Ok(body.bytes)
    }
}

fn place(error: &minijinja::Error) -> String {
    error.line().map(|line| format!(" in line {line}")).unwrap_or_default()
}

/// The name of the problem, and its particulars where they say more.
fn detail(error: &minijinja::Error) -> String {
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
    use crate::chain::Chain;

    const STORED: &str = r#"{"id":"evt_1","type":"deposit.created","data":{
        "object":{"external_id":"4\"2","amount":"12.5"},"changes":null,
        "upstream":{"amount":12345678901234567890.10,"block":7}}}"#;

    fn render(source: &str, makes_json: bool) -> Result<String, String> {
        let template = Template::compile(source, makes_json).map_err(|error| error.to_string())?;
        let body = template.render(STORED).map_err(|error| Chain(&error).to_string())?;
        Ok(String::from_utf8(body).unwrap())
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
        ] {
            assert_eq!(render(source, true).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn other_content_types_get_values_as_they_are() {
        assert_eq!(render("id={{ id }}&amount={{ data.object.amount }}", false).as_deref(), Ok("id=evt_1&amount=12.5"));
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
            let error = render(source, true).unwrap_err();
            assert!(error.starts_with(expected), "{source}: {error}");
        }
    }

    #[test]
    fn size_and_steps_are_bounded() {
        let large = "{% for i in range(9999) %}{{ 'x' * 1000 }}{% endfor %}";
        assert_eq!(render(large, false), Err("the template made more than 1048576 bytes".to_owned()));
        let long = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}";
        assert!(render(long, false).unwrap_err().contains("fuel"), "{long}");
    }
}

//! The address of an endpoint's callbacks: a constant url or a template.
//!
//! A template may fill in only what follows the authority: scheme, host and port are constant, so no event decides
//! which server is called. Values are percent-encoded, `/` included, so none leaves its segment or its parameter. `{{ x
//! | safe }}` inserts a value unencoded, at the operator's own risk. The result must be an address of the same origin,
//! without the segments `.` and `..`, which would leave the path, and without blanks, which a parser drops.

use minijinja::Value;
use url::Url;

use crate::callback::template::{Form, RenderError, SyntaxError, Template, first_mark};
use crate::setting::may_have_credentials;

/// An address, or what makes one of each event.
#[derive(Clone)]
pub(super) struct Address {
    /// The address, or its constant part.
    constant: Url,
    template: Option<Template>,
}

/// Why a text is no address. The errors do not quote it: it may carry a password.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddressError {
    #[error("{0}")]
    Text(&'static str),
    #[error(transparent)]
    Template(#[from] SyntaxError),
}

/// Why the template gave no address for an event.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("the template made no address")]
    Parse(#[from] url::ParseError),
    #[error("the template made an address with {0}")]
    Part(&'static str),
}

impl Address {
    pub(super) fn compile(text: &str) -> Result<Self, AddressError> {
        let Some(mark) = first_mark(text) else { return Ok(Self { constant: plain(text)?, template: None }) };
        let constant = text.get(..mark).unwrap_or_default();
        // Checked in the text, because a parser would add the slash.
        let after = constant.split_once("://").map(|(_, after)| after).unwrap_or_default();
        let authority = after.split('/').next().filter(|authority| authority.len() < after.len());
        if !authority.is_some_and(|authority| !authority.is_empty() && !authority.contains(['?', '#', '\\'])) {
            return Err(AddressError::Text(
                "has a template before the path; scheme, host and port must be constant and a `/` must follow them, \
                 for example `https://example.com/users/{{ data.object.external_id }}`",
            ));
        }
        let constant = plain(constant)?;
        Ok(Self { constant, template: Some(Template::compile(text, Form::Url)?) })
    }

    /// An address with the scheme, host and port of every rendered address.
    pub(super) const fn constant(&self) -> &Url {
        &self.constant
    }

    pub(super) const fn is_template(&self) -> bool {
        self.template.is_some()
    }

    /// The address for this event.
    pub(super) fn of(&self, event: &Value) -> Result<Url, TargetError> {
        let Some(template) = &self.template else { return Ok(self.constant.clone()) };
        let text = template.render(event)?;
        if text.chars().any(|char| char.is_whitespace() || char.is_control()) {
            return Err(TargetError::Part("a blank or a control character"));
        }
        let path = text.split(['?', '#']).next().unwrap_or_default();
        if path.split(['/', '\\']).any(climbs) {
            return Err(TargetError::Part("a segment `.` or `..`"));
        }
        let url = Url::parse(&text)?;
        if url.origin() != self.constant.origin() || !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Part("another origin than the configured one"));
        }
        if url.fragment().is_some() {
            return Err(TargetError::Part("a fragment"));
        }
        Ok(url)
    }
}

fn plain(text: &str) -> Result<Url, AddressError> {
    let url = Url::parse(text)
        .map_err(|_| AddressError::Text("is not a url; write for example `https://example.com/hooks`"))?;
    let problem = if !matches!(url.scheme(), "http" | "https") {
        "is neither an http:// nor an https:// url; write for example `https://example.com/hooks`"
    } else if may_have_credentials(text) {
        "has credentials in the url; take them out and use `auth.basic` (an `@` of the path is written %40)"
    } else if url.fragment().is_some() {
        "has a fragment, which is never sent; end the url before `#`"
    } else {
        return Ok(url);
    };
    Err(AddressError::Text(problem))
}

/// Whether the segment is `.` or `..` in any spelling that a parser accepts as such.
fn climbs(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded;

    use super::*;
    use crate::callback::number::exact;
    use crate::chain::Chain;

    fn made(text: &str, id: &str) -> Result<String, String> {
        let event = serde_json::json!({ "data": { "object": { "external_id": id, "n": 7, "list": [1] } } });
        let address = Address::compile(text).map_err(|error| error.to_string())?;
        let url = address.of(&exact(&event.to_string()).unwrap()).map_err(|error| Chain(&error).to_string())?;
        Ok(url.to_string())
    }

    #[test]
    fn values_are_percent_encoded_wherever_they_stand() {
        for (text, id, expected) in [
            ("https://x/u/{{ data.object.external_id }}", "42", "https://x/u/42"),
            ("https://x/u/{{ data.object.external_id }}/a", "a/../b?c#d", "https://x/u/a%2F..%2Fb%3Fc%23d/a"),
            ("https://x/u/{{ data.object.external_id | urlencode }}", "a b/é%", "https://x/u/a%20b%2F%C3%A9%25"),
            (
                "https://x/?u={{ data.object.external_id }}&n={{ data.object.n }}",
                "a&b=c+d",
                "https://x/?u=a%26b%3Dc%2Bd&n=7",
            ),
            ("https://x/{{ 'a/' ~ data.object.external_id | urlencode }}", "b c", "https://x/a%2Fb%2520c"),
            (
                "https://x/{% autoescape false %}{{ data.object.external_id }}{% endautoescape %}",
                "a/b",
                "https://x/a%2Fb",
            ),
            ("https://x/{% set u %}{{ data.object.external_id }}{% endset %}{{ u }}", "a/b", "https://x/a%2Fb"),
            ("https://x:8443/{{ data.object.external_id | safe }}", "a/b?c", "https://x:8443/a/b?c"),
            ("https://x/{{ data.object.external_id }}", "\r\nHost: y", "https://x/%0D%0AHost%3A%20y"),
            ("https://x/hooks?a=%7B", "", "https://x/hooks?a=%7B"),
        ] {
            assert_eq!(made(text, id).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_origin_is_constant() {
        for text in [
            "{{ data.url }}",
            "https://{{ data.host }}/",
            "https://x.{{ data.host }}/",
            "https://x{{ data.path }}",
            "https://x:{{ data.port }}/",
            "https://x?host={{ data.host }}/",
            "https://x\\{{ data.path }}/",
            "http:/{{ data.host }}/",
            "https:///{{ data.host }}",
            "https://x{# /#}/",
        ] {
            let error = made(text, "").unwrap_err();
            assert!(error.starts_with("has a template before the path; "), "{text}: {error}");
        }
        let error = made("https://a:b@x/{{ id }}", "").unwrap_err();
        assert!(error.starts_with("has credentials"), "{error}");
        assert!(made("ftp://x/{{ id }}", "").unwrap_err().starts_with("is neither"));
        assert!(made("https://x/{{ id", "").unwrap_err().starts_with("the template is wrong in line 1"));
    }

    #[test]
    fn what_would_lead_elsewhere_is_an_error() {
        let one = "https://x/u/{{ data.object.external_id }}/a";
        let raw = "https://x/{{ data.object.external_id | safe }}";
        for (text, id, expected) in [
            (one, "..", "the template made an address with a segment `.` or `..`"),
            (one, ".", "the template made an address with a segment `.` or `..`"),
            (raw, "%2E./b", "the template made an address with a segment `.` or `..`"),
            (raw, "a\\..\\b", "the template made an address with a segment `.` or `..`"),
            (raw, ".\n.", "the template made an address with a blank or a control character"),
            (raw, "#a", "the template made an address with a fragment"),
            ("https://x/{{ data.object.nothing }}", "", "the template failed in line 1: undefined value"),
            ("https://x/{{ data.object.nothing | urlencode }}", "", "the template failed in line 1: undefined value"),
            ("https://x/{{ data.object.list }}", "", "the template failed in line 1: a sequence is no text"),
            ("https://x/{{ none }}", "", "the template failed in line 1: none is no text"),
        ] {
            let error = made(text, id).unwrap_err();
            assert!(error.starts_with(expected), "{text} {id}: {error}");
        }
        assert_eq!(made(one, "...").as_deref(), Ok("https://x/u/.../a"));
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_place(id: String) {
            match made("https://x:8443/u/{{ data.object.external_id }}/a?q={{ data.object.external_id }}&r=1", &id) {
                Ok(text) => {
                    let url = Url::parse(&text).unwrap();
                    prop_assert_eq!(url.origin().ascii_serialization(), "https://x:8443");
                    let segments: Vec<_> = url.path_segments().unwrap().collect();
                    prop_assert!(matches!(segments.as_slice(), ["u", _, "a"]), "{}", text);
                    let value = format!("v={}", segments[1]);
                    let decoded = form_urlencoded::parse(value.as_bytes()).next().unwrap().1;
                    prop_assert_eq!(decoded, id.as_str());
                    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
                    prop_assert_eq!(pairs, [("q".to_owned(), id), ("r".to_owned(), "1".to_owned())]);
                    prop_assert_eq!(url.fragment(), None);
                }
                Err(error) => prop_assert!(matches!(id.as_str(), "." | ".."), "{}", error),
            }
        }

        #[test]
        fn not_even_a_raw_value_changes_the_origin(id: String) {
            if let Ok(text) = made("https://x:8443/{{ data.object.external_id | safe }}", &id) {
                prop_assert_eq!(Url::parse(&text).unwrap().origin().ascii_serialization(), "https://x:8443");
            }
        }
    }
}

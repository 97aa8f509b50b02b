//! What is wrong with the templates of an endpoint, as far as that shows before they are rendered.

use super::EndpointConfig;
use crate::callback::address::Address;
use crate::callback::template::{Form, Template, first_mark};
use crate::setting::Text;

impl EndpointConfig {
    /// Whether the address is a valid template; none if it is no template.
    ///
    /// # Errors
    /// What is wrong with it, without quoting it.
    #[must_use]
    pub fn url_template(&self) -> Option<Result<(), String>> {
        first_mark(&self.url)?;
        Some(Address::compile(&self.url).map(drop).map_err(|error| error.to_string()))
    }

    /// What is wrong with the templates of the body and the headers, each under its key.
    #[must_use]
    pub fn wrong_templates(&self) -> Vec<(String, String)> {
        let body = self.body.iter().map(|source| ("body".to_owned(), source));
        let headers = self.headers.iter().filter(|(_, value)| first_mark(value).is_some());
        let headers = headers.map(|(name, source)| (format!("headers.{name}"), source));
        let wrong = |(key, source): (String, &Text)| {
            // Whether it compiles does not depend on the form.
            let error = Template::compile(source, Form::Plain).err()?;
            Some((key, error.to_string()))
        };
        body.chain(headers).filter_map(wrong).collect()
    }
}

//! An address as it may be shown: without its password, and without the value of any parameter.
//!
//! It is read by hand and not by a parser: an address with `/`, `#` or `@` in its password is read otherwise by every
//! parser, or by none, and must not be shown in clear for that. Everything between the first `:` behind the scheme and
//! the last `@` counts as the password. Where an address can be read in two ways, the less readable one is shown.

const MASK: &str = "***";

/// The address without what may be secret in it. Showing what was shown changes nothing.
#[must_use]
pub fn shown_url(text: &str) -> String {
    let (scheme, rest) = split_scheme(text);
    let (place, tail) = match rest.rsplit_once('@') {
        None => (String::new(), without_values(rest)),
        Some((before, host)) => match before.split_once(':') {
            // What stands behind the `?` may be anything.
            Some((user, _)) if user.contains(['?', '#']) => {
                (String::new(), format!("{}?{MASK}", user.split(['?', '#']).next().unwrap_or_default()))
            }
            Some((user, password)) => {
                // Behind a parameter the `@` may be part of its value.
                let is_value = password.split_once('?').is_some_and(|(_, query)| query.contains('='));
                let host = if is_value { MASK.to_owned() } else { without_values(host) };
                (format!("{user}:{MASK}@"), host)
            }
            // No password, and an `@` further on.
            None if before.contains(['/', '?', '#']) => (String::new(), without_values(rest)),
            // A web service takes a key for a name.
            None if scheme.starts_with("http") => (format!("{MASK}@"), without_values(host)),
            None => (format!("{before}@"), without_values(host)),
        },
    };
    format!("{scheme}{place}{tail}")
}

/// Whether a name or a password may stand in an address, in whatever way it is read.
#[must_use]
pub(crate) fn may_have_credentials(text: &str) -> bool {
    let (_, rest) = split_scheme(text);
    rest.rsplit_once('@').is_some_and(|(before, _)| before.contains(':') || !before.contains(['/', '?', '#']))
}

/// The scheme with its `://`, if the text begins with one, and the rest.
fn split_scheme(text: &str) -> (&str, &str) {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.'))
    };
    match text.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => text.split_at(scheme.len() + "://".len()),
        _ => ("", text),
    }
}

/// `/path?name=value#part` as `/path?name=***#***`.
pub(crate) fn without_values(text: &str) -> String {
    let (text, fragment) = match text.split_once('#') {
        Some((text, _)) => (text, format!("#{MASK}")),
        None => (text, String::new()),
    };
    let Some((path, query)) = text.split_once('?') else { return format!("{text}{fragment}") };
    let masked = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}={MASK}"),
        None if pair.is_empty() => String::new(),
        None => MASK.to_owned(),
    });
    format!("{path}?{}{fragment}", masked.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_shown_without_password_and_values() {
        for (text, shown) in [
            ("postgres://me:hunter2@db/shop", "postgres://me:***@db/shop"),
            ("postgres://me@db/shop", "postgres://me@db/shop"),
            ("postgres://shop:p@ss/w#rd@db:5432/shop", "postgres://shop:***@db:5432/shop"),
            ("postgres://shop:12/34@x@db/shop", "postgres://shop:***@db/shop"),
            ("postgres://shop:p?ss@db/shop", "postgres://shop:***@db/shop"),
            ("https://example.com/?key=a:b@c", "https://example.com/?***"),
            ("postgres://shop:a://b@db/shop", "postgres://shop:***@db/shop"),
            ("shop:hunter2://x@db/shop", "shop:***@db/shop"),
            ("mysql//me:hunter2@db/shop", "mysql//me:***@db/shop"),
            ("postgres://db/shop?user=me&password=hunter2", "postgres://db/shop?user=***&password=***"),
            ("postgres://db/shop?password=hunt@er22", "postgres://db/shop?password=***"),
            ("postgres://db:5432/shop?password=hunt@er22", "postgres://db:***@***"),
            ("mysql://me:a@db/shop?ssl-mode=required&x", "mysql://me:***@db/shop?ssl-mode=***&***"),
            ("https://token@example.com/a", "https://***@example.com/a"),
            ("https://example.com/@me", "https://example.com/@me"),
            ("https://example.com/hooks?key=1&b=2#c", "https://example.com/hooks?key=***&b=***#***"),
            ("https://example.com/", "https://example.com/"),
            ("", ""),
        ] {
            assert_eq!(shown_url(text), shown, "{text}");
            assert_eq!(shown_url(shown), shown, "what is shown stays as it is");
        }
    }

    #[test]
    fn credentials_are_seen_where_a_parser_sees_none() {
        for text in ["https://a:b@x", "https://a@x/", "https://a:12/34@x", "https://a:12?c@x", "a:b@x"] {
            assert!(may_have_credentials(text), "{text}");
        }
        for text in ["https://x/@me", "https://x/?mail=a@b", "https://x:1/", "https://x"] {
            assert!(!may_have_credentials(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_part_of_a_password_is_shown(password in "\\PC{0,40}", scheme in "postgres|mysql|http|https") {
            let shown = shown_url(&format!("{scheme}://shop:{password}@db.internal:5432/orders"));
            let around = format!("{scheme}://shop:***@db.internal:5432/orders");
            let letters: Vec<char> = password.chars().collect();
            for part in letters.windows(4).map(|part| part.iter().collect::<String>()) {
                prop_assert!(!shown.contains(&part) || around.contains(&part), "{shown}");
            }
        }

        #[test]
        fn no_value_of_a_parameter_is_shown(value in "[^&#]{0,40}") {
            let shown = shown_url(&format!("https://shop.example/hooks?key={value}"));
            let around = "https://shop.example/hooks?key=***";
            let letters: Vec<char> = value.chars().collect();
            for part in letters.windows(4).map(|part| part.iter().collect::<String>()) {
                prop_assert!(!shown.contains(&part) || around.contains(&part), "{shown}");
            }
        }
    }
}

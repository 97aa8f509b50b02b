//! Who gives a command, as it is written beside what the command did. No proof: who may give commands may say anything.

use std::borrow::Cow;

/// Longest name of a user that is kept.
const MAX_USER: usize = 48;

/// `cli:` and the user, `api` or `dashboard`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(Cow<'static, str>);

impl Actor {
    pub const API: Self = Self(Cow::Borrowed("api"));
    pub const DASHBOARD: Self = Self(Cow::Borrowed("dashboard"));

    /// A user of the operating system; the characters that a name of one rarely has become `_`.
    #[must_use]
    pub fn cli(user: &str) -> Self {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
        let name: String =
            user.chars().take(MAX_USER).map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
        Self(Cow::Owned(format!("cli:{}", if name.is_empty() { "unknown" } else { &name })))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_user_is_short_and_plain() {
        let name = |user: &str| Actor::cli(user).as_str().to_owned();
        assert_eq!(name("jan.de-vries_2"), "cli:jan.de-vries_2");
        assert_eq!(name("CORP\\jan dé\n\u{1b}[31m"), "cli:CORP_jan_d____31m");
        assert_eq!(name(""), "cli:unknown");
        assert_eq!(name(&"x".repeat(500)).len(), "cli:".len() + MAX_USER);
    }
}

//! Errors of wallet writes, which say what is known: done, not done, or unknown.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::operator_action::Action;
use lumo_bridge_entity::wallet;
use url::form_urlencoded;

use crate::account;
use crate::lumo;
use crate::model::Listing;
use crate::model::id::{ExternalId, WalletId};
use crate::model::record::Wallet;
use crate::store::{self, Deed};

/// What the API was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Create {
        user: ExternalId,
    },
    Block {
        id: WalletId,
    },
    Replace {
        id: WalletId,
        /// Whose wallet it is; none if it is not stored.
        user: Option<ExternalId>,
    },
}

/// What stopped a write.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the API was not asked to {write}")]
    NotAsked { write: Write, source: account::Error },
    #[error("the API did not {write}")]
    NotDone { write: Write, source: lumo::Error },
    #[error("it is not known whether the API carried out the request to {write}")]
    Unknown { write: Write, source: lumo::Error },
    /// The API answered with a success that is not what was asked for. Nothing is stored.
    #[error("the API was asked to {write} and answered with {oddity}; nothing was stored")]
    Odd { write: Write, oddity: String },
    #[error(
        "the API carried out the request to {write} (it answered with wallet {id}), but that could not be stored; the next sync stores it"
    )]
    NotStored { write: Write, id: WalletId, source: store::Error },
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { user } => write!(f, "create a wallet for {user}"),
            Self::Block { id } => write!(f, "block wallet {id}"),
            Self::Replace { id, .. } => write!(f, "replace wallet {id}"),
        }
    }
}

impl Write {
    /// What an answer is, if it is not what was asked for.
    pub(super) fn oddity(&self, answer: &Wallet) -> Option<String> {
        let Wallet { id, external_id, .. } = answer;
        let of_another_user = || format!("wallet {id} of another user, {external_id}");
        match self {
            Self::Create { user } => (user != external_id).then(of_another_user),
            Self::Block { id: asked } if asked != id => Some(format!("another wallet, {id}")),
            Self::Block { .. } => (!answer.is_blocked).then(|| "the wallet, not blocked".to_owned()),
            Self::Replace { id: asked, .. } if asked == id => Some("the wallet that was to be replaced".to_owned()),
            Self::Replace { user, .. } => user.as_ref().is_some_and(|user| user != external_id).then(of_another_user),
        }
    }

    /// Whether the write changed anything: not if the tables had what it asked for before it was sent. `known` is the row of the
    /// wallet that was answered.
    pub(super) fn is_news(&self, known: Option<&wallet::Model>, asked_at: DateTime<Utc>) -> bool {
        known.is_none_or(|known| match self {
            Self::Block { .. } => !known.is_blocked || known.changed_at >= asked_at,
            Self::Create { .. } | Self::Replace { .. } => known.first_seen_at >= asked_at,
        })
    }

    /// What is recorded of it. `answered` is the wallet that came of it.
    pub(super) fn deed(&self, answered: &WalletId) -> Deed {
        match self {
            Self::Create { .. } => Deed::new(Action::Create, answered),
            Self::Block { id } => Deed::new(Action::Block, id),
            Self::Replace { id, .. } => Deed::new(Action::Replace, id),
        }
    }

    /// How to find out whether it was done, and what asking again would do.
    fn look(&self, asked: Interface) -> String {
        match self {
            Self::Create { user } => format!(
                "{}, then {} shows whether it is there; creating it again does no harm, the API returns the one that there is",
                asked.sync(Listing::Wallets),
                asked.wallets_of(user.as_str())
            ),
            Self::Block { id } => format!(
                "{}, then {} shows whether it is blocked; look before you ask again",
                asked.sync(Listing::Blocked),
                asked.wallet(id)
            ),
            Self::Replace { id, user } => {
                let list = match user {
                    Some(user) => asked.wallets_of(user.as_str()),
                    None => format!("{} (the user of {id})", asked.wallets_of("USER")),
                };
                format!(
                    "{}, then {list} shows whether there is a new wallet; repeating this {} replaces it again",
                    asked.sync(Listing::Wallets),
                    asked.noun()
                )
            }
        }
    }
}

/// By what somebody asks, and asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    CommandLine,
    Http,
}

impl Interface {
    const fn noun(self) -> &'static str {
        match self {
            Self::CommandLine => "command",
            Self::Http => "request",
        }
    }

    fn sync(self, listing: Listing) -> String {
        match self {
            Self::CommandLine => format!("`lumo-bridge sync {listing}`"),
            Self::Http => format!(r#"`POST /api/sync` with `{{"listing": "{listing}"}}`"#),
        }
    }

    fn wallets_of(self, user: &str) -> String {
        match self {
            Self::CommandLine => format!("`lumo-bridge wallet list --external-id {}`", quoted(user)),
            Self::Http => format!("`GET /api/wallets?external_id={}`", encoded(user)),
        }
    }

    fn wallet(self, id: &WalletId) -> String {
        match self {
            Self::CommandLine => format!("`lumo-bridge wallet show {id}`"),
            Self::Http => format!("`GET /api/wallets/{}`", encoded(id.as_str())),
        }
    }
}

/// What to do where `id` is no wallet and may be a user, whose newest wallet this is.
pub(super) fn may_be_a_user(id: &WalletId, newest: Option<&WalletId>, asked: Interface) -> String {
    match newest {
        Some(newest) => format!("{id} is a user; its wallet is {newest}"),
        None => format!(
            "if {id} is a user, {} shows the user's wallets; if this concerns every request, check lumo.base_url",
            asked.wallets_of(id.as_str())
        ),
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@:+-".contains(&byte);
    if !word.starts_with('-') && word.bytes().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

/// A word as a part of an address.
fn encoded(word: &str) -> String {
    form_urlencoded::byte_serialize(word.as_bytes()).collect::<String>().replace('+', "%20")
}

impl Error {
    /// What an error of the API says of the write.
    pub(super) fn unanswered(write: Write, source: lumo::Error) -> Self {
        if source.may_have_been_done() { Self::Unknown { write, source } } else { Self::NotDone { write, source } }
    }

    /// The wallet that Lumo does not know.
    pub(super) const fn unknown_wallet(&self) -> Option<&WalletId> {
        match self {
            Self::NotDone {
                write: Write::Block { id } | Write::Replace { id, .. },
                source: lumo::Error::NotFound { .. },
            } => Some(id),
            _ => None,
        }
    }

    /// What to do about it, by the interface by which it was asked for.
    #[must_use]
    pub fn hint(&self, asked: Interface) -> Option<String> {
        match self {
            Self::NotAsked { source: account::Error::Refused(refusal), .. } => Some(refusal.hint()),
            Self::NotAsked { .. } => None,
            Self::NotDone { source, .. } => source.hint().map(str::to_owned),
            Self::Unknown { write, .. } | Self::Odd { write, .. } => Some(write.look(asked)),
            Self::NotStored { write: write @ Write::Replace { .. }, .. } => {
                let (noun, look) = (asked.noun(), write.look(asked));
                Some(format!("do not repeat this {noun}, it would replace the wallet again; {look}"))
            }
            Self::NotStored { write, .. } => Some(write.look(asked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chain::Chain;
    use crate::lumo::Outage;
    use crate::model::fixture;

    fn create() -> Write {
        Write::Create { user: "bob".parse().unwrap() }
    }

    fn block() -> Write {
        Write::Block { id: "w-1".parse().unwrap() }
    }

    fn replace(user: Option<&str>) -> Write {
        Write::Replace { id: "w-1".parse().unwrap(), user: user.map(|user| user.parse().unwrap()) }
    }

    fn said(error: &Error) -> (String, String) {
        (Chain(error).to_string(), error.hint(Interface::CommandLine).unwrap_or_default())
    }

    fn unavailable(outage: Outage) -> lumo::Error {
        lumo::Error::Unavailable { outage, source: None }
    }

    #[test]
    fn what_may_have_been_done_is_not_said_to_be_undone() {
        let answered = |status| Outage::Answered { status, message: "oops".to_owned() };
        let contract = || lumo::Error::Contract { path: "body".to_owned(), problem: "is not JSON".to_owned() };
        for error in [
            unavailable(Outage::Timeout),
            unavailable(Outage::Broken),
            unavailable(answered(500)),
            unavailable(answered(502)),
            unavailable(answered(503)),
            lumo::Error::Throttled { status: 503, retry_after: Some(Duration::from_secs(5)) },
            contract(),
            lumo::Error::Refused { status: 303, message: "elsewhere".to_owned() },
        ] {
            let text = error.to_string();
            let error = Error::unanswered(replace(Some("bob")), error);
            assert_eq!(
                said(&error),
                (
                    format!("it is not known whether the API carried out the request to replace wallet w-1: {text}"),
                    "`lumo-bridge sync wallets`, then `lumo-bridge wallet list --external-id bob` shows whether there is \
                     a new wallet; repeating this command replaces it again"
                        .to_owned()
                )
            );
        }
        for error in [
            unavailable(Outage::Connect),
            lumo::Error::Unauthorized,
            lumo::Error::Throttled { status: 429, retry_after: None },
            lumo::Error::NotFound { message: "no such wallet".to_owned() },
            lumo::Error::Refused { status: 422, message: "no".to_owned() },
        ] {
            let text = error.to_string();
            let error = Error::unanswered(replace(None), error);
            assert_eq!(said(&error).0, format!("the API did not replace wallet w-1: {text}"));
        }
    }

    #[test]
    fn a_user_in_a_command_is_one_word() {
        assert_eq!(quoted("user-42@shop.example"), "user-42@shop.example");
        assert_eq!(quoted("it's; rm x"), r"'it'\''s; rm x'");
        assert_eq!(quoted("--all"), "'--all'");
    }

    #[test]
    fn each_write_says_how_to_find_out() {
        let unknown = |write| said(&Error::unanswered(write, unavailable(Outage::Timeout)));
        let (message, hint) = unknown(create());
        assert!(
            message.starts_with("it is not known whether the API carried out the request to create a wallet for bob"),
            "{message}"
        );
        assert!(hint.contains("`lumo-bridge wallet list --external-id bob` shows whether it is there"), "{hint}");
        let (message, hint) = unknown(block());
        assert!(
            message.starts_with("it is not known whether the API carried out the request to block wallet w-1"),
            "{message}"
        );
        assert!(hint.contains("`lumo-bridge wallet show w-1` shows whether it is blocked"), "{hint}");
        let (_, hint) = unknown(replace(None));
        assert!(hint.contains("`lumo-bridge wallet list --external-id USER` (the user of w-1)"), "{hint}");
    }

    #[test]
    fn over_http_requests_are_named_and_no_commands() {
        let eve = Write::Create { user: "it's eve".parse().unwrap() };
        for (write, listing, look) in [
            (
                eve,
                "wallets",
                "`GET /api/wallets?external_id=it%27s%20eve` shows whether it is there; creating it again does no harm, the \
                 API returns the one that there is",
            ),
            (block(), "blocked", "`GET /api/wallets/w-1` shows whether it is blocked; look before you ask again"),
            (
                replace(Some("bob")),
                "wallets",
                "`GET /api/wallets?external_id=bob` shows whether there is a new wallet; repeating this request replaces it \
                 again",
            ),
        ] {
            let error = Error::unanswered(write, unavailable(Outage::Timeout));
            let hint = format!(r#"`POST /api/sync` with `{{"listing": "{listing}"}}`, then {look}"#);
            assert_eq!(error.hint(Interface::Http), Some(hint));
        }
        let (id, source) = ("w-2".parse().unwrap(), store::Error::NotMigrated);
        let not_stored = Error::NotStored { write: replace(Some("bob")), id, source };
        let hint = not_stored.hint(Interface::Http).unwrap();
        assert!(hint.starts_with("do not repeat this request, it would replace the wallet again"), "{hint}");
        let hint = may_be_a_user(&"eve".parse().unwrap(), None, Interface::Http);
        assert!(hint.starts_with("if eve is a user, `GET /api/wallets?external_id=eve` shows"), "{hint}");
    }

    #[test]
    fn what_is_done_and_not_stored_is_said_to_be_done() {
        let not_stored = |write| {
            let id = "w-2".parse().unwrap();
            said(&Error::NotStored { write, id, source: store::Error::NotMigrated })
        };
        let (message, hint) = not_stored(replace(Some("bob")));
        let expected = "the API carried out the request to replace wallet w-1 (it answered with wallet w-2), but that could \
                        not be stored; the next sync stores it";
        assert!(message.starts_with(expected), "{message}");
        assert!(hint.starts_with("do not repeat this command, it would replace the wallet again"), "{hint}");
        assert!(not_stored(block()).0.starts_with("the API carried out the request to block wallet w-1"));
    }

    #[test]
    fn an_answer_is_compared_with_what_was_asked() {
        let wallet = |id: &str, user: &str, is_blocked| Wallet { is_blocked, ..fixture::wallet(id, user) };
        for (write, answer, oddity) in [
            (create(), wallet("w-9", "bob", false), None),
            (create(), wallet("w-9", "eve", false), Some("wallet w-9 of another user, eve")),
            (block(), wallet("w-1", "bob", true), None),
            (block(), wallet("w-1", "bob", false), Some("the wallet, not blocked")),
            (block(), wallet("w-9", "bob", true), Some("another wallet, w-9")),
            (replace(Some("bob")), wallet("w-9", "bob", false), None),
            (replace(None), wallet("w-9", "eve", false), None),
            (replace(Some("bob")), wallet("w-9", "eve", false), Some("wallet w-9 of another user, eve")),
            (replace(Some("bob")), wallet("w-1", "bob", false), Some("the wallet that was to be replaced")),
        ] {
            assert_eq!(write.oddity(&answer).as_deref(), oddity, "{write}");
        }
        let error = Error::Odd { write: block(), oddity: "the wallet, not blocked".to_owned() };
        assert_eq!(
            said(&error).0,
            "the API was asked to block wallet w-1 and answered with the wallet, not blocked; nothing was stored"
        );
    }
}

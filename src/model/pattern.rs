//! Which events an endpoint wants: a list of patterns, resolved once into a set of event types.
//!
//! A pattern is the name of an event, a family (`deposit.*`) or `*`; a leading `!` takes away what it matches. What is
//! wanted is everything that a positive pattern matches, less everything that an excluding one does; the order does not
//! matter. A list of exclusions only means `*` less those.
//!
//! Some events are not swept along: `*` stands for the events of wallets and deposits, so events about the bridge itself
//! (`sync.*`, `endpoint.*`, `delivery.*`, `bridge.*`) come by their family or their name; and `wallet.balance_changed`,
//! of which there are many, comes by its name only. An exclusion spares nothing: it takes all that it matches.

use std::collections::BTreeSet;

use crate::model::event::EventType;
use crate::model::suggest::nearest;

/// The event types that an endpoint wants; never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patterns {
    wanted: BTreeSet<EventType>,
}

/// What is wrong with a list of patterns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("no event is listed; `*` means those of wallets and deposits")]
    Empty,
    #[error("`{pattern}` matches no event{}", meant(.suggestion.as_deref()))]
    Unknown { pattern: String, suggestion: Option<String> },
    #[error("the exclusions leave no event over")]
    NothingLeft,
}

fn meant(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

impl Patterns {
    /// Reads a list of patterns.
    ///
    /// # Errors
    /// Everything that is wrong with the list.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Vec<PatternError>> {
        let (mut wanted, mut unwanted) = (BTreeSet::new(), BTreeSet::new());
        let (mut positive, mut listed) = (false, false);
        let mut problems = Vec::new();
        for text in texts {
            listed = true;
            let (name, excludes) = text.strip_prefix('!').map_or((text, false), |name| (name, true));
            positive |= !excludes;
            match Pattern::parse(name) {
                Some(pattern) if excludes => unwanted.extend(pattern.matches()),
                Some(pattern) => wanted.extend(pattern.brings()),
                None => problems.push(unknown(text, name)),
            }
        }
        if !listed {
            problems.push(PatternError::Empty);
        }
        if !positive {
            wanted.extend(Pattern::All.brings());
        }
        let wanted: BTreeSet<_> = wanted.difference(&unwanted).copied().collect();
        if problems.is_empty() && wanted.is_empty() {
            problems.push(PatternError::NothingLeft);
        }
        if problems.is_empty() { Ok(Self { wanted }) } else { Err(problems) }
    }

    /// Whether an endpoint with these patterns is to be told of such an event.
    #[must_use]
    pub fn wants(&self, event: EventType) -> bool {
        self.wanted.contains(&event)
    }

    /// The event types that are wanted, in the order of the documentation.
    pub fn wanted(&self) -> impl Iterator<Item = EventType> {
        self.wanted.iter().copied()
    }
}

/// One pattern, without its exclamation mark.
#[derive(Clone, Copy)]
enum Pattern<'a> {
    All,
    Family(&'a str),
    One(EventType),
}

impl<'a> Pattern<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        if name == "*" {
            return Some(Self::All);
        }
        match name.strip_suffix(".*") {
            Some(family) => EventType::ALL.iter().any(|event| is_of(*event, family)).then_some(Self::Family(family)),
            None => name.parse().ok().map(Self::One),
        }
    }

    fn matches(self) -> impl Iterator<Item = EventType> {
        EventType::ALL.iter().copied().filter(move |event| match self {
            Self::All => true,
            Self::Family(name) => is_of(*event, name),
            Self::One(one) => one == *event,
        })
    }

    fn brings(self) -> impl Iterator<Item = EventType> {
        self.matches().filter(move |event| match self {
            Self::All => ["wallet", "deposit"].iter().any(|name| is_of(*event, name)) && !is_frequent(*event),
            Self::Family(_) => !is_frequent(*event),
            Self::One(_) => true,
        })
    }
}

fn family(event: EventType) -> &'static str {
    event.as_str().split_once('.').map_or(event.as_str(), |(family, _)| family)
}

fn is_of(event: EventType, name: &str) -> bool {
    family(event) == name
}

fn is_frequent(event: EventType) -> bool {
    event == EventType::WalletBalanceChanged
}

fn unknown(text: &str, name: &str) -> PatternError {
    let mut families: Vec<_> = EventType::ALL.iter().map(|event| format!("{}.*", family(*event))).collect();
    families.dedup();
    let names = EventType::ALL.iter().map(|event| event.as_str());
    let candidates = names.chain(families.iter().map(String::as_str));
    PatternError::Unknown { pattern: text.to_owned(), suggestion: nearest(name, candidates).map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(patterns: &[&str]) -> Vec<&'static str> {
        Patterns::parse(patterns.iter().copied()).unwrap().wanted().map(EventType::as_str).collect()
    }

    fn problems(patterns: &[&str]) -> Vec<String> {
        let problems = Patterns::parse(patterns.iter().copied()).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    const DEPOSITS: [&str; 5] =
        ["deposit.created", "deposit.settled", "deposit.status_changed", "deposit.updated", "deposit.missing"];

    #[test]
    fn positive_patterns_add_up() {
        assert_eq!(wanted(&["wallet.blocked"]), ["wallet.blocked"]);
        assert_eq!(wanted(&["deposit.*"]), DEPOSITS);
        assert_eq!(wanted(&["deposit.*", "deposit.created", "deposit.*"]), DEPOSITS);
        assert_eq!(wanted(&["deposit.created", "wallet.created"]), ["wallet.created", "deposit.created"]);
        assert_eq!(
            wanted(&["sync.*"]),
            [
                "sync.stalled",
                "sync.recovered",
                "sync.unauthorized",
                "sync.wrong_account",
                "sync.removals_held",
                "sync.item_rejected"
            ]
        );
        assert_eq!(wanted(&["delivery.dead"]), ["delivery.dead"]);
    }

    #[test]
    fn a_star_is_wallets_and_deposits() {
        let all = wanted(&["*"]);
        assert_eq!(all, wanted(&["wallet.*", "deposit.*"]));
        assert!(all.iter().all(|name| name.starts_with("wallet.") || name.starts_with("deposit.")));
        assert!(!all.contains(&"wallet.balance_changed"));
        assert_eq!(wanted(&["*", "endpoint.*"]).len(), all.len() + 3);
    }

    #[test]
    fn balances_come_by_name_only() {
        assert!(wanted(&["wallet.*", "wallet.balance_changed"]).contains(&"wallet.balance_changed"));
        assert!(!wanted(&["wallet.*"]).contains(&"wallet.balance_changed"));
        assert!(!wanted(&["!deposit.*"]).contains(&"wallet.balance_changed"));
        assert_eq!(wanted(&["wallet.balance_changed", "deposit.*", "!wallet.*"]), DEPOSITS);
    }

    #[test]
    fn exclusions_take_away_wherever_they_stand() {
        let expected = ["deposit.created", "deposit.settled", "deposit.status_changed", "deposit.updated"];
        assert_eq!(wanted(&["deposit.*", "!deposit.missing"]), expected);
        assert_eq!(wanted(&["!deposit.missing", "deposit.*"]), expected);
        assert_eq!(wanted(&["!wallet.*"]), DEPOSITS);
        assert_eq!(wanted(&["deposit.*", "!wallet.blocked"]), DEPOSITS);
    }

    #[test]
    fn what_matches_nothing_is_refused_with_a_suggestion() {
        for (pattern, expected) in [
            ("deposit.create", "`deposit.create` matches no event; did you mean `deposit.created`?"),
            ("!deposits.*", "`!deposits.*` matches no event; did you mean `deposit.*`?"),
            ("Deposit.Created", "`Deposit.Created` matches no event; did you mean `deposit.created`?"),
            (" deposit.created", "` deposit.created` matches no event; did you mean `deposit.created`?"),
            ("invoice.paid", "`invoice.paid` matches no event"),
            ("", "`` matches no event"),
            ("!", "`!` matches no event"),
            ("!!sync.*", "`!!sync.*` matches no event; did you mean `sync.*`?"),
            (".*", "`.*` matches no event"),
            ("*.*", "`*.*` matches no event"),
        ] {
            assert_eq!(problems(&["wallet.*", pattern]), [expected]);
        }
    }

    #[test]
    fn every_problem_is_told() {
        assert_eq!(problems(&["a", "b"]).len(), 2);
        assert_eq!(problems(&[]), ["no event is listed; `*` means those of wallets and deposits"]);
        for nothing in [&["!*"][..], &["wallet.*", "!wallet.*"], &["wallet.balance_changed", "!*"]] {
            assert_eq!(problems(nothing), ["the exclusions leave no event over"]);
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        let names = EventType::ALL.iter().map(|event| event.as_str().to_owned());
        let families = ["wallet", "deposit", "sync", "endpoint", "delivery", "bridge"].map(|name| format!("{name}.*"));
        let all: Vec<_> = names.chain(families).chain(["*".to_owned()]).collect();
        (prop::sample::select(all), any::<bool>()).prop_map(|(name, not)| if not { format!("!{name}") } else { name })
    }

    proptest! {
        #[test]
        fn the_order_of_patterns_does_not_matter(list in prop::collection::vec(pattern(), 0..6)) {
            let forward = Patterns::parse(list.iter().map(String::as_str));
            prop_assert_eq!(forward, Patterns::parse(list.iter().rev().map(String::as_str)));
        }

        #[test]
        fn what_is_excluded_by_name_is_never_wanted(
            list in prop::collection::vec(pattern(), 0..6), event in prop::sample::select(EventType::ALL),
        ) {
            let exclusion = format!("!{event}");
            let texts = list.iter().map(String::as_str).chain([exclusion.as_str()]);
            prop_assert!(!Patterns::parse(texts).is_ok_and(|patterns| patterns.wants(event)));
        }
    }
}

//! One row of the upstream, with everything that it ever was: what a page shows of it, and what an oracle may ask of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use lumo_bridge::model::Amount;
use lumo_bridge::model::record::{Deposit, Wallet};

/// The number of a request, or of a change between two of them. Nothing happens in between.
pub(crate) type Moment = u64;

/// How far a deposit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    New,
    Confirming,
    Confirmed,
}

impl Status {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Confirming => "confirming",
            Self::Confirmed => "confirmed",
        }
    }
}

/// What is listed of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Stands for everything that neither status nor block tells.
    pub(crate) content: u32,
    pub(crate) status: Status,
    pub(crate) blocked: bool,
    /// Whether a wallet has a successor. Some servers no longer list it then; those that do show no difference.
    pub(crate) replaced: bool,
    /// Whether the item as it is listed cannot be read.
    pub(crate) spoiled: bool,
    /// When it last changed, for the order that puts it on top then.
    pub(crate) touched: Moment,
}

impl State {
    pub(crate) const fn fresh(moment: Moment) -> Self {
        Self { content: 0, status: Status::New, blocked: false, replaced: false, spoiled: false, touched: moment }
    }

    /// Whether the bridge waits for a confirmation before it believes this after that.
    pub(crate) fn regresses(&self, before: &Self) -> bool {
        (before.blocked && !self.blocked) || (before.status != Status::New && self.status == Status::New)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Wallet,
    Deposit,
}

/// A row, whether it is there or not.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) number: u64,
    pub(crate) user: u64,
    /// Its place in a list that has a fixed order; the smaller, the nearer to the top.
    pub(crate) rank: i64,
    pub(crate) created_at: DateTime<Utc>,
    /// What it was from which moment on; none while it is not there.
    pub(crate) history: Vec<(Moment, Option<State>)>,
}

impl Row {
    pub(crate) fn id(&self) -> String {
        match self.kind {
            Kind::Wallet => format!("w{}", self.number),
            Kind::Deposit => format!("d{}", self.number),
        }
    }

    /// The user's name in the merchant's system.
    pub(crate) fn external_id(&self) -> String {
        format!("u{}", self.user)
    }

    pub(crate) fn now(&self) -> Option<State> {
        self.history.last().and_then(|(_, state)| *state)
    }

    pub(crate) fn at(&self, moment: Moment) -> Option<State> {
        self.history.iter().rev().find(|(since, _)| *since <= moment).and_then(|(_, state)| *state)
    }

    /// Everything that it was in these moments.
    pub(crate) fn during(&self, moments: RangeInclusive<Moment>) -> impl Iterator<Item = Option<State>> + '_ {
        let first = self.at(*moments.start());
        let later = self.history.iter().filter(move |(since, _)| *since > *moments.start() && *since <= *moments.end());
        std::iter::once(first).chain(later.map(|(_, state)| *state))
    }

    /// Since when it has been such without a break; none if it is not now.
    pub(crate) fn since(&self, such: impl Fn(&State) -> bool) -> Option<Moment> {
        let holds = |state: &Option<State>| state.as_ref().is_some_and(&such);
        self.history.iter().rev().take_while(|(_, state)| holds(state)).last().map(|(since, _)| *since)
    }

    pub(crate) fn set(&mut self, moment: Moment, state: Option<State>) {
        match self.history.last_mut() {
            Some(last) if last.0 == moment => last.1 = state,
            _ => self.history.push((moment, state)),
        }
    }

    /// Changes with the content and with nothing else.
    pub(crate) fn fingerprint(&self, state: &State) -> i64 {
        let mut hasher = DefaultHasher::new();
        (self.kind, self.number, state.content, state.status, state.blocked).hash(&mut hasher);
        i64::from_ne_bytes(hasher.finish().to_ne_bytes())
    }

    pub(crate) fn wallet(&self, state: &State) -> Wallet {
        let State { content, blocked, .. } = state;
        Wallet {
            id: self.id().parse().unwrap(),
            company_id: "company".parse().unwrap(),
            external_id: self.external_id().parse().unwrap(),
            address: Some(format!("T{}-{content}", self.number)),
            is_blocked: *blocked,
            block_reason: blocked.then(|| format!("reason {content}")),
            last_usdt_balance: Some(nothing()),
            last_trx_balance: Some(nothing()),
            created_at: self.created_at,
            raw: format!(r#"{{"id":"w{}","content":{content},"isBlocked":{blocked}}}"#, self.number).into(),
            fingerprint: self.fingerprint(state),
        }
    }

    pub(crate) fn deposit(&self, state: &State) -> Deposit {
        let State { content, status, .. } = state;
        let status = status.as_str();
        Deposit {
            id: self.id().parse().unwrap(),
            company_id: Some("company".parse().unwrap()),
            wallet_id: None,
            external_id: Some(self.external_id().parse().unwrap()),
            address: None,
            from_address: None,
            tx_hash: None,
            amount: Some(nothing()),
            currency: None,
            status: status.to_owned(),
            confirmations: Some(i64::from(*content)),
            block_number: None,
            created_at: Some(self.created_at),
            updated_at: None,
            status_since: None,
            settled_at: None,
            raw: format!(r#"{{"id":"d{}","content":{content},"status":"{status}"}}"#, self.number).into(),
            fingerprint: self.fingerprint(state),
        }
    }
}

fn nothing() -> Amount {
    "0".parse().unwrap()
}

//! A test event: a sample of any type, with members that the operator sets, that nobody can take for a real one.
//!
//! Its id begins `evt_test_`, its `origin` is `test`, and the wallets, deposits and companies in it have ids that no real one has.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Ids, draft};
use crate::model::Amount;
use crate::model::draft::{Account, Draft, Origin, repeated};
use crate::model::event::EventType;
use crate::model::id::{EndpointName, EventId};
use crate::model::suggest::instead;

/// Longest path and value that are set.
const MAX_SETTING: usize = 4096;
/// Most members that are set.
const MAX_SETTINGS: usize = 50;

/// The first and the last of all UUIDs, which are given to nothing.
const NIL: &str = "00000000-0000-0000-0000-000000000000";
const MAX: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// What belongs to nobody.
const NOBODYS: Ids = Ids {
    company: NIL,
    other_company: MAX,
    user: "lumo-bridge-test",
    wallet: NIL,
    former_wallet: MAX,
    deposit: NIL,
    tx_hash: "0000000000000000000000000000000000000000000000000000000000000000",
};

/// Members that say what a thing is, and which one.
const FIXED: [&str; 7] = ["kind", "id", "company_id", "companyId", "wallet_id", "walletId", "event_id"];

/// Members that are amounts.
const AMOUNTS: [&str; 3] = ["amount", "last_usdt_balance", "last_trx_balance"];

/// A member of `data`, and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    path: String,
    value: String,
}

/// Why a test is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("`{0}` sets nothing: write a member and its value, as in `object.amount=5`")]
    NoSetting(String),
    #[error("a member and its value have more than {MAX_SETTING} bytes, or there are more than {MAX_SETTINGS} of them")]
    TooMuch,
    #[error("`{0}` cannot be set: by it receivers know a test from a real event")]
    Fixed(String),
    #[error("`{path}` cannot be set in {kind}: {instead}")]
    Unknown { path: String, kind: EventType, instead: String },
    #[error("`{path}` is {is}, which `{value}` is not")]
    Mistyped { path: String, is: &'static str, value: String },
    #[error("the test cannot be spelled")]
    Json(#[from] Bug),
}

/// What plain texts and numbers give no cause for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Bug(String);

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(Bug(error.to_string()))
    }
}

impl Setting {
    /// # Errors
    /// If it is too long.
    pub fn new(path: &str, value: &str) -> Result<Self, Refused> {
        if path.len() + value.len() > MAX_SETTING {
            return Err(Refused::TooMuch);
        }
        Ok(Self { path: path.to_owned(), value: value.to_owned() })
    }
}

impl FromStr for Setting {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let (path, value) = text.split_once('=').ok_or_else(|| Refused::NoSetting(text.to_owned()))?;
        Self::new(path, value)
    }
}

/// A test event, spelled as it is sent.
#[derive(Clone, Debug)]
pub struct Test {
    pub id: EventId,
    pub kind: EventType,
    pub body: String,
}

/// A test event of this type for this endpoint.
///
/// # Errors
/// If a member cannot be set, or not to this.
pub fn test(
    kind: EventType,
    endpoint: &EndpointName,
    account: Option<Account<'_>>,
    settings: &[Setting],
    now: DateTime<Utc>,
) -> Result<Test, Refused> {
    if settings.len() > MAX_SETTINGS {
        return Err(Refused::TooMuch);
    }
    let id = test_id(endpoint, now);
    let sample = draft(kind, &NOBODYS, endpoint)?;
    let draft = Draft { id: id.clone(), origin: Origin::Test, occurred_at: now, detected_at: now, ..sample };
    let body = draft.body(0, account)?;
    if settings.is_empty() {
        return Ok(Test { id, kind, body });
    }
    let mut body: Value = serde_json::from_str(&body)?;
    for setting in settings {
        set(&mut body["data"], kind, setting)?;
    }
    if let Some(user) = body["data"]["object"]["external_id"].as_str() {
        body["stream"] = format!("user:{user}").into();
    }
    Ok(Test { id, kind, body: body.to_string() })
}

/// An id that no event of the log has.
fn test_id(endpoint: &EndpointName, now: DateTime<Utc>) -> EventId {
    let derived = repeated("", EventType::BridgeTest, endpoint.as_str(), now.timestamp_micros(), "");
    let id = derived.as_str().replacen("evt_", "evt_test_", 1);
    #[expect(clippy::expect_used, reason = "five printable characters more are an id as well")]
    id.parse().expect("the id of a test is an id")
}

/// Sets a member of the data: one of `object` or `changes` that the sample has, or any of `upstream`, which is as Lumo lists it.
fn set(data: &mut Value, kind: EventType, Setting { path, value }: &Setting) -> Result<(), Refused> {
    let (part, rest) = path.split_once('.').unwrap_or((path, ""));
    let name = rest.rsplit('.').next().unwrap_or_default();
    if FIXED.contains(&name) {
        return Err(Refused::Fixed(path.clone()));
    }
    let unknown = |instead: String| Refused::Unknown { path: path.clone(), kind, instead };
    let settable = settable(data);
    let known: Vec<&str> = settable.iter().map(String::as_str).collect();
    match data.get_mut(part) {
        Some(Value::Object(upstream)) if part == "upstream" && !rest.is_empty() => {
            let mut names = rest.split('.');
            let last = names.next_back().unwrap_or(rest);
            let mut at = upstream;
            for name in names {
                let member = at.entry(name).or_insert_with(|| Value::Object(Map::new()));
                at = member.as_object_mut().ok_or_else(|| unknown(format!("`{name}` is no object")))?;
            }
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.clone().into());
            at.insert(last.to_owned(), value);
            Ok(())
        }
        _ if known.contains(&path.as_str()) => {
            let pointer = format!("/{}", path.replace('.', "/"));
            let member = data.pointer_mut(&pointer).ok_or_else(|| unknown(String::new()))?;
            *member = like(member, name, value).map_err(|is| Refused::Mistyped {
                path: path.clone(),
                is,
                value: value.clone(),
            })?;
            Ok(())
        }
        _ => Err(unknown(instead(path, &known, "it has no member that can be set"))),
    }
}

/// The members that the sample has and that may be set.
fn settable(data: &Value) -> Vec<String> {
    let members = |part: &'static str| data[part].as_object().into_iter().flatten().map(move |member| (part, member));
    let mut found = Vec::new();
    for (part, (name, value)) in members("object").chain(members("changes")) {
        match value {
            _ if FIXED.contains(&name.as_str()) => {}
            Value::Object(ends) => found.extend(ends.keys().map(|end| format!("{part}.{name}.{end}"))),
            _ => found.push(format!("{part}.{name}")),
        }
    }
    found
}

/// The text as a value of the kind that the member has.
fn like(member: &Value, name: &str, text: &str) -> Result<Value, &'static str> {
    match member {
        Value::Bool(_) => text.parse().map(Value::Bool).map_err(|_| "`true` or `false`"),
        Value::Number(_) => text.parse().map(|number: i64| number.into()).map_err(|_| "a whole number"),
        _ if AMOUNTS.contains(&name) => {
            text.parse::<Amount>().map(|amount| amount.as_str().into()).map_err(|_| "an amount")
        }
        _ => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::fixture::noon;

    fn made(kind: EventType, settings: &[&str]) -> Result<Value, Refused> {
        let settings: Vec<Setting> = settings.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let account = Account { company_id: "c-1", server: "https://b2b.lumowallet.io" };
        let Test { id, body, .. } = test(kind, &"shop".parse().unwrap(), Some(account), &settings, noon())?;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["id"], id.as_str());
        Ok(body)
    }

    #[test]
    fn no_test_can_be_taken_for_a_real_event() {
        for &kind in EventType::ALL {
            let body = made(kind, &[]).unwrap();
            assert!(body["id"].as_str().unwrap().starts_with("evt_test_"), "{body}");
            let facts = (&body["type"], &body["origin"], &body["company_id"]);
            assert_eq!(facts, (&json!(kind.as_str()), &json!("test"), &json!("c-1")));
            let object = &body["data"]["object"];
            if matches!(object["kind"].as_str(), Some("wallet" | "deposit")) {
                assert_eq!(
                    (&object["id"], &object["external_id"]),
                    (&json!(NIL), &json!("lumo-bridge-test")),
                    "{kind}"
                );
                assert_eq!(body["data"]["upstream"]["id"], NIL, "{kind}");
                assert_eq!(body["stream"], "user:lumo-bridge-test", "{kind}");
            }
        }
        for path in
            ["object.id", "object.kind", "object.wallet_id", "upstream.id", "upstream.walletId", "object.company_id"]
        {
            let refused = made(EventType::DepositSettled, &[&format!("{path}=x")]);
            assert_eq!(refused, Err(Refused::Fixed(path.to_owned())));
        }
        for path in ["origin", "id", "type", "data.object.id", "sequence", ""] {
            let refused = made(EventType::DepositSettled, &[&format!("{path}=live")]);
            assert!(matches!(refused, Err(Refused::Unknown { .. } | Refused::Fixed(_))), "{path}: {refused:?}");
        }
    }

    #[test]
    fn what_is_set_has_the_kind_that_the_member_has() {
        let settings = [
            "object.amount=5.000000000000000001",
            "object.confirmations=7",
            "object.external_id=user=42",
            "changes.status.from=pending",
            "upstream.fee.network=0.1",
            "upstream.memo=for Bob",
        ];
        let body = made(EventType::DepositSettled, &settings).unwrap();
        let (object, data) = (&body["data"]["object"], &body["data"]);
        assert_eq!((&object["amount"], &object["confirmations"]), (&json!("5.000000000000000001"), &json!(7)));
        assert_eq!((&object["external_id"], &body["stream"]), (&json!("user=42"), &json!("user:user=42")));
        assert_eq!(data["changes"]["status"], json!({ "from": "pending", "to": "confirmed" }));
        assert_eq!(data["upstream"]["fee"]["network"].to_string(), "0.1");
        assert_eq!(data["upstream"]["memo"], "for Bob");
        assert_eq!(
            made(EventType::WalletBlocked, &["object.is_blocked=false"]).unwrap()["data"]["object"]["is_blocked"],
            false
        );
    }

    #[test]
    fn what_cannot_be_set_is_refused_in_a_sentence() {
        for (kind, setting, sentence) in [
            (
                EventType::DepositSettled,
                "object.amuont=5",
                "`object.amuont` cannot be set in deposit.settled: did you mean `object.amount`?",
            ),
            (EventType::DepositSettled, "object.amount=five", "`object.amount` is an amount, which `five` is not"),
            (
                EventType::DepositSettled,
                "object.confirmations=1.5",
                "`object.confirmations` is a whole number, which `1.5` is not",
            ),
            (
                EventType::WalletBlocked,
                "object.is_blocked=yes",
                "`object.is_blocked` is `true` or `false`, which `yes` is not",
            ),
            (
                EventType::BridgeTest,
                "object.amount=5",
                "`object.amount` cannot be set in bridge.test: it has no member that can be set",
            ),
            (
                EventType::DepositSettled,
                "object.amount",
                "`object.amount` sets nothing: write a member and its value, as in `object.amount=5`",
            ),
            (
                EventType::DepositSettled,
                "upstream.status.deep=1",
                "`upstream.status.deep` cannot be set in deposit.settled: `status` is no object",
            ),
        ] {
            assert_eq!(made(kind, &[setting]).unwrap_err().to_string(), sentence);
        }
        let long = format!("upstream.memo={}", "x".repeat(MAX_SETTING));
        assert_eq!(made(EventType::DepositSettled, &[&long]).unwrap_err(), Refused::TooMuch);
        assert_eq!(made(EventType::DepositSettled, &["object.amount=1"; 51]).unwrap_err(), Refused::TooMuch);
    }
}

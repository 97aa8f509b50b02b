//! What the demonstration's receiver credits: each settled deposit once, in USDT, and exact to the last digit.
//!
//! It is read off what the receiver took, so nothing is credited of which a callback did not come and verify.

use std::collections::BTreeMap;
use std::sync::Arc;

use lumo_simulator::{Received, Verdict};
use serde_json::Value;

use crate::model::Amount;

/// What is credited of all that was received.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Credited {
    pub(super) deposits: usize,
    /// Their sum; none if there is none of them.
    pub(super) usdt: Option<Amount>,
}

impl Credited {
    /// # Errors
    /// If an amount is no number, or the sum has more digits than an amount may have.
    pub(super) fn of(received: &[Arc<Received>]) -> anyhow::Result<Self> {
        let mut bookings: BTreeMap<String, Amount> = BTreeMap::new();
        let taken = received.iter().filter(|callback| callback.succeeded() && callback.verdict == Verdict::Verified);
        for (deposit, amount) in taken.filter_map(|callback| booking(&callback.body)) {
            bookings.insert(deposit, amount.parse()?);
        }
        let mut usdt: Option<Amount> = None;
        for amount in bookings.values() {
            usdt = Some(match usdt {
                None => amount.clone(),
                Some(sum) => sum.plus(amount)?,
            });
        }
        Ok(Self { deposits: bookings.len(), usdt })
    }
}

/// The deposit and the amount that an event credits, if it credits one: what docs/crediting.md says.
fn booking(body: &[u8]) -> Option<(String, String)> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let deposit = &event["data"]["object"];
    let is_credited = event["type"] == "deposit.settled" && event["origin"] == "live" && deposit["currency"] == "USDT";
    let text = |name: &str| deposit[name].as_str().map(str::to_owned);
    text("id").zip(text("amount")).filter(|_| is_credited)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::fixture::noon;

    /// A callback about a deposit that would be credited, but for what is changed in its body.
    fn callback(deposit: &str, amount: &str, changed: &[(&str, &str)]) -> Received {
        let object = json!({ "kind": "deposit", "id": deposit, "amount": amount, "currency": "USDT" });
        let mut body = json!({ "type": "deposit.settled", "origin": "live", "data": { "object": object } });
        for (pointer, value) in changed {
            *body.pointer_mut(pointer).unwrap() = json!(value);
        }
        Received {
            at: noon(),
            path: "/".to_owned(),
            query: String::new(),
            headers: Vec::new(),
            id: None,
            attempt: None,
            event_type: None,
            stream: None,
            sequence: None,
            body: body.to_string().into(),
            verdict: Verdict::Verified,
            answered: 200,
        }
    }

    fn credited(callbacks: Vec<Received>) -> (usize, Option<String>) {
        let received: Vec<_> = callbacks.into_iter().map(Arc::new).collect();
        let Credited { deposits, usdt } = Credited::of(&received).unwrap();
        (deposits, usdt.map(|usdt| usdt.to_string()))
    }

    #[test]
    fn each_settled_deposit_is_credited_once_and_exactly() {
        assert_eq!(credited(Vec::new()), (0, None));
        let callbacks = [("a", "0.1"), ("b", "0.2"), ("a", "0.1"), ("c", "123456789012.000001")]
            .map(|(id, amount)| callback(id, amount, &[]));
        assert_eq!(credited(callbacks.into()), (3, Some("123456789012.300001".to_owned())));
    }

    #[test]
    fn nothing_else_is_credited() {
        let changed = [
            ("/type", "deposit.created"),
            ("/type", "deposit.status_changed"),
            ("/origin", "test"),
            ("/origin", "import"),
            ("/data/object/currency", "TRX"),
        ];
        let mut callbacks: Vec<_> = changed.into_iter().map(|change| callback("a", "1", &[change])).collect();
        callbacks.push(Received { answered: 503, ..callback("a", "1", &[]) });
        callbacks.push(Received { verdict: Verdict::Unchecked, ..callback("a", "1", &[]) });
        callbacks.push(Received { body: b"no JSON".to_vec(), ..callback("a", "1", &[]) });
        assert_eq!(credited(callbacks), (0, None));
    }
}

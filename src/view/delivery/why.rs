//! One sentence for each state of a delivery: why it is in it, until when, and what it takes.

use chrono::{DateTime, SecondsFormat, Utc};
use lumo_bridge_entity::endpoint;

use crate::model::delivery::State;
use crate::model::subscriber::Order;
use crate::store::query::DeliveryRow;

/// A time to the second, as sentences have it.
fn at(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The sentence, without its full stop.
#[must_use]
pub fn why(row: &DeliveryRow, now: DateTime<Utc>) -> String {
    match row.state {
        State::Pending => pending(row, now),
        State::Sending => sending(row, now),
        State::Delivered => delivered(row),
        State::Retrying => retrying(row, now),
        State::AwaitingAck => {
            let by = row.ack_by.map(|by| format!(" until {}", at(by))).unwrap_or_default();
            format!("answered, and waiting{by} for the receiver's row in `lumo_acks`; it is sent again without one")
        }
        State::Held => held(row, now),
        State::Dead => {
            let attempts = counted(row.attempts);
            let error = row.last_error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
            let retry = format!("`lumo-bridge delivery retry {}` begins anew", row.id);
            format!("given up after {attempts}{error}; {retry}, `delivery skip` puts it away")
        }
        State::Skipped => match row.last_error.as_deref() {
            Some(reason) => format!("given up by the operator: {reason}"),
            None => "given up by the operator".to_owned(),
        },
        State::Filtered => format!("not sent: `when` of {} was false for it", row.id.endpoint),
        State::Superseded => "not sent: a newer balance of the same wallet took its place".to_owned(),
    }
}

/// Until when an active endpoint is not called, by its own word.
#[must_use]
pub fn hold(state: endpoint::State, hold_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<String> {
    let until = hold_until.filter(|until| *until > now && state == endpoint::State::Active)?;
    Some(format!("held until {} (Retry-After)", at(until)))
}

fn held_by_answer(row: &DeliveryRow, now: DateTime<Utc>) -> Option<String> {
    let hold = hold(row.to.state, row.to.hold_until, now)?;
    Some(format!("{} is {hold}", row.id.endpoint))
}

fn sending(row: &DeliveryRow, now: DateTime<Utc>) -> String {
    match row.next_attempt_at {
        Some(until) if until <= now => "no answer to its request was noted; it is sent again in its turn".to_owned(),
        Some(_) if !row.to.is_led => {
            "its request was under way when its process ended; `lumo-bridge run` sends it again".to_owned()
        }
        Some(until) => format!("its request is under way; unless that ends, it is sent again at {}", at(until)),
        None => "its request is under way".to_owned(),
    }
}

fn pending(row: &DeliveryRow, now: DateTime<Utc>) -> String {
    let nobody = || format!("no process is known to deliver to {} at present; `lumo-bridge run` does", row.id.endpoint);
    let is_due = row.next_attempt_at.is_some_and(|due| due <= now);
    if let Some(event) = row.is_behind.as_ref().filter(|_| !is_due) {
        let whose = match row.to.order {
            Some(Order::User) => " of the same user",
            _ => "",
        };
        let most = row.next_attempt_at.map(|due| format!(", until {} at most", at(due))).unwrap_or_default();
        let nobody = if row.to.is_led { String::new() } else { format!("; {}", nobody()) };
        return format!("waits behind {event}{whose}{most}{nobody}");
    }
    if let Some(hold) = held_by_answer(row, now) {
        return hold;
    }
    if !row.to.is_led {
        return nobody();
    }
    match row.next_attempt_at.filter(|_| !is_due) {
        Some(due) => format!("is due at {}", at(due)),
        None => "is sent in its turn".to_owned(),
    }
}

fn delivered(row: &DeliveryRow) -> String {
    let answer = row.last_status.map(|status| format!(", answered {status}")).unwrap_or_default();
    match row.delivered_at {
        Some(time) => format!("delivered at {}{answer}", at(time)),
        None => "delivered; its attempts are no longer kept".to_owned(),
    }
}

fn retrying(row: &DeliveryRow, now: DateTime<Utc>) -> String {
    let error = row.last_error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
    let failed = match row.tries {
        0 => format!("turned away{error}, which is no attempt"),
        tries => format!("failed {}{error}", times(tries)),
    };
    if let Some(hold) = held_by_answer(row, now) {
        return format!("{failed}; {hold}");
    }
    match row.next_attempt_at {
        Some(due) if due > now => format!("{failed}; the next attempt is at {}", at(due)),
        _ => format!("{failed}; the next attempt is due"),
    }
}

fn held(row: &DeliveryRow, now: DateTime<Utc>) -> String {
    let name = &row.id.endpoint;
    if row.to.is_removed && row.ack_by.is_some() {
        return format!(
            "{name} is not configured any more; it was answered, and the receiver's row in `lumo_acks` is looked for once \
             {name} is configured again"
        );
    }
    if row.to.is_removed {
        return format!("{name} is not configured any more; it is sent once it is");
    }
    let since = at(row.to.since);
    match row.to.state {
        endpoint::State::Paused => format!("{name} is paused since {since}; `lumo-bridge endpoint resume {name}`"),
        endpoint::State::Suspended => {
            format!("{name} is suspended since {since}; repair the receiver, then `lumo-bridge endpoint resume {name}`")
        }
        endpoint::State::Failing | endpoint::State::Active => {
            let probe = match row.to.hold_until {
                Some(next) if next > now => format!(", next at {}", at(next)),
                Some(due) => format!(", the present one was due at {}", at(due)),
                None => String::new(),
            };
            format!("{name} fails since {since}; one delivery at a time is tried{probe}, and the rest follows in order")
        }
    }
}

fn counted(attempts: i32) -> String {
    if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") }
}

fn times(tries: i32) -> String {
    if tries == 1 { "once".to_owned() } else { format!("{tries} times") }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use lumo_bridge_entity::exception::Reason;

    use super::*;
    use crate::store::query::Addressee;

    fn now() -> DateTime<Utc> {
        "2026-05-04T10:00:00Z".parse().unwrap()
    }

    fn later(seconds: i64) -> Option<DateTime<Utc>> {
        Some(now() + TimeDelta::seconds(seconds))
    }

    fn row(state: State) -> DeliveryRow {
        DeliveryRow {
            id: "evt_a@shop".parse().unwrap(),
            seq: 7,
            kind: "deposit.created".to_owned(),
            stream: "user:42".to_owned(),
            external_id: None,
            state,
            reason: Reason::Live,
            attempts: 3,
            tries: 3,
            next_attempt_at: None,
            hold_until: None,
            ack_by: None,
            delivered_at: None,
            last_status: Some(500),
            last_error: Some("answered 500".to_owned()),
            since: now(),
            is_behind: None,
            to: Addressee {
                state: endpoint::State::Active,
                since: now(),
                hold_until: None,
                is_removed: false,
                is_led: true,
                order: Some(Order::User),
            },
        }
    }

    fn to(state: endpoint::State, hold_until: Option<DateTime<Utc>>) -> Addressee {
        Addressee { state, hold_until, ..row(State::Held).to }
    }

    fn unled() -> Addressee {
        Addressee { is_led: false, ..row(State::Pending).to }
    }

    #[test]
    fn each_state_is_said_in_words() {
        let behind = Some("evt_b".parse().unwrap());
        let held = endpoint::State::Active;
        for (row, words) in [
            (row(State::Pending), "is sent in its turn"),
            (DeliveryRow { is_behind: behind.clone(), ..row(State::Pending) }, "waits behind evt_b of the same user"),
            (
                DeliveryRow { is_behind: behind.clone(), next_attempt_at: later(60), ..row(State::Pending) },
                "waits behind evt_b of the same user, until 2026-05-04T10:01:00Z at most",
            ),
            (
                DeliveryRow { is_behind: behind.clone(), next_attempt_at: later(0), ..row(State::Pending) },
                "is sent in its turn",
            ),
            (DeliveryRow { next_attempt_at: later(60), ..row(State::Pending) }, "is due at 2026-05-04T10:01:00Z"),
            (
                DeliveryRow { to: to(held, later(60)), ..row(State::Pending) },
                "shop is held until 2026-05-04T10:01:00Z (Retry-After)",
            ),
            (
                DeliveryRow { to: unled(), ..row(State::Pending) },
                "no process is known to deliver to shop at present; `lumo-bridge run` does",
            ),
            (
                DeliveryRow { is_behind: behind.clone(), to: unled(), ..row(State::Pending) },
                "waits behind evt_b of the same user; no process is known to deliver to shop at present; `lumo-bridge run` does",
            ),
            (
                DeliveryRow { next_attempt_at: later(15), ..row(State::Sending) },
                "its request is under way; unless that ends, it is sent again at 2026-05-04T10:00:15Z",
            ),
            (
                DeliveryRow { next_attempt_at: later(0), ..row(State::Sending) },
                "no answer to its request was noted; it is sent again in its turn",
            ),
            (
                DeliveryRow { next_attempt_at: later(15), to: unled(), ..row(State::Sending) },
                "its request was under way when its process ended; `lumo-bridge run` sends it again",
            ),
            (
                DeliveryRow { delivered_at: later(-5), last_status: Some(200), ..row(State::Delivered) },
                "delivered at 2026-05-04T09:59:55Z, answered 200",
            ),
            (row(State::Delivered), "delivered; its attempts are no longer kept"),
            (
                DeliveryRow { next_attempt_at: later(30), ..row(State::Retrying) },
                "failed 3 times (answered 500); the next attempt is at 2026-05-04T10:00:30Z",
            ),
            (
                DeliveryRow { tries: 1, to: to(held, later(60)), ..row(State::Retrying) },
                "failed once (answered 500); shop is held until 2026-05-04T10:01:00Z (Retry-After)",
            ),
            (
                DeliveryRow { tries: 0, last_error: Some("answered 429".to_owned()), ..row(State::Retrying) },
                "turned away (answered 429), which is no attempt; the next attempt is due",
            ),
            (
                DeliveryRow { ack_by: later(60), ..row(State::AwaitingAck) },
                "answered, and waiting until 2026-05-04T10:01:00Z for the receiver's row in `lumo_acks`; it is sent again \
                 without one",
            ),
            (
                DeliveryRow { to: to(endpoint::State::Paused, None), ..row(State::Held) },
                "shop is paused since 2026-05-04T10:00:00Z; `lumo-bridge endpoint resume shop`",
            ),
            (
                DeliveryRow { to: to(endpoint::State::Failing, later(8)), ..row(State::Held) },
                "shop fails since 2026-05-04T10:00:00Z; one delivery at a time is tried, next at 2026-05-04T10:00:08Z, and \
                 the rest follows in order",
            ),
            (
                DeliveryRow { to: to(endpoint::State::Failing, later(-10)), ..row(State::Held) },
                "shop fails since 2026-05-04T10:00:00Z; one delivery at a time is tried, the present one was due at \
                 2026-05-04T09:59:50Z, and the rest follows in order",
            ),
            (
                DeliveryRow { to: to(endpoint::State::Suspended, None), ..row(State::Held) },
                "shop is suspended since 2026-05-04T10:00:00Z; repair the receiver, then `lumo-bridge endpoint resume shop`",
            ),
            (
                DeliveryRow { to: Addressee { is_removed: true, ..row(State::Held).to }, ..row(State::Held) },
                "shop is not configured any more; it is sent once it is",
            ),
            (
                DeliveryRow {
                    to: Addressee { is_removed: true, ..row(State::Held).to },
                    ack_by: later(60),
                    ..row(State::Held)
                },
                "shop is not configured any more; it was answered, and the receiver's row in `lumo_acks` is looked for once \
                 shop is configured again",
            ),
            (
                row(State::Dead),
                "given up after 3 attempts (answered 500); `lumo-bridge delivery retry evt_a@shop` begins anew, `delivery skip` \
                 puts it away",
            ),
            (
                DeliveryRow { last_error: Some("booked by hand".to_owned()), ..row(State::Skipped) },
                "given up by the operator: booked by hand",
            ),
            (row(State::Filtered), "not sent: `when` of shop was false for it"),
            (row(State::Superseded), "not sent: a newer balance of the same wallet took its place"),
        ] {
            assert_eq!(why(&row, now()), words);
        }
    }
}

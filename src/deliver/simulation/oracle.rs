//! Checks the invariants after every transaction, at every request to a receiver, and when nothing is left to do.

use lumo_bridge_entity::exception::Reason;

use super::world::{MAX_HOLD, TIMEOUT, World};
use crate::deliver::machine::Sending;
use crate::model::id::EndpointName;
use crate::store::eye::Row;

/// Events up to a position without any record of their result.
const LOST: &str = r#"SELECT p.endpoint, e.seq FROM lumo_positions p JOIN lumo_events e ON e.seq <= p.position
JOIN lumo_subscriptions s ON s.endpoint = p.endpoint AND s."type" = e."type" AND s.state = 'wanted'
AND s.from_seq <= e.seq AND (s.through_seq IS NULL OR s.through_seq >= e.seq)
WHERE (e.audience IS NULL OR e.audience <> '!' || p.endpoint)
AND NOT EXISTS (SELECT 1 FROM lumo_exceptions x WHERE x.endpoint = p.endpoint AND x.seq = e.seq)
AND NOT EXISTS (SELECT 1 FROM lumo_delivery_attempts a WHERE a.endpoint = p.endpoint AND a.seq = e.seq
AND a.result IN ('delivered', 'filtered', 'superseded'))"#;

/// Records of events after a position that no command made.
const AHEAD: &str = "SELECT p.endpoint, x.seq FROM lumo_positions p
JOIN lumo_exceptions x ON x.endpoint = p.endpoint AND x.seq > p.position AND x.touched = 0
UNION ALL SELECT p.endpoint, a.seq FROM lumo_positions p
JOIN lumo_delivery_attempts a ON a.endpoint = p.endpoint AND a.seq > p.position
WHERE NOT EXISTS (SELECT 1 FROM lumo_exceptions x WHERE x.endpoint = a.endpoint AND x.seq = a.seq)";

/// Events that need no row, because an attempt records their result.
pub(super) const RECORDED: &str =
    "SELECT endpoint, seq FROM lumo_delivery_attempts WHERE result IN ('delivered', 'filtered', 'superseded')";

const DELIVERED: &str = "SELECT endpoint, group_concat(seq) AS seqs FROM lumo_delivery_attempts WHERE result = 'delivered' GROUP BY endpoint";

const OPEN: &str = "SELECT endpoint, seq FROM lumo_exceptions WHERE state NOT IN ('dead', 'skipped', 'delivered')";

fn pair(row: &Row) -> (EndpointName, i64) {
    (row.get::<String>("endpoint").parse().unwrap(), row.get("seq"))
}

impl World {
    pub(super) async fn pairs(&self, sql: &str) -> Vec<(EndpointName, i64)> {
        let rows = self.eye.rows(sql).await;
        rows.iter().map(pair).collect()
    }

    /// Checks the invariants, unless nobody has written since they were last checked.
    pub(super) async fn check(&mut self) {
        let version = self.eye.version().await;
        if self.checked == Some(version) {
            return;
        }
        self.checked = Some(version);
        let ledger = if self.has_ledger { "ledger" } else { "ledger_away" };
        let all = format!(
            "SELECT 'lost' AS kind, endpoint, seq FROM ({LOST}) UNION ALL SELECT 'ahead', endpoint, seq FROM ({AHEAD}) \
             UNION ALL SELECT 'dead', endpoint, seq FROM lumo_exceptions WHERE state = 'dead' \
             UNION ALL SELECT 'unequal', 'ledger', e.seq FROM lumo_events e \
             WHERE (SELECT COUNT(*) FROM {ledger} l WHERE l.event_id = e.id) \
             <> (SELECT COUNT(*) FROM lumo_delivery_attempts a WHERE a.endpoint = 'ledger' AND a.seq = e.seq AND a.result = 'delivered')"
        );
        for row in self.eye.rows(&all).await {
            let (name, seq) = pair(&row);
            let wrong = match row.get::<String>("kind").as_str() {
                "dead" if !self.may_be_dead(&name, seq) => "dead of an outage",
                "ahead" => "beyond the position",
                "lost" if !self.decided.contains(&(name.clone(), seq)) => "passed and not accounted for",
                "unequal" if !self.decided.contains(&(name.clone(), seq)) => "effect and record differ",
                _ => continue,
            };
            panic!("seed {}: {wrong}: {name}'s {seq}\n{}", self.seed, self.picture().await);
        }
        for row in self.eye.rows(DELIVERED).await {
            let name: EndpointName = row.get::<String>("endpoint").parse().unwrap();
            if self.settings(&name).is_sink {
                continue;
            }
            for seq in row.get::<String>("seqs").split(',').map(|seq| seq.parse().unwrap()) {
                let is_accepted = self.receivers[&name].events.get(&seq).is_some_and(|met| met.accepted > 0);
                assert!(is_accepted, "seed {}: {name} never accepted {seq}\n{}", self.seed, self.picture().await);
            }
        }
    }

    /// Whether a delivery may be dead: not because of an outage, as its receiver took another one since it first arrived,
    /// or just before.
    fn may_be_dead(&self, name: &EndpointName, seq: i64) -> bool {
        let receiver = &self.receivers[name];
        let met = receiver.events.get(&seq).cloned().unwrap_or_default();
        // Without an arrival, `when` could not be evaluated; without an acknowledgement, the receiver answered.
        let Some(first_at) = met.first_at.filter(|_| met.accepted == 0) else { return true };
        receiver.accepted_at.is_some_and(|at| at + TIMEOUT >= first_at)
    }

    /// Checks that a callback is sent in the order of its lane, and not again once it is delivered.
    pub(super) async fn check_arrival(&self, name: &EndpointName, sending: &Sending) {
        let seq = sending.event.seq;
        let is_commanded = |seq: i64| self.commanded.contains(&(name.clone(), seq));
        if sending.reason != Reason::Live || is_commanded(seq) {
            return;
        }
        let done = format!(
            "SELECT endpoint, seq FROM lumo_delivery_attempts a WHERE endpoint = '{name}' AND seq = {seq} AND result = 'delivered' \
             AND NOT EXISTS (SELECT 1 FROM lumo_exceptions x WHERE x.endpoint = a.endpoint AND x.seq = a.seq)"
        );
        let is_done = !self.pairs(&done).await.is_empty();
        assert!(!is_done, "seed {}: {name} was sent {seq} again\n{}", self.seed, self.picture().await);
        let settings = self.settings(name);
        let lets_through =
            |body: &str| settings.when.as_ref().is_none_or(|when| when.holds(body).is_ok_and(|sent| sent));
        assert!(lets_through(&sending.event.body), "seed {}: {name} was sent {seq}, which it left out", self.seed);
        let receiver = &self.receivers[name];
        if receiver.events.get(&seq).is_some_and(|met| met.arrivals > 0) {
            return;
        }
        let lane = settings.order.lane(&sending.event.stream);
        let Some(lane) = lane else { return };
        for before in self.open_before(name, seq).await {
            // Events that are never sent end before the tables show it.
            if settings.order.lane(&before.1).as_ref() != Some(&lane)
                || is_commanded(before.0)
                || !lets_through(&before.2)
            {
                continue;
            }
            let met = receiver.events.get(&before.0).cloned().unwrap_or_default();
            let is_over = if settings.ack_within.is_some() { met.is_acknowledged } else { met.accepted > 0 };
            let has_waited = met.first_answer.is_some_and(|at| at + MAX_HOLD <= self.now().utc);
            assert!(
                is_over || has_waited || self.has_jumped(),
                "seed {}: {name} was sent {seq} before {}: {met:?}\n{}",
                self.seed,
                before.0,
                self.picture().await
            );
        }
    }

    /// Earlier events that the endpoint wants and that the tables do not show as finished, with their streams and
    /// bodies.
    async fn open_before(&self, name: &EndpointName, seq: i64) -> Vec<(i64, String, String)> {
        let sql = format!(
            r#"SELECT e.seq, e.stream, e.body FROM lumo_events e
JOIN lumo_subscriptions s ON s.endpoint = '{name}' AND s."type" = e."type" AND s.state = 'wanted'
AND s.from_seq <= e.seq AND (s.through_seq IS NULL OR s.through_seq >= e.seq)
LEFT JOIN lumo_exceptions x ON x.endpoint = '{name}' AND x.seq = e.seq
WHERE e.seq < {seq} AND (e.audience IS NULL OR e.audience <> '!{name}')
AND (x.state IS NULL OR x.state NOT IN ('dead', 'skipped', 'delivered'))
AND NOT (x.state IS NULL AND EXISTS (SELECT 1 FROM lumo_delivery_attempts a WHERE a.endpoint = '{name}'
AND a.seq = e.seq AND a.result IN ('delivered', 'filtered', 'superseded')))
AND NOT EXISTS (SELECT 1 FROM lumo_events n JOIN lumo_subscriptions r ON r.endpoint = '{name}' AND r."type" = n."type"
AND r.state = 'wanted' AND r.from_seq <= n.seq AND (r.through_seq IS NULL OR r.through_seq >= n.seq)
WHERE n.object_id = e.object_id AND n.seq > e.seq AND e."type" = 'wallet.balance_changed')"#
        );
        let rows = self.eye.rows(&sql).await;
        rows.iter().map(|row| (row.get("seq"), row.get("stream"), row.get("body"))).collect()
    }

    /// Whether something waits, and a receiver always refuses all of it.
    pub(super) async fn waits_only_for_poison(&self) -> bool {
        let open = self.pairs(OPEN).await;
        !open.is_empty() && open.iter().all(|(name, seq)| self.receivers[name].poison.contains(seq))
    }

    /// Whether nothing waits.
    pub(super) async fn is_at_rest(&self) -> bool {
        let behind = "SELECT endpoint, position AS seq FROM lumo_positions WHERE position <> (SELECT last_seq FROM \
                      lumo_streams WHERE stream = '*')";
        self.pairs(&format!("{OPEN} UNION ALL {behind}")).await.is_empty()
    }

    pub(super) async fn check_rest(&mut self) {
        self.check().await;
        let view = "SELECT endpoint, seq, state FROM lumo_undelivered WHERE state NOT IN ('dead', 'skipped')";
        let undelivered = self.pairs(view).await;
        assert!(undelivered.is_empty(), "seed {}: undelivered at rest: {undelivered:?}", self.seed);
    }

    /// The tables, as text.
    pub(super) async fn picture(&self) -> String {
        let from =
            self.history.len().saturating_sub(usize::try_from(super::number("LUMO_TEST_LINES").unwrap_or(40)).unwrap());
        let mut picture = self.history[from..].join("\n") + "\n";
        for table in ["lumo_positions", "lumo_endpoints", "lumo_processes", "lumo_subscriptions", "lumo_exceptions"] {
            picture += &format!("-- {table}\n");
            for row in self.eye.rows(&format!("SELECT * FROM {table}")).await {
                picture += &row.to_string();
                picture.push('\n');
            }
        }
        picture
    }
}

//! The deliveries as people read them: one row for each event and endpoint that wants it.

/// A name and its query.
type View = (&'static str, fn() -> String);

pub(super) const VIEWS: [View; 2] = [("lumo_deliveries", deliveries), ("lumo_undelivered", undelivered)];

/// Every event and every endpoint that wants it or has a row of it. `a` is the attempt that ended the matter: none after it
/// ended it, too. Joins only, so that a question about one endpoint or one event is answered from the keys.
const FROM: &str = r#"
FROM lumo_endpoints n
JOIN lumo_positions p ON p.endpoint = n.name
JOIN lumo_events e ON 1 = 1
LEFT JOIN lumo_subscriptions s ON s.endpoint = n.name AND s."type" = e."type" AND s.from_seq <= e.seq
  AND (s.through_seq IS NULL OR s.through_seq >= e.seq)
  AND (e.audience IS NULL OR e.audience <> 'nobody' AND SUBSTR(e.audience, 2) <> n.name)
LEFT JOIN lumo_exceptions x ON x.endpoint = n.name AND x.seq = e.seq
LEFT JOIN lumo_delivery_attempts a ON a.endpoint = n.name AND a.seq = e.seq AND a.result IN ('delivered', 'filtered', 'superseded')
LEFT JOIN lumo_delivery_attempts l ON l.endpoint = n.name AND l.seq = e.seq AND l.result IN ('delivered', 'filtered', 'superseded')
  AND l.attempt > a.attempt"#;

/// A delivery is held by its endpoint's state; nothing is written for that.
const SHOWN_STATE: &str = r"
CASE WHEN x.state IN ('waiting', 'retrying', 'sending', 'awaiting_ack') AND n.removed_at IS NOT NULL THEN 'held'
     WHEN x.state IN ('waiting', 'retrying') AND n.state <> 'active' THEN 'held'
     WHEN x.state = 'waiting' THEN 'pending'
     WHEN x.state IS NOT NULL THEN x.state
     WHEN s.state = 'skipped' THEN 'skipped'
     WHEN e.seq <= p.position THEN COALESCE(a.result, 'delivered')
     WHEN n.state <> 'active' OR n.removed_at IS NOT NULL THEN 'held'
     ELSE 'pending' END";

const IS_WANTED: &str = "(s.endpoint IS NOT NULL OR x.endpoint IS NOT NULL) AND l.seq IS NULL";

fn deliveries() -> String {
    format!(
        r"SELECT e.id AS event_id, e.seq, n.name AS endpoint, {SHOWN_STATE} AS state,
COALESCE(x.attempts, a.attempt, 0) AS attempts, x.next_attempt_at,
CASE WHEN x.state = 'delivered' OR x.state IS NULL AND a.result = 'delivered' THEN a.started_at END AS delivered_at,
COALESCE(x.last_status, a.status) AS last_status,
COALESCE(x.last_error, s.reason) AS last_error, COALESCE(x.reason, a.reason, 'live') AS reason
{FROM}
WHERE {IS_WANTED}"
    )
}

fn undelivered() -> String {
    format!(
        r#"SELECT e.id AS event_id, e.seq, e."type", e.stream, e.stream_seq, e.external_id, n.name AS endpoint,
{SHOWN_STATE} AS state, e.detected_at AS since, COALESCE(x.attempts, 0) AS attempts, x.next_attempt_at, x.last_status,
COALESCE(x.last_error, s.reason) AS last_error
{FROM}
WHERE {IS_WANTED} AND (x.state <> 'delivered' OR x.state IS NULL AND (s.state = 'skipped' OR e.seq > p.position))"#
    )
}

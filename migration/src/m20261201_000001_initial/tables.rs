//! The tables and their indexes.

mod sync;

use crate::dialect::{Index, Table, Type, index, opt, req};
use sync::SYNC;

const ID: Type = Type::Key(128);
const EXTERNAL_ID: Type = Type::Key(700);
/// `user:` and an external id, `wallet:` or `deposit:` and an id.
const STREAM: Type = Type::Key(720);
const ENDPOINT: Type = Type::Key(64);
const NAME: Type = Type::Key(64);
const STATE: Type = Type::Key(16);

const fn unique(name: &'static str, columns: &'static str) -> Index {
    Index { name, columns, unique: true, only: None }
}

/// An index of the rows for which `only` holds, where the database has such indexes.
const fn partial(name: &'static str, columns: &'static str, only: &'static str) -> Index {
    Index { name, columns, unique: false, only: Some(only) }
}

const MIRROR: &[Table] = &[
    Table {
        name: "lumo_user_wallets",
        columns: &[
            req("id", ID),
            req("company_id", ID),
            req("external_id", EXTERNAL_ID),
            opt("address", Type::Text),
            req("is_blocked", Type::Bool),
            opt("block_reason", Type::Text),
            opt("last_usdt_balance", Type::Decimal),
            opt("last_trx_balance", Type::Decimal),
            req("created_at", Type::Time),
            req("raw", Type::LongText),
            req("fingerprint", Type::BigInt),
            req("version", Type::BigInt),
            req("first_seen_at", Type::Time),
            req("changed_at", Type::Time),
            opt("missing_since", Type::Time),
            req("row_no", Type::BigInt),
            // The company that the row is of, if the tables belong to another by now.
            opt("former_company_id", ID),
        ],
        primary: "id",
        indexes: &[
            index("lumo_user_wallets_external_id", "external_id"),
            unique("lumo_user_wallets_row_no", "row_no"),
            partial("lumo_user_wallets_former", "former_company_id", "former_company_id IS NOT NULL"),
            partial("lumo_user_wallets_missing", "missing_since", "missing_since IS NOT NULL"),
            partial("lumo_user_wallets_blocked", "is_blocked, row_no", "is_blocked = TRUE"),
            // By time and then by id, so that a reader who went as far as one row goes on with the next.
            index("lumo_user_wallets_created", "created_at, id"),
            // What is too long for a key is left out, and is no address.
            partial("lumo_user_wallets_address", "address(200)", "length(address) <= 200"),
        ],
    },
    Table {
        name: "lumo_user_deposits",
        columns: &[
            req("id", ID),
            opt("company_id", ID),
            opt("wallet_id", ID),
            opt("external_id", EXTERNAL_ID),
            opt("address", Type::Text),
            opt("from_address", Type::Text),
            opt("tx_hash", Type::Text),
            opt("amount", Type::Decimal),
            opt("currency", Type::Text),
            req("status", Type::Text),
            opt("confirmations", Type::BigInt),
            opt("block_number", Type::BigInt),
            opt("created_at", Type::Time),
            opt("updated_at", Type::Time),
            opt("status_since", Type::Time),
            opt("settled_at", Type::Time),
            req("raw", Type::LongText),
            req("fingerprint", Type::BigInt),
            req("version", Type::BigInt),
            req("first_seen_at", Type::Time),
            req("changed_at", Type::Time),
            opt("missing_since", Type::Time),
            req("row_no", Type::BigInt),
            // The company that the row is of, if the tables belong to another by now.
            opt("former_company_id", ID),
        ],
        primary: "id",
        indexes: &[
            index("lumo_user_deposits_external_id", "external_id"),
            index("lumo_user_deposits_wallet_id", "wallet_id"),
            unique("lumo_user_deposits_row_no", "row_no"),
            partial("lumo_user_deposits_former", "former_company_id", "former_company_id IS NOT NULL"),
            partial("lumo_user_deposits_missing", "missing_since", "missing_since IS NOT NULL"),
            // For queries that ask what is settled since then.
            partial("lumo_user_deposits_settled", "settled_at, id", "settled_at IS NOT NULL"),
            partial("lumo_user_deposits_new", "status(16), row_no", "status = 'new'"),
            index("lumo_user_deposits_created", "created_at, id"),
            partial("lumo_user_deposits_address", "address(200)", "length(address) <= 200"),
            partial("lumo_user_deposits_from_address", "from_address(200)", "length(from_address) <= 200"),
            partial("lumo_user_deposits_tx_hash", "tx_hash(200)", "length(tx_hash) <= 200"),
        ],
    },
];

const STATUSES: &[Table] = &[Table {
    name: "lumo_deposit_statuses",
    columns: &[
        req("from_status", Type::Key(200)),
        req("to_status", Type::Key(200)),
        // How often one followed the other, and after how long in all.
        req("times", Type::BigInt),
        req("seconds", Type::BigInt),
        req("last_at", Type::Time),
    ],
    primary: "from_status, to_status",
    indexes: &[],
}];

const LOG: &[Table] = &[
    Table {
        name: "lumo_events",
        columns: &[
            req("id", ID),
            req("seq", Type::BigInt),
            req("type", NAME),
            req("stream", STREAM),
            req("stream_seq", Type::BigInt),
            req("object_kind", NAME),
            req("object_id", ID),
            opt("external_id", EXTERNAL_ID),
            req("occurred_at", Type::Time),
            req("detected_at", Type::Time),
            req("origin", NAME),
            // Null: whoever wants the type. `nobody`: only by replay or backfill. `!name`: not the endpoint it is about.
            opt("audience", Type::Key(65)),
            req("body", Type::LongText),
        ],
        primary: "id",
        indexes: &[
            // With the type, so that a reader who wants few events finds them in the index alone.
            unique("lumo_events_seq", "seq, type"),
            index("lumo_events_external_id", "external_id"),
            index("lumo_events_object_id", "object_id"),
        ],
    },
    Table {
        name: "lumo_streams",
        columns: &[req("stream", STREAM), req("last_seq", Type::BigInt)],
        primary: "stream",
        indexes: &[],
    },
    Table {
        name: "lumo_subscriptions",
        columns: &[
            req("endpoint", ENDPOINT),
            req("type", NAME),
            req("from_seq", Type::BigInt),
            opt("through_seq", Type::BigInt),
            req("state", STATE),
            opt("reason", Type::Text),
        ],
        primary: "endpoint, type, from_seq",
        indexes: &[],
    },
];

const DELIVERY: &[Table] = &[
    Table {
        name: "lumo_endpoints",
        columns: &[
            req("name", ENDPOINT),
            req("state", STATE),
            req("since", Type::Time),
            req("consecutive_failures", Type::Int),
            opt("last_success_at", Type::Time),
            opt("last_error", Type::Text),
            opt("hold_until", Type::Time),
            opt("removed_at", Type::Time),
            req("ordering", STATE),
            req("fingerprint", Type::BigInt),
            opt("process", Type::BigInt),
            req("lease_ms", Type::BigInt),
            opt("backfill_since", Type::Time),
            opt("backfill_place", Type::LongText),
            opt("backfill_done_at", Type::Time),
        ],
        primary: "name",
        indexes: &[],
    },
    Table {
        name: "lumo_positions",
        columns: &[
            req("endpoint", ENDPOINT),
            req("position", Type::BigInt),
            req("epoch", Type::BigInt),
            req("revision", Type::BigInt),
            req("commits", Type::BigInt),
            req("seen", Type::BigInt),
        ],
        primary: "endpoint",
        indexes: &[],
    },
    Table {
        name: "lumo_exceptions",
        columns: &[
            req("endpoint", ENDPOINT),
            req("seq", Type::BigInt),
            req("event_id", ID),
            req("state", STATE),
            req("reason", STATE),
            // Rows that share one go one after the other; null: no order, or nothing is left to do.
            opt("lane", NAME),
            // Since the last start; the schedule counts these.
            req("tries", Type::Int),
            // Ever made.
            req("attempts", Type::Int),
            opt("next_attempt_at", Type::Time),
            opt("hold_until", Type::Time),
            opt("ack_by", Type::Time),
            // Whose request is under way.
            opt("epoch", Type::BigInt),
            // The revision at which a command last changed the row.
            req("touched", Type::BigInt),
            opt("last_status", Type::Int),
            opt("last_error", Type::Text),
            req("created_at", Type::Time),
            opt("ended_at", Type::Time),
        ],
        primary: "endpoint, seq",
        indexes: &[
            partial("lumo_exceptions_due", "endpoint, state, next_attempt_at, seq", "next_attempt_at IS NOT NULL"),
            partial("lumo_exceptions_lane", "endpoint, lane, seq", "lane IS NOT NULL"),
            partial("lumo_exceptions_ack", "endpoint, ack_by", "ack_by IS NOT NULL"),
            partial("lumo_exceptions_touched", "endpoint, touched", "touched > 0"),
            index("lumo_exceptions_state", "endpoint, state, seq"),
        ],
    },
    Table {
        name: "lumo_delivery_attempts",
        columns: &[
            req("endpoint", ENDPOINT),
            req("seq", Type::BigInt),
            req("attempt", Type::Int),
            req("event_id", ID),
            req("started_at", Type::Time),
            req("duration_ms", Type::BigInt),
            opt("status", Type::Int),
            opt("error", Type::Text),
            opt("response_body", Type::Text),
            req("result", STATE),
            req("reason", STATE),
        ],
        primary: "endpoint, seq, attempt",
        indexes: &[],
    },
    Table {
        name: "lumo_acks",
        columns: &[req("event_id", ID), req("endpoint", ENDPOINT)],
        primary: "event_id, endpoint",
        indexes: &[],
    },
    Table {
        name: "lumo_processes",
        columns: &[
            req("process", Type::BigInt),
            req("beat", Type::BigInt),
            req("started_at", Type::Time),
            // The endpoints of its configuration, as JSON: `{"name": fingerprint}`.
            req("endpoints", Type::LongText),
        ],
        primary: "process",
        indexes: &[],
    },
];

const OPERATOR: &[Table] = &[Table {
    name: "lumo_operator_actions",
    columns: &[
        req("id", Type::Serial),
        req("at", Type::Time),
        req("actor", NAME),
        req("action", STATE),
        // An endpoint, a delivery, a wallet or a company.
        req("object", Type::Text),
        // The event of the delivery.
        opt("event_id", ID),
        opt("reason", Type::Text),
    ],
    primary: "id",
    indexes: &[partial("lumo_operator_actions_event", "event_id", "event_id IS NOT NULL")],
}];

pub(super) fn tables() -> impl DoubleEndedIterator<Item = &'static Table> {
    [MIRROR, STATUSES, LOG, DELIVERY, OPERATOR, SYNC].into_iter().flatten()
}

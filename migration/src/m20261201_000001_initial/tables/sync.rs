//! What the reading of the lists remembers, and who reads.

use super::{EXTERNAL_ID, ID, NAME, STATE};
use crate::dialect::{Table, Type, index, opt, req};

pub(super) const SYNC: &[Table] = &[
    Table {
        name: "lumo_watches",
        // Others write here: whoever is watched already may be inserted again.
        columns: &[req("id", Type::Serial), req("external_id", EXTERNAL_ID), req("until", Type::Time)],
        primary: "id",
        indexes: &[index("lumo_watches_until", "until"), index("lumo_watches_external_id", "external_id")],
    },
    Table {
        name: "lumo_account",
        columns: &[
            // There is one row: 1.
            req("id", Type::Int),
            req("company_id", ID),
            req("server", Type::Text),
            req("since", Type::Time),
            opt("wrong_company_id", ID),
            opt("wrong_server", Type::Text),
            opt("wrong_since", Type::Time),
        ],
        primary: "id",
        indexes: &[],
    },
    Table {
        name: "lumo_sync_state",
        columns: &[
            req("listing", NAME),
            opt("import_started_at", Type::Time),
            opt("import_done_at", Type::Time),
            opt("page_limit", Type::Int),
            opt("last_total", Type::BigInt),
            opt("complete_through", Type::Time),
            opt("last_run_at", Type::Time),
            opt("last_error", Type::Text),
            opt("proved_through", Type::Time),
            opt("gap", Type::BigInt),
            opt("stalled_since", Type::Time),
            opt("unauthorized_since", Type::Time),
            opt("first_run_at", Type::Time),
            opt("memory", Type::LongText),
            opt("removals_held", Type::BigInt),
            opt("removals_held_since", Type::Time),
            opt("removals_held_why", Type::Text),
            opt("removals_accepted_at", Type::Time),
        ],
        primary: "listing",
        indexes: &[],
    },
    Table {
        name: "lumo_sync_runs",
        columns: &[
            req("listing", NAME),
            req("started_at", Type::Time),
            req("finished_at", Type::Time),
            req("outcome", STATE),
            req("requests", Type::BigInt),
            req("rows", Type::BigInt),
            req("appeared", Type::BigInt),
            req("changed", Type::BigInt),
            req("rejected", Type::BigInt),
            opt("error", Type::Text),
        ],
        primary: "listing, started_at",
        indexes: &[],
    },
    Table {
        name: "lumo_sweeps",
        columns: &[
            req("listing", NAME),
            req("started_at", Type::Time),
            req("known_until", Type::BigInt),
            req("state", Type::LongText),
            req("updated_at", Type::Time),
        ],
        primary: "listing",
        indexes: &[],
    },
    Table {
        name: "lumo_sweep_seen",
        columns: &[req("listing", NAME), req("chunk", Type::Int), req("bits", Type::Bytes)],
        primary: "listing, chunk",
        indexes: &[],
    },
    Table {
        name: "lumo_sync_blocks",
        columns: &[req("listing", NAME), req("chunk", Type::Int), req("blocks", Type::Bytes)],
        primary: "listing, chunk",
        indexes: &[],
    },
    Table {
        name: "lumo_rejects",
        columns: &[
            req("listing", NAME),
            req("item", ID),
            opt("id", ID),
            req("raw", Type::LongText),
            req("reason", Type::Text),
            req("fingerprint", Type::BigInt),
            req("first_seen_at", Type::Time),
            req("last_seen_at", Type::Time),
        ],
        primary: "listing, item",
        indexes: &[],
    },
    Table {
        name: "lumo_leases",
        columns: &[
            req("resource", NAME),
            req("owner", ID),
            req("epoch", Type::BigInt),
            req("expires_at", Type::Time),
            opt("process", Type::BigInt),
        ],
        primary: "resource",
        indexes: &[],
    },
    Table { name: "lumo_meta", columns: &[req("name", NAME), req("value", Type::Text)], primary: "name", indexes: &[] },
];

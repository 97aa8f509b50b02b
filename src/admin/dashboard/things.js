// Users, deposits and wallets; and the search, which finds whatever has a name.

import { look, read, readExactly } from "./client.js";
import { CALLBACK, callbackRow, eventTable } from "./lists.js";
import { address, ago, cell, facts, id, json, link, make, moment, section, table } from "./page.js";

const SHOWN = 20;

export async function user({ id: name }, status) {
  const mine = (path, more) => read(path, { external_id: name, limit: SHOWN, ...more });
  const [owned, paid, open, told] = await Promise.all([mine("wallets"), mine("deposits"), mine("deliveries", { undelivered: true }), mine("events")]);
  const all = (view, text, { next }, params) => (next ? make("p", {}, make("a", { href: address(view, { user: name, ...params }) }, text)) : null);
  const { endpoints } = await status;
  const isKnown = [owned, paid, told].some(({ data }) => data.length > 0);
  return {
    title: `User ${name}`,
    content: [
      make("div", { class: "head" }, make("h1", { tabindex: -1 }, "User ", id(name, "user", 60))),
      isKnown ? null : make("p", { class: "soft" }, "Nothing is known of this user."),
      open.data.length > 0
        ? section("open", "Callbacks that are not delivered", table("open-list", CALLBACK, open.data.map((one) => callbackRow(one, endpoints))),
          all("callbacks", "All callbacks of this user that are not delivered", open, { state: "undelivered" }))
        : null,
      section("deposits", "Deposits", depositTable(paid.data)),
      section("wallets", "Wallets", walletTable(owned.data)),
      section("events", "Events", eventTable("event-list", told.data, "There are none."), all("events", "All events of this user", told)),
    ].filter(Boolean),
  };
}

const money = (one) => [make("strong", {}, one.amount ?? "no amount"), one.currency ? ` ${one.currency}` : null];

const depositTable = (all) =>
  table("deposit-list", ["Amount", "Status", "Made", "Deposit", "Transaction"], all.map((one) => make("tr", { "data-key": one.id },
    cell("Amount", link("deposit", one.id, money(one)), "what"), cell("Status", [one.status, " ", one.settled_at ? make("span", { class: "chip good" }, "settled") : null]),
    cell("Made", ago(one.created_at), "s"), cell("Deposit", id(one.id, "deposit"), "s"), cell("Transaction", id(one.tx_hash, `the transaction of deposit ${one.id},`), "s"))), "There are none.");

// Each as `lumo-bridge wallet list` calls it.
const walletState = (one) =>
  one.missing_since ? make("span", { class: "chip warn" }, "missing") : one.is_blocked ? make("span", { class: "chip bad" }, "blocked") : "active";

const walletTable = (all) =>
  table("wallet-list", ["Address", "State", "Created", "Wallet", "USDT"], all.map((one) => make("tr", { "data-key": one.id },
    cell("Address", [link("wallet", one.id, one.address ?? one.id), " "], "what"), cell("State", walletState(one)),
    cell("Created", ago(one.created_at), "s"), cell("Wallet", id(one.id, "wallet"), "s"), cell("USDT", one.last_usdt_balance, "n"))), "There are none.");

const NAMES = /^id$|_id$|hash$|address$/;
const CALLED = { wallet_id: "wallet", tx_hash: "transaction", is_blocked: "blocked", last_usdt_balance: "USDT", last_trx_balance: "TRX", external_id: "user" };
const called = (column, kind) => (column === "id" ? kind : CALLED[column] ?? column.replace(/_at$/, "").replaceAll("_", " "));

function shownAs(column, value, kind) {
  if (column === "wallet_id") return link("wallet", value);
  if (NAMES.test(column)) return id(value, called(column, kind), 70);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return /_(at|since)$/.test(column) ? moment(value) : String(value);
}

async function thing(kind, { id: name }, title) {
  const [[row, exact], told] = await Promise.all([readExactly(`${kind}s/${encodeURIComponent(name)}`), read("events", { object_id: name, limit: SHOWN })]);
  // The company stands at the head of the page.
  const { raw, external_id, company_id, ...columns } = row;
  const shown = Object.entries(columns).map(([column, value]) => [called(column, kind), value == null ? null : shownAs(column, value, kind)]);
  return {
    title: title(row),
    content: [
      make("h1", { tabindex: -1 }, title(row)),
      make("section", { "data-key": "facts" }, facts([["user", external_id && link("user", external_id)], ...shown])),
      section("events", "Events", eventTable("event-list", told.data, "There are none.")),
      section("raw", "As Lumo lists it", json(exact.raw)),
    ],
  };
}

export const deposit = (where) => thing("deposit", where, (one) => `Deposit of ${[one.amount ?? "no amount", one.currency].filter(Boolean).join(" ")} – ${one.status}`);
export const wallet = (where) => thing("wallet", where, (one) => `Wallet ${one.address ?? one.id}${one.is_blocked ? " – blocked" : ""}`);

/** Whatever the text names: an event, a delivery, a transaction, an address, a user, a deposit or a wallet. */
export async function search({ params: { q = "" } }) {
  const text = q.trim();
  const found = text ? await hits(text) : [];
  return {
    // One thing is shown at once.
    instead: found.length === 1 && found[0].rows.length === 1 ? found[0].rows[0].href : null,
    title: `Search: ${text}`,
    content: [
      make("h1", { tabindex: -1 }, "Search: ", make("q", {}, text)),
      found.length === 0 ? make("p", { class: "soft" }, `Nothing is known of “${text}”. An id must be whole; what is known was read from Lumo before.`) : null,
      ...found.map(({ title, content }) => section(title, title, content)),
    ].filter(Boolean),
  };
}

/** A few requests: what the text looks like is tried first. */
async function hits(text) {
  const list = async (path, params) => (await look(path, { ...params, limit: SHOWN }))?.data ?? [];
  const one = async (kind) => [await look(`${kind}s/${encodeURIComponent(text)}`)].filter(Boolean);
  if (text.startsWith("evt_")) {
    const event = await look(`events/${encodeURIComponent(text.split("@")[0])}`);
    return event ? [{ title: "Events", rows: [link("event", event.id)], content: eventTable("event-list", [event]) }] : [];
  }
  const group = (title, kind, rows, show) => (rows.length > 0 ? { title, rows: rows.map((row) => link(kind, row.id)), content: show(rows) } : null);
  const users = async () => {
    const [owned, told] = await Promise.all([list("wallets", { external_id: text }), list("events", { external_id: text })]);
    return owned.length + told.length > 0 ? [{ title: "User", rows: [link("user", text)], content: make("p", {}, link("user", text)) }] : [];
  };
  const hashes = async () => {
    const [sent, owned, paid] = await Promise.all([list("deposits", { tx_hash: text }), list("wallets", { address: text }), list("deposits", { address: text })]);
    return [group("Deposits of this transaction", "deposit", sent, depositTable), group("The wallet with this address", "wallet", owned, walletTable),
      group("Deposits to this address", "deposit", paid, depositTable)];
  };
  const ids = async () => {
    const [deposits, wallets] = await Promise.all([one("deposit"), one("wallet")]);
    return [group("Deposits", "deposit", deposits, depositTable), group("Wallets", "wallet", wallets, walletTable)];
  };
  // A transaction has 64 hexadecimal digits, an address of TRON begins with T and has 34 letters, and Lumo's ids are UUIDs.
  const isHash = /^(0x)?[0-9a-f]{64}$/i.test(text) || /^T[1-9A-HJ-NP-Za-km-z]{33}$/.test(text);
  const isId = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(text);
  for (const way of isHash ? [hashes, users, ids] : isId ? [ids, users, hashes] : [users, hashes, ids]) {
    const found = (await way()).filter(Boolean);
    if (found.length > 0) return found;
  }
  return [];
}

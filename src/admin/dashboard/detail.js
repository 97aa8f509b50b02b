// One thing in full, in a dialog: an event with every delivery and attempt, or what is known of a user.

import { act, isReadOnly, read, readExactly } from "./client.js";
import { age, ago, button, cell, find, make, say, state } from "./page.js";

const segment = encodeURIComponent;
let again = null;
let watching;

function show(title, ...content) {
  clearTimeout(watching);
  watching = null;
  const dialog = find("detail");
  const close = button("Close", () => dialog.close());
  dialog.firstElementChild.replaceChildren(make("div", { class: "head" }, make("h2", { id: "title" }, title), close), ...content.filter((part) => part != null));
  if (!dialog.open) dialog.showModal();
}

const facts = (pairs) =>
  make("dl", {}, pairs.filter(([, value]) => value != null && value !== "").map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));

const json = (value) => make("pre", { tabindex: 0 }, typeof value === "string" ? value : JSON.stringify(value, null, 2));

/** A button that does something, says what came of it, and shows the thing anew. */
export function doing(text, what, after) {
  if (isReadOnly()) return button(text, null, { disabled: true, title: "This token may look at everything and change nothing" });
  return button(text, async (event) => {
    const pressed = event.currentTarget;
    pressed.disabled = true;
    try {
      const told = await what();
      if (told) say(told);
      await (after ?? again)?.();
    } catch (error) {
      say(error.message);
    } finally {
      pressed.disabled = false;
    }
  });
}

export async function showEvent(id, endpoints) {
  const [event, exact] = await readExactly(`/api/events/${segment(id)}`);
  again = () => showEvent(id, endpoints);
  const to = make("select", { "aria-label": "Endpoint" }, endpoints.map((name) => make("option", {}, name)));
  const replay = doing("Send again", async () => {
    const { queued } = await act("/api/events/replay", { endpoint: to.value, ids: [event.id] });
    return queued ? `queued for ${to.value}` : `it is on its way to ${to.value} already`;
  });
  show(
    event.type,
    facts([
      ["event", event.id], ["stream", `${event.stream} #${event.stream_seq}`], ["user", event.external_id],
      [event.object_kind, event.object_id], ["occurred", ago(event.occurred_at)], ["detected", ago(event.detected_at)], ["origin", event.origin],
    ]),
    endpoints.length > 0 ? make("div", { class: "row" }, replay, " to ", to) : null,
    ...event.deliveries.map(delivery),
    event.deliveries.length === 0 ? make("p", { class: "hint" }, "No endpoint wanted it.") : null,
    ...byHand(event.actions),
    make("h3", {}, "Body"),
    json(exact.body),
  );
  watch(event, endpoints);
}

/** What operators did to the deliveries of an event. */
function byHand(actions) {
  if (actions.length === 0) return [];
  const told = (one) => [ago(one.at), `${one.action} ${one.object.split("@").pop()} – ${one.actor}${one.reason ? `: ${one.reason}` : ""}`];
  return [make("h3", {}, "By hand"), facts(actions.map(told))];
}

const isFinished = (one) => ["delivered", "dead", "skipped", "filtered", "superseded"].includes(one.state);
const canBeTried = (one) => ["retrying", "held", "dead", "skipped"].includes(one.state);
const canBeGivenUp = (one) => ["pending", "retrying", "held", "awaiting_ack"].includes(one.state);
const isDue = (one) => !isFinished(one) && (one.state === "sending" || (one.next_attempt_at && age(one.next_attempt_at) > -2));

/** Looks again while something is on its way, so that what came of it appears by itself. */
function watch(event, endpoints) {
  if (!event.deliveries.some(isDue)) return;
  watching = setTimeout(async () => {
    const dialog = find("detail");
    const mine = watching;
    const now = dialog.open ? await read(`/api/events/${segment(event.id)}`).catch(() => event) : event;
    if (!dialog.open || watching !== mine) return;
    if (JSON.stringify(now) === JSON.stringify(event) || dialog.querySelector(":active, select:focus")) watch(event, endpoints);
    else showEvent(event.id, endpoints).catch((error) => say(error.message));
  }, 1000);
}

function delivery(one) {
  const path = `/api/deliveries/${segment(one.id)}`;
  const retry = doing("Try now", async () => `${one.endpoint}: ${(await act(`${path}/retry`)).message}`);
  const skip = doing("Give up…", async () => {
    const reason = prompt("Why is this callback not to be sent? The reason is kept.");
    if (reason) return `${one.endpoint}: ${(await act(`${path}/skip`, { reason })).message}`;
  });
  const attempt = (row) =>
    make("tr", {},
      cell("Try", row.attempt), cell("Started", ago(row.started_at)), cell("Took", `${row.duration_ms} ms`, "s"),
      cell("Answer", row.status, row.status >= 200 && row.status < 300 ? "good" : "bad"),
      cell("Said", [row.error, row.response_body].filter(Boolean).join(" – ") || null));
  const head = make("thead", {}, make("tr", {}, ["Try", "Started", "Took", "Answer", "Said"].map((name) => make("th", {}, name))));
  return make("section", {},
    make("div", { class: "row" }, make("strong", {}, one.endpoint), state(one.state), make("small", {}, one.why), canBeTried(one) ? retry : null, canBeGivenUp(one) ? skip : null),
    facts([
      ["since", ago(one.since)], ["reason", one.reason === "live" ? null : one.reason],
      ["next attempt", one.next_attempt_at && !isFinished(one) ? ago(one.next_attempt_at) : null], ["last error", one.last_error],
    ]),
    one.history.length > 0 ? make("table", {}, head, make("tbody", {}, one.history.map(attempt))) : make("p", { class: "hint" }, "Not attempted, or too long ago."));
}

/** Whatever the text names: an event, a delivery, a deposit, a wallet, a transaction, an address, or a user. */
export async function search(text, endpoints) {
  const known = async (path) => {
    try {
      return await readExactly(path);
    } catch (error) {
      if (error.status === 404 || error.status === 400) return null;
      throw error;
    }
  };
  const id = segment(text);
  // A delivery is an event and an endpoint: `evt_…@shop`.
  const event = text.startsWith("evt_") ? text.split("@")[0] : null;
  if (event && (await known(`/api/events/${segment(event)}`))) return showEvent(event, endpoints);
  again = null;
  const [wallets, deposits, events] = await Promise.all(
    ["wallets", "deposits", "events"].map(async (list) => (await read(`/api/${list}?external_id=${id}`)).data));
  if (wallets.length + deposits.length + events.length === 0) {
    const [paid, owned, moved] = await Promise.all(
      [`deposits?tx_hash=${id}`, `wallets?address=${id}`, `deposits?address=${id}`].map(async (list) => (await read(`/api/${list}`)).data));
    if (paid.length > 0) return show(`Transaction ${text}`, ...rows("Deposits", paid, endpoints));
    if (owned.length + moved.length > 0) {
      return show(`Address ${text}`, ...rows("Wallets", owned, endpoints), ...rows("Deposits", moved, endpoints));
    }
    for (const kind of ["deposit", "wallet"]) {
      const found = await known(`/api/${kind}s/${id}`);
      if (found) return thing(kind, found, await read(`/api/events?object_id=${id}`), endpoints);
    }
    return say(`nothing is known of “${text}”`);
  }
  show(
    `User ${text}`,
    ...rows("Wallets", wallets, endpoints), ...rows("Deposits", deposits, endpoints),
    make("h3", {}, "Events"), told(events, endpoints));
}

/** What is known of some wallets or deposits, each with a way to the whole of it. */
function rows(title, all, endpoints) {
  const tell = {
    Wallets: (row) => (row.is_blocked ? "blocked" : row.address),
    Deposits: (row) => `${row.amount ?? "?"} ${row.currency ?? ""} – ${row.status}`,
  }[title];
  return [make("h3", {}, title), facts(all.map((row) => [button(row.id, () => search(row.id, endpoints), { class: "link" }), tell(row)]))];
}

function thing(kind, [row, exact], events, endpoints) {
  const { raw, ...columns } = row;
  show(`${kind} ${row.id}`, facts(Object.entries(columns).map(([name, value]) => [name, value == null ? null : String(value)])),
    make("h3", {}, "Events"), told(events.data, endpoints), make("h3", {}, "As the API listed it"), json(exact.raw));
}

const told = (events, endpoints) =>
  facts(events.map((event) => [button(event.type, () => showEvent(event.id, endpoints), { class: "link" }), ago(event.detected_at)]));

// The page: asks for the token if one is wanted, looks every few seconds, and follows the events as they come.

import { bars } from "./charts.js";
import { act, follow, isReadOnly, keepToken, read, whenRefused } from "./client.js";
import { doing, search, showEvent } from "./detail.js";
import { age, ago, button, cell, find, grow, make, say, span, state } from "./page.js";

const EVENTS = 50;
const LATE = 300;
let endpoints = [];
let activity = { hours: [] };
let following = false;

const rows = (id, all, none) =>
  find(id).replaceChildren(...(all.length > 0 ? all : [make("tr", {}, make("td", { colspan: 8, class: "hint" }, none))]));

function synced({ listings }) {
  const row = (one) => make("tr", {},
    cell("Listing", one.listing),
    cell("Rows", one.rows.toLocaleString(), "n"),
    cell("Complete through", ago(one.complete_through), age(one.complete_through) > LATE || one.stalled_since ? "warn" : ""),
    cell("Proved through", ago(one.proved_through)),
    cell("Gap", one.gap, one.gap ? "n warn" : "n"),
    cell("Last round", one.last_pass ? state(one.last_pass.outcome) : null),
    make("td", { class: "actions" }, doing("Sync now", async () => {
      const { rounds: [round] } = await act("/api/sync", { listing: one.listing });
      return `${round.listing}: ${round.outcome}, ${round.appeared} new, ${round.changed} changed`;
    }, refresh)));
  rows("listings", listings.map(row), "Nothing was read yet.");
}

function delivered() {
  const last = activity.hours.at(-1)?.deliveries ?? {};
  const row = (one) => {
    const path = `/api/endpoints/${encodeURIComponent(one.name)}`;
    const resume = doing("Resume", async () => `${one.name} is ${(await act(`${path}/resume`)).state}`, refresh);
    const pause = doing("Pause", async () => `${one.name} is ${(await act(`${path}/pause`)).state}`, refresh);
    const test = doing("Test", async () => {
      const tried = await act(`${path}/test`);
      return `${one.name}: ${tried.is_accepted ? "accepted" : "not accepted"}, ${tried.error ?? tried.status}, ${tried.duration_ms} ms`;
    }, refresh);
    return make("tr", {},
      cell("Endpoint", [make("div", {}, one.name, " ", make("small", {}, one.is_configured ? one.origin ?? "" : "no longer configured"))]),
      cell("State", state(one.state)),
      cell("Last hour", (last[one.name]?.delivered ?? 0).toLocaleString(), "n"),
      cell("Waiting", one.waiting.toLocaleString(), "n"),
      cell("Oldest wait", one.oldest_waiting_at ? span(age(one.oldest_waiting_at)) : null, age(one.oldest_waiting_at ?? new Date()) > LATE ? "warn" : ""),
      cell("Dead", one.dead.toLocaleString(), one.dead ? "n bad" : "n"),
      cell("Last success", ago(one.last_success_at)),
      make("td", { class: "actions" }, one.is_configured ? [test, " ", one.state === "active" ? pause : resume] : null));
  };
  rows("endpoints", endpoints.map(row), "No endpoint is configured: changes are stored, nobody is told.");
}

function judge({ summary, findings }) {
  const verdict = findings.map((one) => one.message).join(" · ") || summary;
  // Said only when it is another: those who listen need not hear it every few seconds.
  if (find("verdict").textContent !== verdict) find("verdict").textContent = verdict;
  find("verdict").title = findings.map((one) => one.hint).filter(Boolean).join("\n");
  find("verdict").className = findings.length > 0 ? "bad" : "good";
}

async function refresh() {
  grow();
  const status = await read("/api/status");
  endpoints = status.endpoints;
  find("reading").hidden = !isReadOnly();
  if (!hasFocus("listings")) synced(status);
  if (!hasFocus("endpoints")) delivered();
  judge(status);
}

/** Whether somebody presses a button there, or is about to: it must not be taken away from under them. */
const hasFocus = (id) => find(id).querySelector(":active, :focus-visible") != null;

async function charts() {
  activity = await read("/api/activity");
  const hours = activity.hours.map((hour) => {
    const parts = { delivered: 0, waiting: 0, dead: 0 };
    for (const fates of Object.values(hour.deliveries)) for (const kind of Object.keys(parts)) parts[kind] += fates[kind];
    return { at: hour.begins_at, parts };
  });
  const deposits = activity.hours.map((hour) => ({ at: hour.begins_at, parts: { deposits: hour.deposits } }));
  find("deposits").replaceChildren(bars(deposits, ["deposits"], "deposits"));
  find("deliveries").replaceChildren(bars(hours, ["delivered", "waiting", "dead"], "callbacks"));
}

const configured = () => endpoints.filter((one) => one.is_configured).map((one) => one.name);
const open = (id) => () => showEvent(id, configured()).catch((error) => say(error.message));

const eventRow = (event, kind) => make("tr", { class: kind },
  cell("When", ago(event.detected_at), "s"),
  cell("Type", button(event.type, open(event.id), { class: "link" }), "s"),
  cell("User", event.external_id, "user"),
  cell("About", `${event.object_kind} ${event.object_id}`, "about"),
  cell("Seq", event.seq, "n"));

async function feed() {
  const { data } = await read(`/api/events?limit=${EVENTS}`);
  rows("feed", data.map((event) => eventRow(event)), "Nothing has happened yet.");
  if (following) return;
  following = true;
  follow(data[0]?.seq ?? 0, (event) => {
    if (find("feed").querySelector("[colspan]")) find("feed").replaceChildren();
    find("feed").prepend(eventRow(event, "new"));
    while (find("feed").children.length > EVENTS) find("feed").lastElementChild.remove();
  }, (isUp) => (find("live").textContent = isUp ? "live" : "connection lost, trying again"))
    .finally(() => (following = false));
}

async function callbacks() {
  const { data } = await read(`/api/deliveries?limit=50&state=${find("state").value}`);
  const row = (one) => make("tr", {},
    cell("Since", ago(one.since), "s"), cell("Endpoint", one.endpoint, "s"), cell("State", state(one.state), "s"), cell("Tries", one.attempts, "n"),
    cell("Why", one.why), cell("Event", button(one.event_id, open(one.event_id), { class: "link" })));
  if (!hasFocus("callbacks")) rows("callbacks", data.map(row), `None is ${find("state").value}.`);
}

/** Does something now and again, and says while it does not work. */
function every(seconds, what) {
  const turn = async () => {
    try {
      if (!find("main").hidden && !document.hidden) await what();
      find("trouble").hidden = true;
    } catch (error) {
      find("trouble").textContent = `Not up to date: ${error.message}`;
      find("trouble").hidden = error.status === 401;
    }
    setTimeout(turn, seconds * 1000);
  };
  turn();
}

async function start() {
  await refresh();
  find("login").hidden = true;
  find("main").hidden = false;
  await Promise.all([charts(), feed(), callbacks()]);
  delivered();
}

whenRefused((message) => {
  find("main").hidden = true;
  find("reading").hidden = true;
  find("login").hidden = false;
  find("verdict").textContent = "";
  find("wrong").textContent = message;
  find("token").focus();
});
find("login").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(find("token").value);
  find("token").value = "";
  find("wrong").textContent = "";
  start().catch((error) => (find("wrong").textContent = error.message));
});
find("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = event.currentTarget.elements.text.value;
  if (text) search(text, configured()).catch((error) => say(error.message));
});
find("state").addEventListener("change", () => callbacks().catch((error) => say(error.message)));

start().catch((error) => {
  if (error.status === 401) return;
  find("main").hidden = false;
  find("trouble").textContent = `Not up to date: ${error.message}`;
  find("trouble").hidden = false;
});
every(4, refresh);
every(20, charts);
every(8, callbacks);

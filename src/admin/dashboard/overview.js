// The first view: what needs a hand, how current the copy is, how the endpoints do, the last day, the last events.

import { attention, isHeld, pause, resume, test } from "./attention.js";
import { read } from "./client.js";
import { deliveredTo, lastDay, lastDayPart } from "./day.js";
import { eventTable } from "./lists.js";
import { address, age, ago, cell, cut, facts, link, make, section, sentence, span, state, sync, table } from "./page.js";

const LATE = 300;
const LAST_EVENTS = 15;

export async function overview(_, status) {
  const now = await status;
  const [needed, { data }, day] = await Promise.all([attention(now), read("events", { limit: LAST_EVENTS }), lastDay(now)]);
  return {
    title: "Overview",
    isMoving: day.isCounting,
    content: [
      make("h1", { class: "unseen", tabindex: -1 }, "Overview"),
      needed,
      section("endpoints-part", "Is everything delivered?", endpoints(now, day)),
      section("listings-part", "Is everything synced?", listings(now), columnsExplained()),
      lastDayPart(day),
      section("feed-part", "Last events", eventTable("feed", data), make("p", {}, link("events", null, "All events"))),
    ].filter(Boolean),
  };
}

function listings({ listings }) {
  const row = (one) => make("tr", { "data-key": one.listing },
    cell("Listing", [make("strong", {}, one.listing), one.last_error ? make("p", { class: "why warn" }, sentence(one.last_error, `, of ${one.listing}`)) : null]),
    cell("State", state(one.state), one.state === "fresh" ? "calm" : ""),
    cell("Rows", one.rows.toLocaleString(), "n"),
    cell("Listed", one.last_total?.toLocaleString(), one.gap > 0 ? "n warn" : "n"),
    cell("Complete through", ago(one.complete_through), age(one.complete_through) > LATE || one.stalled_since ? "warn" : ""),
    cell("Proved through", ago(one.proved_through)),
    cell("Last round", one.last_pass ? state(one.last_pass.outcome) : null),
    make("td", { class: "actions" }, sync(one.listing)));
  return table("listings", ["Listing", "State", ["Rows", "n"], ["Listed", "n"], "Complete through", "Proved through", "Last round", ["", "actions"]], listings.map(row), "Nothing was read yet.");
}

/** What the head of the table cannot say in two words. */
const columnsExplained = () =>
  make("details", {}, make("summary", {}, "What the columns say"), facts([
    ["complete through", "every row that Lumo listed before this time is in your tables, judged by counts and order"],
    ["proved through", "the same, proved by a full re-read"],
    ["listed", "how many rows Lumo counted when it was last asked"],
    ["last round", "how the last reading on schedule ended"],
  ]));

function endpoints({ endpoints }, day) {
  const row = (one) => make("tr", { "data-key": one.name },
    cell("Endpoint", [make("strong", {}, one.name), make("p", { class: "soft" }, one.is_configured ? one.origin ?? "" : "no longer configured")]),
    cell("State", one.is_configured ? [state(isHeld(one) ? "held" : one.state), stateExplained(one)] : state("removed")),
    cell("Delivered, 24 h", deliveredTo(one.name, day)?.toLocaleString() ?? "…", "n"),
    cell("Waiting", waiting(one), "n"),
    cell("Oldest wait", one.oldest_waiting_at ? span(age(one.oldest_waiting_at)) : null, age(one.oldest_waiting_at ?? new Date()) > LATE ? "warn" : ""),
    cell("Dead", one.dead ? count(one, "dead", one.dead) : "0", one.dead ? "n bad" : "n"),
    cell("Last success", ago(one.last_success_at), "s"),
    make("td", { class: "actions" }, one.is_configured ? [test(one.name), " ", one.state === "active" && !isHeld(one) ? pause(one.name) : resume(one.name)] : null));
  return table("endpoints", ["Endpoint", "State", ["Delivered, 24 h", "n"], ["Waiting", "n"], "Oldest wait", ["Dead", "n"], "Last success", ["", "actions"]], endpoints.map(row),
    "No endpoint is configured: changes are stored, nobody is told.");
}

function stateExplained(one) {
  const why = isHeld(one) ? sentence(`until ${one.hold_until}, as it asked for (Retry-After)`) : one.state !== "active" && one.last_error ? cut(one.last_error, 120) : null;
  return why ? make("p", { class: "why" }, why) : null;
}

const waiting = (one) => (one.waiting ? count(one, "waiting", one.waiting) : "0");

/** A number that leads to what it counts. */
const count = (one, which, number) =>
  make("a", { href: address("callbacks", { state: which, endpoint: one.name }), "aria-label": `${number} callbacks of ${one.name}, ${which}` }, number.toLocaleString());

// Lists: events, callbacks, and items that could not be read.

import { isHeld, resume, retryAll } from "./attention.js";
import { act, read } from "./client.js";
import { asked, filters, pages } from "./filters.js";
import { about, ago, cell, cut, doing, id, json, link, make, sentence, state, table } from "./page.js";

const canBeTried = (one) => ["retrying", "dead", "skipped"].includes(one.state);

/** Why a delivery is in its state. The commands that help are left out: there are buttons for them. */
export const why = (one) => sentence(one.why.replace(/(;|, then) `lumo-bridge (delivery retry|endpoint resume) [^`]+`( begins anew, `delivery skip` puts it away)?$/, ""), null);

export const eventTable = (name, all, none = "Nothing has happened yet.") =>
  table(name, ["What", "Type", "When", "Event"], all.map(eventRow), none, "compact");

const eventRow = (event) => make("tr", { "data-key": event.id },
  cell("What", link("event", event.id, about(event), { title: `${event.object_kind} ${event.object_id}` }), "what"),
  cell("Type", event.type, "s"),
  cell("When", ago(event.detected_at), "s"),
  cell("Event", id(event.id, "event"), "s id-cell"));

const title = (what, { type, user, state: fate, endpoint }) =>
  [what, [type, user && `user ${cut(user, 24)}`, fate, endpoint].filter(Boolean).join(", ")].filter(Boolean).join(": ");

export async function events(where, status) {
  const { data, next } = await read("events", { ...asked(where.params), limit: 50 });
  const { endpoints } = await status;
  const isAll = Object.keys(where.params).length === 0;
  return {
    title: title("Events", where.params),
    content: [
      make("h1", { tabindex: -1 }, "Events"),
      filters("events", where, endpoints),
      make("section", { "data-key": "list" }, eventTable("events", data, isAll ? "Nothing has happened yet." : "No event is like that."), pages("events", where, next)),
    ],
  };
}

const NOT_DELIVERED = [["waiting", "waiting"], ["undelivered", "not delivered"]];

export async function callbacks(where, status) {
  const { state: fate = "", ...others } = asked(where.params);
  const which = ["waiting", "undelivered"].includes(fate) ? { [fate]: true } : { state: fate };
  const { data, next } = await read("deliveries", { ...others, ...which, limit: 50 });
  const { endpoints } = await status;
  const isAll = Object.keys(where.params).length === 0;
  return {
    title: title("Callbacks", where.params),
    content: [
      make("div", { class: "head" }, make("h1", { tabindex: -1 }, "Callbacks"), data.length > 0 ? allOfThem(fate, others) : null),
      filters("callbacks", where, endpoints, NOT_DELIVERED),
      make("section", { "data-key": "list" },
        table("callbacks", CALLBACK, data.map((one) => callbackRow(one, endpoints)), isAll ? "No event was to be sent yet." : "No callback is like that."),
        pages("callbacks", where, next)),
    ],
  };
}

/** One button for all that the filters take, where the API can do that. */
function allOfThem(fate, { type, external_id, endpoint, since, until }) {
  if (!["dead", "skipped"].includes(fate) || until) return null;
  const filter = Object.fromEntries(Object.entries({ state: fate, type, external_id, endpoint, since }).filter(([, value]) => value));
  return retryAll(`Retry all ${fate} callbacks that are listed`, filter);
}

export const CALLBACK = ["Callback", "Endpoint", "State", "Why", "Since", ["", "actions"]];

export const callbackRow = (one, endpoints) => make("tr", { "data-key": one.id },
  cell("Callback", [link("event", one.event_id, aboutCallback(one)), make("p", { class: "soft" }, one.type)], "what"),
  cell("Endpoint", one.endpoint, "s"),
  cell("State", state(one.state), "s"),
  cell("Why", why(one), "why"),
  cell("Since", ago(one.since), "s"),
  make("td", { class: "actions" }, helpWith(one, endpoints)));

const aboutCallback = ({ type, object, external_id: user, event_id }) =>
  about({ object: object ?? { user }, object_kind: type.split(".")[0], object_id: event_id });

/** The button that helps: an endpoint that takes no callbacks is resumed; what else failed is tried again. */
export function helpWith(one, endpoints) {
  const to = endpoints.find(({ name }) => name === one.endpoint);
  const waitsForIt = one.state === "held" || (["pending", "retrying"].includes(one.state) && to && isHeld(to));
  if (!waitsForIt) return canBeTried(one) ? tryNow(one) : null;
  return to?.is_configured ? resume(one.endpoint, `, which ${one.type} waits for, ${one.event_id}`, "", `Resume ${cut(one.endpoint, 16)}`) : null;
}

export const tryNow = (one) =>
  doing("Try now", `Try now: ${one.type} to ${one.endpoint}, ${one.event_id}`, async () => `${one.endpoint}: ${(await act(`deliveries/${encodeURIComponent(one.id)}/retry`)).message}`);

export async function rejects(where) {
  const { listing, after } = where.params;
  const { data, next } = await read("rejects", { listing, after, limit: 50 });
  const row = (one) => make("tr", { "data-key": `${one.listing}/${one.id ?? one.raw}` },
    cell("Item", id(one.id, "item") ?? "without an id", "what"),
    cell("Listing", one.listing, "s"),
    cell("Why", make("div", {}, one.reason, make("details", {}, make("summary", {}, "As Lumo lists it"), json(one.raw))), "why"),
    cell("First seen", ago(one.first_seen_at), "s"),
    cell("Last seen", ago(one.last_seen_at), "s"));
  return {
    title: listing ? `Items that cannot be read: ${listing}` : "Items that cannot be read",
    content: [
      make("h1", { tabindex: -1 }, "Items that cannot be read"),
      make("p", { class: "soft" }, "They are kept aside, and everything else goes on. Each is read again whenever Lumo lists it, and leaves this list by itself."),
      make("section", { "data-key": "list" }, table("rejects", ["Item", "Listing", "Why", "First seen", "Last seen"], data.map(row), "Every item can be read."), pages("rejects", where, next)),
    ],
  };
}

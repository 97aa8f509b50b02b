// Small things that every part of the page needs: making elements, telling times, cutting ids, saying what was done.

import { act, isReadOnly, query } from "./client.js";

/** An element. Text is only ever set as text, so nothing that comes from elsewhere can be markup. */
export function make(tag, attributes = {}, ...children) {
  const element = tag.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null));
  return element;
}

export const find = (id) => document.getElementById(id);

/** A cell that names its column, for screens too narrow for a head. */
export const cell = (label, content, kind) => make("td", { "data-label": label, class: kind }, content ?? "–");

/** A table with a head. An empty name is a column of buttons. On a phone a row is a card, unless it is all numbers: `dense`. */
export function table(name, columns, rows, none, kind) {
  if (rows.length === 0) return make("p", { class: "soft" }, none);
  const head = columns.map((column) => {
    const [text, kind] = [column].flat();
    return make("th", { class: kind, scope: "col" }, text || make("span", { class: "unseen" }, "Actions"));
  });
  return make("table", { "data-key": name, id: name, class: kind === "dense" ? kind : `cards ${kind ?? ""}` }, make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows));
}

/** A part of the page under a heading. */
export const section = (key, title, ...content) =>
  make("section", { "data-key": key, "aria-labelledby": `${key}-title` }, make("h2", { id: `${key}-title` }, title), ...content);

export const facts = (pairs) =>
  make("dl", {}, pairs.filter(([, value]) => value != null && value !== "").map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));

export const text = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

export const json = (value) => make("pre", { tabindex: 0 }, text(value));

// Where things are.

export const address = (view, params) => query(`#/${view}`, params);
export const link = (view, id, text, attributes) => make("a", { href: id == null ? `#/${view}` : `#/${view}/${encodeURIComponent(id)}`, ...attributes }, text ?? cut(id));

/** The view that the address names: `#/event/evt_…`, `#/events?user=42`. */
export function here() {
  const [path, asked = ""] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view, id] = path.split("/");
  return { view: view || "overview", id: decoded(id ?? ""), params: Object.fromEntries(new URLSearchParams(asked)), hash: location.hash };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Ids.

/** A long text without its middle. */
export function cut(text, most = 20) {
  const letters = [...text];
  if (letters.length <= most) return text;
  const end = Math.floor(most / 3);
  return `${letters.slice(0, most - end - 1).join("")}…${letters.slice(-end).join("")}`;
}

/** An id, cut, with a button that copies the whole; `what` it is an id of. */
export const id = (text, what, most) =>
  text ? make("span", { class: "id" }, make("code", { title: text }, cut(text, most)), copy(text, `Copy ${what} ${text}`)) : null;

export const copy = (text, label) =>
  make("button", { type: "button", class: "copy", "aria-label": label, title: "Copy", onclick: () => toClipboard(text) },
    make("svg:svg", { viewBox: "0 0 16 16", "aria-hidden": "true" },
      make("svg:rect", { x: 5.5, y: 5.5, width: 8, height: 8, rx: 1.5 }), make("svg:path", { d: "M10.5 3.5v-1h-8v8h1" })));

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS a browser has no clipboard but this one.
    const field = make("textarea", { class: "unseen" });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  say(`Copied ${cut(text, 40)}`);
}

// Times.

export function span(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [length, unit] of units) if (seconds >= 2 * length) return `${Math.floor(seconds / length)} ${unit}`;
  return `${Math.max(0, Math.floor(seconds))} s`;
}

export const age = (time) => (time ? (Date.now() - new Date(time)) / 1000 : Infinity);

/** Seconds by which the clocks of the bridge and of the browser may differ: what has just happened is not in the future. */
const CLOCK_TOLERANCE = 120;
const since = (time) => (age(time) < -CLOCK_TOLERANCE ? `in ${span(-age(time))}` : `${span(age(time))} ago`);

/** How long ago, with the time itself where one points. */
export const ago = (time) =>
  time ? make("time", { class: "ago", datetime: time, title: new Date(time).toLocaleString() }, since(time)) : "never";

/** The time itself, and how long ago that is. */
export const moment = (time) =>
  time ? make("span", {}, new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" }), " ", make("span", { class: "soft" }, "(", ago(time), ")")) : null;

/** Lets every age that is shown grow. */
export function grow() {
  for (const shown of document.querySelectorAll("time.ago")) shown.textContent = since(shown.dateTime);
}

function clock(time) {
  const date = new Date(time);
  const day = date.toDateString() === new Date().toDateString() ? {} : { day: "numeric", month: "short" };
  return date.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** A sentence of the API: its times as clocks show them here, its ids cut, its commands to be copied. `place` tells equal
 * commands of several sentences apart; where it is null, none is to be copied. */
export function sentence(text, place = "") {
  const parts = text.split(/(`[^`]+`|\d{4}-\d\d-\d\dT[\d:.]+Z|evt_[a-z2-7]{26})/);
  return parts.map((part) => {
    const code = part.startsWith("`") ? make("code", {}, part.slice(1, -1)) : null;
    if (code && place != null && part.startsWith("`lumo-bridge ")) return make("span", { class: "id" }, code, copy(code.textContent, `Copy ${code.textContent}${place}`));
    if (code) return code;
    if (/^\d{4}-.*Z$/.test(part)) return make("time", { datetime: part, title: part }, clock(part));
    return /^evt_[a-z2-7]{26}$/.test(part) ? link("event", part) : part;
  });
}

// Doing things.

let afterwards = () => {};
/** What follows whatever a button did. */
export const whenDone = (act) => (afterwards = act);

/** A button that does something and says what came of it. `label` is its name: what it does, and to what. */
export function doing(text, label, what, attributes) {
  const off = isReadOnly() ? { disabled: true, title: "This token may look at everything and change nothing" } : {};
  return make("button", { type: "button", "aria-label": label, ...attributes, ...off, onclick: async (event) => {
    const pressed = event.currentTarget;
    pressed.disabled = true;
    pressed.dataset.busy = "true";
    try {
      const told = await what();
      if (told) say(told);
    } catch (error) {
      say(error.message, "bad");
    } finally {
      pressed.disabled = false;
      delete pressed.dataset.busy;
      // What is disabled loses the keyboard.
      if (document.activeElement === document.body) pressed.focus();
      afterwards();
    }
  } }, text);
}

/** Says what will happen, and asks why. Returns the reason, or null if it is not to happen; `act` names the button that does it. */
export function reasonFor(title, told, act) {
  return new Promise((resolve) => {
    const reason = make("input", { id: "reason", required: true, pattern: ".*\\S.*", maxlength: 1000, autocomplete: "off" });
    const dialog = make("dialog", { "aria-labelledby": "asked", onclose: () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    } },
    make("form", { onsubmit: (event) => {
      event.preventDefault();
      dialog.close(reason.value.trim());
    } },
    make("h2", { id: "asked" }, title), told.map((one) => make("p", {}, one)),
    make("label", { for: "reason" }, "Why? The reason is kept with it."), reason,
    make("p", { class: "buttons" }, make("button", { class: "main", "aria-label": act }, act),
      make("button", { type: "button", "aria-label": "Cancel: change nothing", onclick: () => dialog.close() }, "Cancel"))));
    document.body.append(dialog);
    dialog.showModal();
    reason.focus();
  });
}

export const sync = (listing, more = "") => doing("Sync now", `Sync now: ${listing}${more}`, async () => {
  const { rounds: [round] } = await act("sync", { listing });
  return `${round.listing}: ${round.outcome}, ${round.appeared} new, ${round.changed} changed`;
});

/** A sentence of the API where nothing can be pressed or copied: its times as clocks show them here, and a button for its command. */
const spoken = (text) => text.replace(/until `lumo-bridge endpoint resume [^`]+`/g, "until “Resume” is pressed").replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, clock);

let saying;
export function say(text, kind = "") {
  const said = find("said");
  // A popover shown last is above everything.
  said.hidePopover();
  said.textContent = spoken(text);
  said.className = kind;
  said.showPopover();
  clearTimeout(saying);
  saying = setTimeout(() => said.hidePopover(), 6000);
}

const STATES = { active: "good", delivered: "good", complete: "good", dead: "bad", failing: "bad", suspended: "bad", failed: "bad" };
const CALM = ["pending", "sending", "awaiting_ack", "skipped", "filtered", "superseded", "cancelled"];

export const state = (name) => make("span", { class: `chip ${STATES[name] ?? (CALM.includes(name) ? "" : "warn")}` }, (name ?? "new").replace("_", " "));

/** What an event is about, money first: `12.5 USDT · confirmed · user 42`. */
export function about({ object, object_kind, object_id }) {
  const { amount, currency, status, user } = object;
  const money = amount == null ? null : [amount, currency].filter(Boolean).join(" ");
  const who = user && `${money || status ? "" : `${object_kind} of `}user ${cut(user, 24)}`;
  const parts = [money && make("strong", {}, money), status && cut(status, 30), who].filter(Boolean);
  if (parts.length === 0) parts.push(object_kind === "delivery" ? `callback to ${object_id.split("@").pop()}` : `${object_kind} ${cut(object_id)}`);
  return parts.flatMap((part, index) => (index === 0 ? [part] : [" · ", part]));
}

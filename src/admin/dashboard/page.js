// Small things that every part of the page needs: making elements, telling times, saying what was done.

/** An element. Text is only ever set as text, so nothing that comes from elsewhere can be markup. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
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

export const button = (text, act, attributes) => make("button", { type: "button", onclick: act, ...attributes }, text);

export function span(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [length, unit] of units) if (seconds >= 2 * length) return `${Math.floor(seconds / length)} ${unit}`;
  return `${Math.max(0, Math.floor(seconds))} s`;
}

export const age = (time) => (time ? (Date.now() - new Date(time)) / 1000 : Infinity);

const since = (time) => (age(time) < 0 ? `in ${span(-age(time))}` : `${span(age(time))} ago`);

/** How long ago, with the time itself where one points. */
export const ago = (time) =>
  time ? make("time", { datetime: time, title: new Date(time).toISOString() }, since(time)) : "never";

/** Lets every age that is shown grow. */
export function grow() {
  for (const shown of document.querySelectorAll("time")) shown.textContent = since(shown.dateTime);
}

let saying;
export function say(text) {
  const said = find("said");
  // A popover shown last is above everything, an open dialog included.
  said.hidePopover();
  said.textContent = text;
  said.showPopover();
  clearTimeout(saying);
  saying = setTimeout(() => said.hidePopover(), 6000);
}

const STATES = { active: "good", delivered: "good", complete: "good", dead: "bad", failing: "bad", suspended: "bad", failed: "bad" };
const CALM = ["pending", "sending", "awaiting_ack", "skipped", "filtered", "superseded", "cancelled"];

export function state(name) {
  return make("span", { class: STATES[name] ?? (CALM.includes(name) ? "" : "warn") }, name ?? "new");
}

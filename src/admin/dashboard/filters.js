// The filters of a list. What they say is in the address, so a view can be shared and gone back to.

import { address, make } from "./page.js";

const TYPES = [
  "deposit.created", "deposit.settled", "deposit.status_changed", "deposit.updated", "deposit.missing",
  "wallet.created", "wallet.blocked", "wallet.unblocked", "wallet.replaced", "wallet.balance_changed", "wallet.updated", "wallet.missing",
  "sync.stalled", "sync.recovered", "sync.unauthorized", "sync.wrong_account", "sync.removals_held", "sync.item_rejected",
  "endpoint.failing", "endpoint.suspended", "endpoint.recovered", "delivery.dead", "bridge.test",
];
const STATES = ["dead", "retrying", "held", "pending", "sending", "awaiting_ack", "skipped", "delivered", "filtered", "superseded"];
const TIMES = [["", "Any time"], ["1h", "Last hour"], ["1d", "Last day"], ["7d", "Last 7 days"], ["between", "Between…"]];

/** The filters of `#/view`, as the address has them. */
export function filters(view, { params, hash }, endpoints, states = []) {
  const isBetween = params.until != null || (params.since != null && !TIMES.some(([value]) => value === params.since));
  const time = isBetween || params.time === "between" ? "between" : params.since ?? "";
  const change = () => (location.hash = address(view, said(form)));
  const form = make("form", { class: "filters", "data-key": "filters", "data-keep": hash, "aria-label": "Filters", onchange: change,
    onsubmit: (event) => {
      event.preventDefault();
      change();
    } },
    choice("type", "Type", [["", "Any type"], ...TYPES.map((type) => [type, type])], params.type),
    make("label", {}, make("span", {}, "User"), make("input", { type: "search", name: "user", value: params.user, autocomplete: "off", spellcheck: "false", placeholder: "Anybody" })),
    choice("state", view === "callbacks" ? "State" : "Callbacks", [["", "Any state"], ...states, ...STATES.map((state) => [state, state.replace("_", " ")])], params.state),
    choice("endpoint", "Endpoint", [["", "Any endpoint"], ...endpoints.map(({ name }) => [name, name])], params.endpoint),
    choice("time", "When", TIMES, time),
    time === "between" ? [moment("since", "From", params.since), moment("until", "Until", params.until)] : null,
    Object.keys(params).length > 0 ? make("a", { class: "button", href: `#/${view}` }, "Clear") : null);
  return form;
}

function choice(name, label, options, chosen = "") {
  const known = options.some(([value]) => value === chosen) ? options : [...options, [chosen, chosen]];
  return make("label", {}, make("span", {}, label), make("select", { name }, known.map(([value, text]) => make("option", { value, selected: value === chosen }, text))));
}

function moment(name, label, value) {
  const date = new Date(value ?? NaN);
  const local = Number.isNaN(+date) ? null : new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
  return make("label", {}, make("span", {}, label), make("input", { type: "datetime-local", name, step: 1, value: local }));
}

/** What the filters say now, as an address has it. */
function said(form) {
  const { type, user, state, endpoint, time, since, until } = Object.fromEntries(new FormData(form));
  const utc = (local) => (local ? new Date(local).toISOString() : null);
  const when = time === "between" ? { time: utc(since) || utc(until) ? null : "between", since: utc(since), until: utc(until) } : { since: time };
  return { type, user: user.trim(), state, endpoint, ...when };
}

/** The same, as the API asks for it. */
export function asked({ type, user, state, endpoint, since, until, after }) {
  return { type, external_id: user, state, endpoint, since, until, after };
}

/** Ways to what is older, and back to the newest. */
export function pages(view, { params }, next) {
  const newest = params.after ? make("a", { class: "button", href: address(view, { ...params, after: null }) }, "Newest") : null;
  const older = next ? make("a", { class: "button", href: address(view, { ...params, after: next }) }, "Older") : null;
  return newest || older ? make("p", { class: "buttons" }, newest, older) : null;
}

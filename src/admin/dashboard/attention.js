// What needs a hand: one row for each finding, with why it is so and the button or the command that helps.

import { act, look, query, read } from "./client.js";
import { address, age, ago, cut, doing, link, make, section, sentence, sync } from "./page.js";

/** How many callbacks, actions or items are looked at to say why. */
const LOOKED_AT = 50;

/** What to do on this page. The API's own hints name commands. */
const HINTS = {
  dead_deliveries: "Repair what refuses them, then press “Retry all”: they are sent again under the same ids. What you have settled by hand you can give up on its page.",
  endpoint_failing: "Repair the receiver. It is tried at least once a minute, and what waits goes out in order once it answers; “Test” tries it at once.",
  endpoint_suspended: "Repair the receiver, press “Test”, then “Resume”: what waits goes out in order.",
  endpoint_paused: "“Resume” sends what waits, in order.",
  endpoint_held: "The receiver asked for this pause by Retry-After. It ends by itself; “Resume” ends it now.",
  items_rejected: "Everything else goes on without them. “Show” lists them, and why each cannot be read.",
};

export const hint = (finding) => HINTS[finding.code] ?? finding.hint;

/** The part of the page, or null if nothing is wrong. */
export async function attention({ findings, endpoints, listings }) {
  if (findings.length === 0) return null;
  const about = (name) => endpoints.find((one) => one.name === name) ?? listings.find((one) => one.listing === name);
  const rows = await Promise.all(findings.map(async (finding, index) => row(finding, index, await helpWith(finding, about(finding.about)))));
  return section("attention", "What needs a hand", make("ul", { class: "rows", id: "needs" }, rows));
}

// The hint of the worst one stands at the head of the page.
const row = (finding, index, { why, buttons = [] }) =>
  make("li", { "data-key": `${finding.code} ${finding.about ?? ""}`, class: finding.severity },
    make("div", { class: "what" },
      make("strong", {}, sentence(finding.message, `, of finding ${index + 1}`)),
      why ? make("p", { class: "why" }, why) : null,
      index > 0 && hint(finding) ? make("p", { class: "soft" }, sentence(hint(finding), `, for finding ${index + 1}`)) : null),
    buttons.length > 0 ? make("div", { class: "buttons" }, buttons) : null);

/** What more is known of a finding, and what can be done about it here. */
async function helpWith({ code, about }, subject) {
  switch (code) {
    case "dead_deliveries":
      return dead(about, subject?.dead);
    case "endpoint_failing":
      return { buttons: [test(about, ", which fails"), resume(about, ", which fails", "main")] };
    case "endpoint_suspended":
      return { buttons: [test(about, ", which is suspended"), resume(about, ", which is suspended", "main")] };
    case "endpoint_held":
      return { why: lastAnswer(subject), buttons: [resume(about, ", which is held", "main")] };
    case "endpoint_paused":
      return { why: await whoPaused(about), buttons: [resume(about, ", which is paused", "main")] };
    case "stalled":
    case "incomplete":
    case "overdue":
    case "import_pending":
      return { buttons: [sync(about, ", which is not up to date")] };
    case "items_rejected":
      return rejected(about, subject);
    default:
      return {};
  }
}

/** Whether an active endpoint is not called for now, as it has asked for. */
export const isHeld = ({ state, hold_until }) => state === "active" && hold_until != null && age(hold_until) < 0;

const lastAnswer = (endpoint) => (endpoint?.last_error ? ["Last answer: ", make("q", {}, endpoint.last_error)] : null);

// `more` tells two buttons apart that act on the same: one beside a finding, one in the table.
export const resume = (name, more = "", kind = "", text = "Resume") =>
  doing(text, `Resume ${name}${more}`, async () => `${name} is ${(await act(`endpoints/${encodeURIComponent(name)}/resume`)).state}`, { class: kind });

export const pause = (name) =>
  doing("Pause", `Pause ${name}`, async () => `${name} is ${(await act(`endpoints/${encodeURIComponent(name)}/pause`)).state}`);

export const test = (name, more = "") =>
  doing("Test", `Test ${name}${more}`, async () => {
    const tried = await act(`endpoints/${encodeURIComponent(name)}/test`);
    return `${name}: ${tried.is_accepted ? "accepted" : "not accepted"}, ${tried.error ?? tried.status}, ${tried.duration_ms} ms`;
  });

/** Tries again what a filter takes, and says how many that is, and which of them wait for their endpoint. */
export const retryAll = (label, filter) =>
  doing("Retry all", label, async () => {
    const { due, unwanted, held = [] } = await act("deliveries/retry", filter);
    const waits = held.map((one) => (one.due === due ? one.message : `${one.due} for ${one.endpoint}: ${one.message}`));
    const leftOut = unwanted > 0 ? [`${unwanted} left out, as the statement's \`events\` do not name their types`] : [];
    return [due === 1 ? "1 callback is due again" : `${due} callbacks are due again`, ...waits, ...leftOut].join("; ");
  }, { class: "main" });

async function dead(endpoint, number) {
  const filter = { state: "dead", endpoint };
  const show = make("a", { class: "button", href: address("callbacks", filter), "aria-label": `Show the dead callbacks of ${endpoint}` }, "Show");
  return { why: whyDead(await deathsOf(filter, number)), buttons: [show, retryAll(`Retry all dead callbacks of ${endpoint}`, filter)] };
}

/** The newest dead callbacks of each endpoint, as they were last read. */
const deaths = new Map();
/** While there are as many, they are read again after so long. */
const STAND = 30;

/** The newest ones, and the answers by which they died, the most frequent first. */
async function deathsOf(filter, number) {
  const last = deaths.get(filter.endpoint);
  if (last?.number === number && age(last.at) < STAND) return last;
  const at = new Date();
  const { data, next } = await read("deliveries", { ...filter, limit: LOOKED_AT });
  const errors = new Map();
  for (const one of data) errors.set(one.last_error, [...(errors.get(one.last_error) ?? []), one]);
  const most = [...errors].sort(([, a], [, b]) => b.length - a.length).slice(0, 3);
  const answers = await Promise.all(most.map(async ([error, { length, 0: first }]) => {
    const body = (await look(`deliveries/${encodeURIComponent(first.id)}`))?.history.at(-1)?.response_body;
    return { error, body, times: length };
  }));
  const found = { number, at, data, areMore: next != null, answers, others: errors.size - answers.length };
  deaths.set(filter.endpoint, found);
  return found;
}

/** By which answers callbacks died, and whose they are. */
function whyDead({ data, areMore, answers, others }) {
  if (data.length === 0) return null;
  const told = answers.map(({ error, body, times }) =>
    [make("q", {}, [error ?? "no answer is on record", body && cut(body, 80)].filter(Boolean).join(" – ")), times > 1 ? ` ${times} times` : null]);
  const users = [...new Set(data.map((one) => one.external_id).filter(Boolean))];
  const whose = users.length === 0 ? null : users.length <= 3 ? ["; user ", users.map((user, index) => [index > 0 ? ", " : null, link("user", user)])] : `; ${users.length} users`;
  return [areMore ? `Of the newest ${LOOKED_AT}: ` : null, told.map((one, index) => [index > 0 ? ", " : null, one]), others > 0 ? `, and ${others} other answers` : null, whose];
}

async function whoPaused(endpoint) {
  const { data } = await read("actions", { limit: LOOKED_AT });
  const found = data.find((one) => one.action === "pause" && one.object === endpoint);
  return found ? ["Paused by ", make("q", {}, found.actor), " ", ago(found.at), found.reason ? `: ${found.reason}` : null] : null;
}

async function rejected(listing, standing) {
  const { data } = await read("rejects", { listing, limit: 3 });
  const told = data.map((one) => make("li", {}, cut(one.id ?? "an item without an id", 24), ": ", make("q", {}, one.reason)));
  const show = make("a", { class: "button", href: query("#/rejects", { listing }), "aria-label": `Show the items of ${listing} that cannot be read` }, "Show");
  const more = (standing?.rejects ?? 0) > data.length ? make("li", {}, `and ${standing.rejects - data.length} more`) : null;
  return { why: [make("ul", {}, told, more), "It goes by itself once Lumo lists the item in a form that can be read."], buttons: [show] };
}

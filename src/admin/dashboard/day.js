// The last 24 hours, hour by hour: deposits, what they amount to, what became of the callbacks, how long those took, and what
// Lumo was asked.

import { bars, clock, took } from "./charts.js";
import { read } from "./client.js";
import { age, cell, make, section, table } from "./page.js";

/** The program itself counts no more often. */
const COUNTED_EVERY = 15;
/** What has not moved for so long is counted no more often than this: then only the requests to Lumo grow. */
const QUIET = 60;
/** Counting a long day may take a while, … */
const PATIENCE = 60_000;
/** … and the page is shown after this many milliseconds without it. */
const MOMENT = 150;
/** More currencies than this have no chart of their own. */
const CURRENCIES = 3;

const FATES = { delivered: "delivered", waiting: "waiting", dead: "dead", unsent: "not to be sent" };

const day = { hours: null, at: null, trouble: null };
let counting = null;
let moved = { sign: null, at: null };

/** Tells whether callbacks or deposits have moved since. */
const signOf = ({ endpoints, listings }) =>
  JSON.stringify([endpoints.map(({ name, waiting, retrying, dead, last_success_at }) => [name, waiting, retrying, dead, last_success_at]), listings.map(({ rows }) => rows)]);

/** The last 24 hours as they were counted last: `hours` is null before the first time. They are counted anew meanwhile, more
 * often while the status moves. */
export async function lastDay(status) {
  const sign = signOf(status);
  if (sign !== moved.sign) moved = { sign, at: new Date() };
  if (age(day.at) > (day.trouble || age(moved.at) < QUIET ? COUNTED_EVERY : QUIET)) {
    counting ??= read("activity", {}, PATIENCE)
      .then(({ hours }) => Object.assign(day, { hours, at: new Date(), trouble: null }), failed)
      .finally(() => (counting = null));
  }
  if (!day.hours && counting) await Promise.race([counting, new Promise((resolve) => setTimeout(resolve, MOMENT))]);
  return { ...day, isCounting: !day.hours && !day.trouble };
}

function failed(error) {
  // After the login it is asked again.
  if (error.status !== 401) Object.assign(day, { trouble: error.message, at: new Date() });
}

/** How many callbacks to an endpoint were delivered in that time; null if that is not known. */
export const deliveredTo = (name, { hours }) => hours && hours.reduce((sum, { deliveries }) => sum + (deliveries[name]?.delivered ?? 0), 0);

export function lastDayPart({ hours, trouble }) {
  if (!hours) return section("day", "The last 24 hours", make("p", { class: "soft" }, trouble ? `This could not be counted: ${trouble}.` : "Being counted…"));
  const counted = hours.map(fates);
  const currencies = inUse(hours);
  return section("day", "The last 24 hours",
    make("p", { class: "soft" }, `Whole hours, ${zone()}. The last one is not over yet. What becomes of older ones is counted anew every few minutes.`),
    make("div", { class: "charts" },
      deposits(hours),
      currencies.slice(0, CURRENCIES).map((currency) => volume(hours, currency)),
      hours.some((hour) => hour.volume === null) ? make("p", { class: "soft" }, "There are too many deposits to add up what they amount to.") : null,
      callbacks(hours, counted),
      latency(hours),
      requests(hours)),
    make("details", {}, make("summary", {}, "Hour by hour, in numbers"), numbers(hours, counted, currencies)));
}

const figure = (caption, chart) => make("figure", {}, make("figcaption", {}, caption), chart);
const total = (numbers) => numbers.reduce((sum, number) => sum + number, 0);
const key = (kind, text) => make("span", { class: `key ${kind}` }, text);

function deposits(hours) {
  const all = total(hours.map((hour) => hour.deposits)).toLocaleString();
  const points = hours.map((hour) => ({ at: hour.begins_at, heights: [["deposits", hour.deposits]], told: hour.deposits.toLocaleString() }));
  return figure(["Deposits per hour: ", make("strong", {}, all), " in all"], bars(points, { name: `${all} deposits in 24 hours` }));
}

/** The currencies of these hours, those of most hours first. */
function inUse(hours) {
  const counts = new Map();
  for (const { volume } of hours) for (const { currency } of volume ?? []) counts.set(currency, (counts.get(currency) ?? 0) + 1);
  return [...counts].sort(([a, more], [b, most]) => most - more || String(a).localeCompare(String(b))).map(([currency]) => currency);
}

const named = (currency) => currency ?? "without a currency";
const amountOf = ({ volume }, currency) => volume?.find((one) => one.currency === currency)?.amount;

/** Only the height of a bar is a float; what can be read are the digits of the API. */
function volume(hours, currency) {
  const all = `${sum(hours.map((hour) => amountOf(hour, currency) ?? "0"))} ${named(currency)}`;
  const points = hours.map((hour) => {
    const amount = amountOf(hour, currency) ?? "0";
    return { at: hour.begins_at, heights: [["deposits", Math.max(0, Number(amount))]], told: `${amount} ${named(currency)}` };
  });
  return figure(["Volume per hour: ", make("strong", {}, all), " in all"], bars(points, { name: `Deposits of ${all} in 24 hours` }));
}

/** The exact sum of decimals that are texts. */
function sum(decimals) {
  const places = Math.max(...decimals.map((one) => (one.split(".")[1] ?? "").length));
  const whole = decimals.reduce((all, one) => {
    const [before, after = ""] = one.split(".");
    return all + BigInt(before + after.padEnd(places, "0"));
  }, 0n);
  const digits = String(whole < 0n ? -whole : whole).padStart(places + 1, "0");
  const after = digits.slice(digits.length - places).replace(/0+$/, "");
  return `${whole < 0n ? "-" : ""}${digits.slice(0, digits.length - places)}${places > 0 && after ? `.${after}` : ""}`;
}

/** What became of the callbacks of an hour's events. */
function fates({ deliveries }) {
  const counts = Object.fromEntries(Object.keys(FATES).map((fate) => [fate, 0]));
  for (const of of Object.values(deliveries)) {
    counts.delivered += of.delivered;
    counts.waiting += of.waiting;
    counts.dead += of.dead;
    counts.unsent += of.skipped + of.left_out;
  }
  return counts;
}

function callbacks(hours, counted) {
  const kinds = Object.keys(FATES).filter((fate) => fate === "delivered" || counted.some((counts) => counts[fate] > 0));
  const points = counted.map((counts, index) => ({
    at: hours[index].begins_at,
    heights: kinds.map((fate) => [fate, counts[fate]]),
    told: kinds.filter((fate) => counts[fate] > 0).map((fate) => `${counts[fate].toLocaleString()} ${FATES[fate]}`).join(", ") || "none",
  }));
  const all = kinds.map((fate) => `${total(counted.map((counts) => counts[fate])).toLocaleString()} ${FATES[fate]}`);
  return figure(["Callbacks per hour: ", kinds.map((fate, index) => key(fate, all[index]))], bars(points, { name: `Callbacks in 24 hours: ${all.join(", ")}` }));
}

function latency(hours) {
  const points = hours.map(({ begins_at, latency }) => ({
    at: begins_at,
    heights: latency ? [["p99", latency.p99_ms], ["p50", latency.p50_ms]] : [],
    told: latency ? `half within ${took(latency.p50_ms)}, 99 of 100 within ${took(latency.p99_ms)}` : "none",
  }));
  const last = hours.findLast((hour) => hour.latency);
  const name = last ? `From noticing to accepted: since ${clock(last.begins_at)} half within ${took(last.latency.p50_ms)}, 99 of 100 within ${took(last.latency.p99_ms)}` : "No callback was delivered in 24 hours";
  return figure(["From noticed to accepted: ", key("p50", "half within (p50)"), key("p99", "99 of 100 within (p99)")], bars(points, { name, unit: "time", isNested: true }));
}

function requests(hours) {
  const rate = (number) => `${(number / 3600).toLocaleString([], { maximumSignificantDigits: 2 })} a second`;
  const points = hours.map(({ begins_at, requests }, index) => ({
    at: begins_at, heights: [["requests", requests ?? 0]],
    told: `${(requests ?? 0).toLocaleString()} requests${index < hours.length - 1 ? `, ${rate(requests ?? 0)}` : ""}`,
  }));
  const before = hours.at(-2)?.requests ?? 0;
  const all = total(hours.map((hour) => hour.requests ?? 0)).toLocaleString();
  return figure(["Requests to Lumo per hour: ", make("strong", {}, rate(before)), " in the last whole hour"], bars(points, { name: `${all} requests to Lumo in 24 hours` }));
}

/** The same in a table: exact, and for those who cannot point. */
function numbers(hours, counted, currencies) {
  const columns = ["Hour", ["Deposits", "n"], ...currencies.map((currency) => [`Volume, ${named(currency)}`, "n"]),
    ...Object.values(FATES).map((fate) => [fate[0].toUpperCase() + fate.slice(1), "n"]), ["p50", "n"], ["p99", "n"], ["Requests", "n"]];
  const rows = hours.map((hour, index) => make("tr", { "data-key": hour.begins_at },
    cell("Hour", make("time", { datetime: hour.begins_at }, new Date(hour.begins_at).toLocaleString([], { weekday: "short", hour: "numeric", minute: "2-digit" })), "s"),
    cell("Deposits", hour.deposits.toLocaleString(), "n"),
    currencies.map((currency) => cell(`Volume, ${named(currency)}`, amountOf(hour, currency) ?? "0", "n")),
    Object.entries(FATES).map(([fate, name]) => cell(name, counted[index][fate].toLocaleString(), "n")),
    cell("p50", hour.latency ? took(hour.latency.p50_ms) : null, "n"), cell("p99", hour.latency ? took(hour.latency.p99_ms) : null, "n"),
    cell("Requests", (hour.requests ?? 0).toLocaleString(), "n"))).reverse();
  return make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Hour by hour" }, table("hours", columns, rows, "", "dense"));
}

/** `in the time of Europe/Berlin (UTC+1)`. */
function zone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  const minutes = -new Date().getTimezoneOffset();
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  const offset = `UTC${minutes < 0 ? "−" : "+"}${hours}${rest ? `:${String(rest).padStart(2, "0")}` : ""}`;
  return minutes === 0 ? "in UTC" : `in the time of ${name || "this device"} (${offset})`;
}

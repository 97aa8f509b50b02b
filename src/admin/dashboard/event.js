// An event in full: what it says, every delivery with every attempt, and what operators did to those.

import { act, readExactly } from "./client.js";
import { helpWith, why } from "./lists.js";
import { about, age, ago, cell, copy, doing, facts, id, json, link, make, moment, reasonFor, section, state, table, text } from "./page.js";

const isFinished = (one) => ["delivered", "dead", "skipped", "filtered", "superseded"].includes(one.state);
const canBeGivenUp = (one) => ["pending", "retrying", "held", "awaiting_ack", "dead"].includes(one.state);
const isDue = (one) => !isFinished(one) && (one.state === "sending" || (one.next_attempt_at && age(one.next_attempt_at) > -2));

export async function event({ id: name }, status) {
  // A delivery is an event and an endpoint: `evt_…@shop`.
  const [one, exact] = await readExactly(`events/${encodeURIComponent(name.split("@")[0])}`);
  const { endpoints } = await status;
  return {
    title: `${one.type} ${one.object.user ?? one.object_id}`,
    // What is on its way is looked at more often, so that what came of it appears by itself.
    isMoving: one.deliveries.some(isDue),
    content: [
      make("div", { class: "head" }, make("h1", { tabindex: -1 }, about(one)), make("span", { class: "tag" }, one.type)),
      make("section", { "data-key": "facts" }, facts([
        ["event", id(one.id, "event", 40)],
        ["user", one.external_id && link("user", one.external_id)],
        [one.object_kind, ["deposit", "wallet"].includes(one.object_kind) ? [link(one.object_kind, one.object_id), " "] : one.object_id],
        ["occurred", moment(one.occurred_at)], ["noticed", moment(one.detected_at)],
        ["stream", `${one.stream}, number ${one.stream_seq}`], ["origin", one.origin],
      ]), sendAgain(one)),
      section("deliveries", "Callbacks",
        one.deliveries.length === 0 ? make("p", { class: "soft" }, "No endpoint wanted it when it happened.") : null,
        one.deliveries.map((each) => delivery(each, about(one), endpoints))),
      one.actions.length > 0 ? section("by-hand", "By hand", facts(one.actions.map(done))) : null,
      make("section", { "data-key": "body", "aria-labelledby": "body-title" },
        make("div", { class: "head" }, make("h2", { id: "body-title" }, "Body"), copy(text(exact.body), "Copy the body")), json(exact.body)),
    ].filter(Boolean),
  };
}

/** Only to those that want it; first to one that lacks it. */
function sendAgain({ id: name, type, wanted_by }) {
  if (wanted_by.length === 0) return make("p", { class: "soft" }, `No configured endpoint wants ${type}.`);
  const to = make("select", { id: "to", "aria-label": "Endpoint to send it to", "data-keep": name }, wanted_by.map((one) => make("option", {}, one)));
  const send = doing("Send again", `Send ${name} again`, async () => {
    const endpoint = document.getElementById("to").value;
    const { queued, unwanted } = await act("events/replay", { endpoint, ids: [name] });
    if (unwanted) return `nothing is queued: ${endpoint} does not want ${type} any more`;
    return queued ? `queued for ${endpoint}` : `it is on its way to ${endpoint} already`;
  });
  return make("p", { class: "buttons" }, send, make("span", {}, "to"), to);
}

const done = (one) => [ago(one.at), `${one.action} ${one.object.split("@").pop()} – ${one.actor}${one.reason ? `: ${one.reason}` : ""}`];

function giveUp(one, what) {
  const told = [
    [`1 callback to ${one.endpoint} is given up: `, what, ` (${one.type}).`],
    one.state === "dead"
      ? "It is dead, so it is not sent by itself. Given up, it needs no hand any more: it counts as skipped."
      : `It is not sent to ${one.endpoint} any more. Other endpoints still get theirs, and callbacks that wait behind it go on.`,
    "The event stays here. To undo this, press “Try now” on this page.",
  ];
  return doing("Give up…", `Give up…: ${one.type} to ${one.endpoint}`, async () => {
    const reason = await reasonFor("Give up this callback?", told, "Give up 1 callback");
    if (reason) return `${one.endpoint}: ${(await act(`deliveries/${encodeURIComponent(one.id)}/skip`, { reason })).message}`;
  });
}

function delivery(one, what, endpoints) {
  const attempt = (row) => {
    const said = [row.error, row.response_body].filter(Boolean).join(" – ");
    return make("tr", { "data-key": row.attempt },
      cell("Try", row.attempt, "n"), cell("Started", ago(row.started_at), "s"), cell("Took", `${row.duration_ms} ms`, "s"),
      cell("Answer", row.status, row.status >= 200 && row.status < 300 ? "good" : "bad"),
      cell("Said", said || null, said ? "why" : "why none"));
  };
  const history = one.history.length > 0
    ? table(`attempts-${one.endpoint}`, [["Try", "n"], "Started", "Took", "Answer", "Said"], one.history.map(attempt))
    : make("p", { class: "soft" }, "Not attempted, or too long ago.");
  return make("div", { class: "delivery", "data-key": one.id },
    make("div", { class: "head" },
      make("h3", {}, one.endpoint, " ", state(one.state), one.reason === "live" ? null : [" ", make("span", { class: "tag" }, one.reason)]),
      make("div", { class: "buttons" }, helpWith(one, endpoints), canBeGivenUp(one) ? giveUp(one, what) : null)),
    make("p", { class: "why" }, why(one), isFinished(one) ? null : make("span", { class: "soft" }, " · noticed ", ago(one.since))),
    history);
}

// The page: asks for the token if one is wanted, shows the view that the address names, and looks again every few seconds and
// whenever something happens.

import { hint } from "./attention.js";
import { follow, isReadOnly, keepToken, query, read, whenRefused } from "./client.js";
import { event } from "./event.js";
import { callbacks, events, rejects } from "./lists.js";
import { morph } from "./morph.js";
import { overview } from "./overview.js";
import { find, grow, here, id, link, make, sentence, whenDone } from "./page.js";
import { deposit, search, user, wallet } from "./things.js";

const VIEWS = { overview, events, callbacks, rejects, event, user, deposit, wallet, search };
const USUALLY = 4000;
const SOON = 1000;
/** For so long after somebody did something, it is looked soon again. */
const HURRY = 8000;

let shown = null;
let lastAnswer = null;
let following = null;
let hurryUntil = 0;
let isUp = null;
let isGone = false;

// When to look.

let isWanted = false;
let wake = () => {};
function lookNow() {
  isWanted = true;
  wake();
}
function pause(time) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, time);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
    if (isWanted) wake();
  });
}

async function look() {
  for (;;) {
    isWanted = false;
    let isMoving = false;
    if (!document.hidden && !isLoginShown()) {
      try {
        isMoving = await turn();
        lastAnswer = new Date();
        if (!following) begin();
      } catch (error) {
        if (error.status !== 401) trouble(error);
        isMoving = true;
      }
    }
    await pause(isMoving || Date.now() < hurryUntil ? SOON : USUALLY);
  }
}

/** Asks once, and shows what was answered. */
async function turn() {
  const where = here();
  // Both are awaited below; if one fails, it is no matter what becomes of the other.
  const status = read("status");
  status.catch(() => {});
  const drawn = (Object.hasOwn(VIEWS, where.view) ? VIEWS[where.view] : overview)(where, status).catch(nothingThere);
  drawn.catch(() => {});
  head(await status, where.view);
  const { title, content, instead, isMoving = false } = await drawn;
  if (where.hash !== location.hash) {
    isWanted = true;
    return false;
  }
  if (instead) {
    location.replace(instead);
    return false;
  }
  show(where, title, content);
  return isMoving;
}

/** What an address names that is not there, or was asked for wrongly, is no trouble of the page. */
function nothingThere(error) {
  if (![400, 404].includes(error.status)) throw error;
  return { title: "Nothing is there", content: [make("h1", { tabindex: -1 }, "Nothing is there"), make("p", {}, sentence(error.message))] };
}

function show(where, title, content) {
  const view = find("view");
  const isAnother = shown !== null && shown !== where.hash;
  const filter = document.activeElement?.closest(".filters") ? document.activeElement.name : null;
  if (isAnother || view.hidden) view.replaceChildren(...content);
  else morph(view, content);
  view.hidden = false;
  find("nav").hidden = false;
  document.title = `${title} – lumo-bridge`;
  for (const one of find("nav").querySelectorAll("a")) {
    const isHere = one.hash === `#/${where.view === "overview" ? "" : where.view}`;
    if (isHere) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  if (isAnother) goOn(view, filter);
  shown = where.hash;
  grow();
}

/** Where the keyboard is in another view: at the filter that was changed, else at its head, unless somebody searches. */
function goOn(view, filter) {
  const same = filter && view.querySelector(`.filters [name="${filter}"]`);
  if (same) return same.focus();
  scrollTo(0, 0);
  if (!find("search").contains(document.activeElement)) view.querySelector("h1")?.focus({ preventScroll: true });
}

// The head: one sentence, what to do, and whose bridge this is.

function head({ summary, findings, account, version, database }, view) {
  isGone = false;
  live();
  const worst = findings[0];
  const kind = !worst ? "good" : worst.severity === "notice" ? "warn" : "bad";
  say(kind, summary, worst && hint(worst), worst && view !== "overview" ? [" ", link("", null, "Go to what needs a hand")] : []);
  morph(find("about"), about(account, version, database));
  document.body.classList.remove("stale");
}

function say(kind, summary, hint, more = []) {
  const said = make("p", {}, sentence(summary));
  // Said only when it is another: those who listen need not hear it every few seconds.
  if (find("summary").textContent !== said.textContent) find("summary").replaceChildren(...said.childNodes);
  morph(find("hint"), [...make("p", {}, hint ? sentence(hint) : null, more).childNodes]);
  find("hint").hidden = !hint && more.length === 0;
  find("verdict").className = kind;
}

function about(account, version, database) {
  const parts = [
    make("span", {}, `lumo-bridge ${version}`),
    account ? make("span", { title: account.server }, account.environment) : make("span", {}, "no account is known yet"),
    account ? make("span", {}, "company ", id(account.company_id, "company", 24)) : null,
    database ? make("span", {}, database) : null,
    isReadOnly() ? make("span", { id: "reading" }, "This token only reads: no button does anything") : null,
  ];
  return parts.filter(Boolean);
}

/** Nobody answers, or not as one should: then nothing that is shown is known to be true now. */
function trouble(error) {
  const since = lastAnswer ? ` Below is what it said at ${lastAnswer.toLocaleTimeString()}.` : "";
  if (error.isGone) say("bad", `${error.message}.`, `The page asks again by itself; is \`lumo-bridge run\` still running?${since}`);
  else say("bad", `This page is not up to date: ${error.message}.`, since.trim());
  document.body.classList.add("stale");
  isGone = Boolean(error.isGone);
  live();
}

/** Whether what happens is shown at once. A bridge that hangs keeps its connections, and sends nothing. */
function live() {
  if (isUp === null) return;
  const isLive = isUp && !isGone;
  find("live").textContent = isLive ? "live" : "connection lost, trying again";
  find("live").className = isLive ? "good" : "warn";
}

// What happens meanwhile.

let lastTold = 0;
/** Follows the events. A browser has few connections to one server, so only a page that is seen keeps one. */
function begin() {
  const mine = new AbortController();
  following = mine;
  const told = () => {
    const wait = lastTold + SOON - Date.now();
    if (wait > 0) return;
    lastTold = Date.now();
    lookNow();
    setTimeout(lookNow, SOON);
  };
  follow(told, (up) => {
    if (isUp !== null && isUp !== up) lookNow();
    isUp = up;
    live();
  }, mine.signal).finally(() => {
    if (following === mine) following = null;
  });
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) following?.abort();
  else lookNow();
});

// The token.

const isLoginShown = () => !find("login").hidden;
whenRefused((message) => {
  find("view").hidden = true;
  find("nav").hidden = true;
  find("login").hidden = false;
  find("verdict").hidden = true;
  find("about").replaceChildren();
  if (message) find("wrong").textContent = message;
  find("token").focus();
});
find("login").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(find("token").value);
  find("token").value = "";
  find("wrong").textContent = "";
  find("login").hidden = true;
  find("verdict").hidden = false;
  lookNow();
});

find("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const q = event.currentTarget.elements.text.value.trim();
  if (q) location.hash = query("#/search", { q });
});
find("skip").addEventListener("click", (event) => {
  event.preventDefault();
  (find("view").querySelector("h1") ?? find("view")).focus();
});
whenDone(() => {
  hurryUntil = Date.now() + HURRY;
  lookNow();
});
addEventListener("hashchange", lookNow);
setInterval(grow, 1000);
look();

// Asks the API. The token lives in sessionStorage only: it is gone with the tab.

// Beside the folder of this file, wherever a proxy has put both.
const API = new URL("../api/", import.meta.url);
const KEY = `lumo-bridge-token ${API.pathname}`;
let onRefused = () => {};
let readOnly = false;

export const whenRefused = (act) => (onRefused = act);
/** Whether the token only reads, as the last answer said. */
export const isReadOnly = () => readOnly;
export const keepToken = (token) => sessionStorage.setItem(KEY, token);

/** What was not done: `isGone` if nobody answered who could say why, else the status of the answer. */
class Trouble extends Error {
  constructor(message, { status, isGone = false }) {
    super(message);
    Object.assign(this, { status, isGone });
  }
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  const token = sessionStorage.getItem(KEY);
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(new URL(path, API), { ...options, headers });
  } catch {
    throw new Trouble("lumo-bridge does not answer", { isGone: true });
  }
  readOnly = response.headers.get("lumo-access") === "read_only";
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  // What is no error of this API comes from a proxy that reaches nobody.
  if (!error) throw new Trouble(`lumo-bridge is not reached: a proxy answers ${response.status}`, { status: response.status, isGone: true });
  if (response.status === 401) {
    sessionStorage.removeItem(KEY);
    onRefused(token ? error.message : "");
  }
  throw new Trouble([error.message, error.hint].filter(Boolean).join("; "), { status: response.status });
}

/** `events` and `{ limit: 5 }`; what is empty is left out. */
export function query(path, params = {}) {
  const asked = new URLSearchParams(Object.entries(params).filter(([, value]) => value != null && value !== "")).toString();
  return asked ? `${path}?${asked}` : path;
}

/** Longer than this nothing that is only read may take. */
const PATIENCE = 10_000;
const get = (path, patience = PATIENCE) => ask(path, { signal: AbortSignal.timeout(patience) });

export const read = async (path, params, patience) => (await get(query(path, params), patience)).json();

/** The same, or null if there is no such thing. */
export async function look(path, params) {
  try {
    return await read(path, params);
  } catch (error) {
    if (error.status === 404 || error.status === 400) return null;
    throw error;
  }
}

/** The same, and the numbers as they were spelled where the browser can tell: amounts must not go through a float. */
export async function readExactly(path) {
  const text = await (await get(path)).text();
  const spelled = (_, value, context) =>
    typeof value === "number" && context?.source && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
  return [JSON.parse(text), JSON.parse(text, spelled)];
}

export const act = async (path, body = {}) =>
  (await ask(path, { method: "POST", headers: { "content-type": "application/json", "lumo-actor": "dashboard" }, body: JSON.stringify(body) })).json();

/** Says whenever events were stored, until it is stopped. EventSource would do, but cannot send a token. */
export async function follow(tell, isUp, stop) {
  while (!stop.aborted) {
    try {
      const response = await ask("live", { signal: stop });
      isUp(true);
      for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        if (value.includes("data: ")) tell();
      }
    } catch (error) {
      if (error.status === 401) return;
    }
    if (stop.aborted) return;
    isUp(false);
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

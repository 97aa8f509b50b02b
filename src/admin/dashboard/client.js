// Asks the API. The token lives in sessionStorage only: it is gone with the tab, and no other page can read it.

const KEY = "lumo-bridge-token";
let onRefused = () => {};
let readOnly = false;

export const whenRefused = (act) => (onRefused = act);
/** Whether the token only reads, as the last answer said. */
export const isReadOnly = () => readOnly;
export const keepToken = (token) => sessionStorage.setItem(KEY, token);

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  const token = sessionStorage.getItem(KEY);
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(path, { ...options, headers });
  readOnly = response.headers.get("lumo-access") === "read_only";
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: { message: `answered ${response.status}` } }));
  if (response.status === 401) {
    sessionStorage.removeItem(KEY);
    onRefused(token ? error.message : "");
  }
  throw Object.assign(new Error([error.message, error.hint].filter(Boolean).join("; ")), { status: response.status });
}

export const read = async (path) => (await ask(path)).json();

/** The same, and the numbers as they were spelled where the browser can tell: amounts must not go through a float. */
export async function readExactly(path) {
  const text = await (await ask(path)).text();
  const spelled = (_, value, context) =>
    typeof value === "number" && context?.source && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
  return [JSON.parse(text), JSON.parse(text, spelled)];
}

export const act = async (path, body = {}) =>
  (await ask(path, { method: "POST", headers: { "content-type": "application/json", "lumo-actor": "dashboard" }, body: JSON.stringify(body) })).json();

/** Follows the events from a number on, for ever. EventSource would do, but cannot send a token. */
export async function follow(after, tell, isUp) {
  for (;;) {
    try {
      const response = await ask(`/api/live?after=${after}`);
      isUp(true);
      let rest = "";
      for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        const pieces = (rest + value).split("\n\n");
        rest = pieces.pop();
        for (const piece of pieces) {
          const data = piece.split("\n").find((line) => line.startsWith("data: "));
          if (!data) continue;
          const event = JSON.parse(data.slice(6));
          after = event.seq;
          tell(event);
        }
      }
    } catch (error) {
      if (error.status === 401) return;
    }
    isUp(false);
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
}

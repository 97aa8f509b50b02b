// A receiver of lumo-bridge callbacks with nothing but Node (18 or newer).
//   SHOP_WEBHOOK_SECRET="whsec_..." PORT=8800 node node.mjs
// SHOP_WEBHOOK_SECRET holds one secret, or two with a space between while they rotate. Put TLS in front.
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { link, mkdir, open, unlink } from "node:fs/promises";
import { createServer } from "node:http";

const TOLERANCE = 300; // seconds, either way

/** Returns what is wrong, or null. `body` is the Buffer as it came over the wire. */
function verify(secrets, headers, body, now = Date.now() / 1000) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^[\w-]{1,64}$/.test(id)) return "webhook-id is missing or odd";
  if (!/^\d{1,12}$/.test(timestamp)) return "webhook-timestamp is missing or odd";
  if (Math.abs(now - Number(timestamp)) > TOLERANCE) return "webhook-timestamp is too far from now";

  const given = (headers["webhook-signature"] ?? "").split(" ").map((signature) => Buffer.from(signature));
  for (const secret of secrets) {
    const hmac = createHmac("sha256", secret).update(`${id}.${timestamp}.`).update(body).digest("base64");
    const expected = Buffer.from(`v1,${hmac}`);
    if (given.some((one) => one.length === expected.length && timingSafeEqual(one, expected))) return null;
  }
  return "no signature matches";
}

const secrets = (process.env.SHOP_WEBHOOK_SECRET ?? "").split(" ").filter(Boolean).map((secret) => {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  if (key.length < 16) throw new Error("SHOP_WEBHOOK_SECRET is not whsec_ and base64");
  return key;
});
if (secrets.length === 0) throw new Error("SHOP_WEBHOOK_SECRET is not set");

const inbox = process.env.INBOX ?? "inbox";
await mkdir(inbox, { recursive: true });

// Keeps the event exactly once: true when it is new. A file that appears whole or not at all, under the event's id,
// stands here for a row with a unique key in your own database (see receivers.md), where it belongs in production.
async function store(id, body) {
  const draft = `${inbox}/${randomUUID()}.tmp`;
  const file = await open(draft, "wx");
  try {
    await file.writeFile(body);
    await file.sync();
    await link(draft, `${inbox}/${id}.json`); // fails when the name is taken
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  } finally {
    await file.close();
    await unlink(draft);
  }
}

async function handle(request, response) {
  if (request.method !== "POST") return response.writeHead(405, { connection: "close" }).end();
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > 1 << 20) return response.writeHead(413, { connection: "close" }).end();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  const wrong = verify(secrets, request.headers, body);
  if (wrong) return response.writeHead(401, { "content-type": "text/plain" }).end(`${wrong}\n`);

  const id = request.headers["webhook-id"];
  if (JSON.parse(body).origin === "test") {
    response.writeHead(204).end(); // `endpoint test` reads that it arrived; nothing is stored
    return console.log("test", id);
  }
  const fresh = await store(id, body);
  response.writeHead(204).end(); // answered; the work itself comes after, from the inbox
  console.log(fresh ? "stored" : "duplicate", id);
}

const server = createServer((request, response) => {
  handle(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(500).end(); // not stored: the bridge tries again
  });
});
server.listen(Number(process.env.PORT ?? 8800), "127.0.0.1", () => console.log("listening on", server.address().port));

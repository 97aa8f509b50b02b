"""A receiver of lumo-bridge callbacks with nothing but Python (3.9 or newer), which books settled deposits.

    SHOP_WEBHOOK_SECRET="whsec_..." PORT=8800 python3 python.py

SHOP_WEBHOOK_SECRET holds one secret, or two with a space between while they rotate. Put TLS in front. What is booked, and
why nothing else is: crediting.md.

INBOX (inbox.db) is the SQLite file that it keeps its tables in. `lumo-bridge reconcile` reads bookings from the database of
`database.url` only: with `database.url: sqlite://shop.db`, set INBOX=shop.db, and both are in one file.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 300  # seconds, either way
CURRENCIES = {"USDT"}  # what is credited
ORIGINS = {"live"}  # an imported deposit may have been credited by the system before this one


def verify(secrets, headers, body, now=None):
    """Returns what is wrong, or None. `body` is the bytes as they came over the wire."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not message_id:
        return "webhook-id is missing"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return "webhook-timestamp is missing or odd"
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE:
        return "webhook-timestamp is too far from now"

    given = headers.get("webhook-signature", "").encode().split(b" ")
    signed = f"{message_id}.{timestamp}.".encode() + body
    for secret in secrets:
        expected = b"v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
        if any(hmac.compare_digest(one, expected) for one in given):
            return None
    return "no signature matches"


def read_secrets(text):
    secrets = [base64.b64decode(one.removeprefix("whsec_"), validate=True) for one in text.split()]
    if not secrets:
        raise SystemExit("SHOP_WEBHOOK_SECRET is not set")
    return secrets


INBOX = os.environ.get("INBOX", "inbox.db")


TABLES = """
    CREATE TABLE IF NOT EXISTS webhook_inbox
        (webhook_id TEXT PRIMARY KEY, stream TEXT NOT NULL, sequence INTEGER NOT NULL, body TEXT NOT NULL, done_at TEXT);
    CREATE TABLE IF NOT EXISTS bookings
        (deposit_id TEXT PRIMARY KEY, user_id TEXT NOT NULL, amount TEXT NOT NULL, currency TEXT NOT NULL);
"""


def is_credited(event):
    deposit = event["data"]["object"]
    is_settled = event["type"] == "deposit.settled" and event["origin"] in ORIGINS
    return is_settled and deposit.get("currency") in CURRENCIES


def take(message_id, body):
    """Keeps the event exactly once, and books what it credits. Returns what it came to, in a word."""
    event = json.loads(body)
    if event["origin"] == "test":
        return "test"  # `endpoint test` reads that it arrived; nothing is stored
    with closing(sqlite3.connect(INBOX)) as database, database:  # one transaction
        is_new = database.execute(
            "INSERT INTO webhook_inbox (webhook_id, stream, sequence, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (webhook_id) DO NOTHING",
            (message_id, event["stream"], event["sequence"], body.decode()),
        ).rowcount
        if not is_new:
            return "duplicate"
        if not is_credited(event):
            return "stored"
        # Without a user or an amount this raises, and is answered 500: undelivered, until somebody looks.
        deposit = event["data"]["object"]
        is_booked = database.execute(
            "INSERT INTO bookings (deposit_id, user_id, amount, currency) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (deposit_id) DO NOTHING",
            (deposit["id"], deposit["external_id"], deposit["amount"], deposit["currency"]),
        ).rowcount
        return "booked" if is_booked else "stored"


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            return self.answer(411)
        if int(length) > 1 << 20:
            return self.answer(413)
        body = self.rfile.read(int(length))
        wrong = verify(SECRETS, self.headers, body)
        if wrong:
            return self.answer(401, wrong)

        message_id = self.headers["webhook-id"]
        try:
            word = take(message_id, body)
        except Exception:
            self.answer(500)  # not stored: the bridge tries again
            raise
        self.answer(204)  # answered; what else is to be done comes after, from the inbox
        print(f"{word} {message_id}\n", end="", flush=True)  # in one piece, beside other threads

    def answer(self, status, text=""):
        self.send_response(status)
        if text:
            self.send_header("content-type", "text/plain")
        self.end_headers()
        if text:
            self.wfile.write(f"{text}\n".encode())

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    SECRETS = read_secrets(os.environ.get("SHOP_WEBHOOK_SECRET", ""))
    with closing(sqlite3.connect(INBOX)) as database, database:
        database.executescript(TABLES)
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8800"))), Receiver)
    print("listening on", server.server_port, flush=True)
    server.serve_forever()

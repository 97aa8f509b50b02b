"""A receiver of lumo-bridge callbacks with nothing but Python (3.9 or newer).

    WEBHOOK_SECRET="whsec_..." PORT=8700 python3 python.py

WEBHOOK_SECRET holds one secret, or two with a space between while they rotate. Put TLS in front.
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
        raise SystemExit("WEBHOOK_SECRET is not set")
    return secrets


INBOX = os.environ.get("INBOX", "inbox.db")


def store(message_id, body):
    """Keeps the event exactly once: True when it is new."""
    event = json.loads(body)
    with closing(sqlite3.connect(INBOX)) as database, database:  # one transaction
        new = database.execute(
            "INSERT INTO webhook_inbox (webhook_id, stream, sequence, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (webhook_id) DO NOTHING",
            (message_id, event.get("stream"), event.get("sequence"), body.decode()),
        ).rowcount
        # What the event does to your own tables can happen here, in the same transaction, if (and only if) it is new.
    return new == 1


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
            fresh = store(message_id, body)
        except Exception:
            self.answer(500)  # not stored: the bridge tries again
            raise
        self.answer(204)  # answered; the work itself comes after, from the inbox
        print("stored" if fresh else "duplicate", message_id, flush=True)

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
    SECRETS = read_secrets(os.environ.get("WEBHOOK_SECRET", ""))
    with closing(sqlite3.connect(INBOX)) as database, database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS webhook_inbox"
            " (webhook_id TEXT PRIMARY KEY, stream TEXT, sequence INTEGER, body TEXT NOT NULL, done_at TEXT)"
        )
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8700"))), Receiver)
    print("listening on", server.server_port, flush=True)
    server.serve_forever()

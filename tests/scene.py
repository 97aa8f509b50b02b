"""What the dashboard is used on: the built bridge on a throw-away SQLite file, its simulator, a receiver, and a proxy that puts all
of it under a path; and what an operator does there.
"""

import http.client
import http.server
import json
import os
import re
import signal
import sqlite3
import subprocess
import threading
import urllib.request
from pathlib import Path

from browser import Wrong, eventually

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
BRIDGE = os.environ.get("LUMO_TEST_BRIDGE") or str(TARGET / "debug" / "lumo-bridge")
TOKEN = "a-token-for-this-test"
READ_TOKEN = "a-token-that-only-reads"

CONFIG = """
database: {{ url: "sqlite://{directory}/bridge.db" }}
lumo: {{ base_url: "{upstream}", api_key: {{ file: "{directory}/key" }}, rate: 1000/s }}
sync:
  deposits: {{ schedule: "* * * * * *" }}
  blocked: {{ schedule: "* * * * * *" }}
  wallets: {{ schedule: "* * * * * *" }}
callbacks:
  defaults: {{ retry: {{ schedule: [1h, 1h], jitter: 0 }} }}
  endpoints:
    shop: {{ url: "{receiver}/shop", events: ["deposit.*"], secrets: [{{ value: {secret} }}] }}
    chat: {{ url: "{receiver}/chat", events: ["deposit.*"], secrets: [{{ value: {secret} }}] }}
    ledger:
      url: "{receiver}/ledger"
      events: [deposit.created]
      secrets: [{{ value: {secret} }}]
      retry: {{ schedule: [1s] }}
    crm: {{ url: "{receiver}/crm", events: ["wallet.*"], secrets: [{{ value: {secret} }}] }}
server: {{ listen: "{listen}", token: {{ value: {token} }}, read_token: {{ value: {read_token} }} }}
"""


def check(holds, what):
    if not holds:
        raise Wrong(what)


class Receiver(http.server.ThreadingHTTPServer):
    """Writes down what comes, and answers what `answer` says to its path and user: a status, a text, and headers if need be."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Callback)
        self.got, self.answer = [], None
        self.take_everything()
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server_port}"

    def take_everything(self):
        self.answer = lambda endpoint, user: (200, "")

    def refuse(self, endpoint, user, status, text, **headers):
        """The callbacks of one user, or of all if it is None, to one endpoint."""
        is_meant = lambda *asked: asked[0] == endpoint and user in (None, asked[1])  # noqa: E731
        self.answer = lambda *asked: (status, text, headers) if is_meant(*asked) else (200, "")

    def of(self, endpoint, user, reason="live", status=200):
        return [one for one in self.got if one[:4] == (endpoint, user, reason, status)]


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Callback(Quiet):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        user = event["data"]["object"].get("external_id")
        status, text, *headers = self.server.answer(self.path[1:], user)
        self.server.got.append((self.path[1:], user, self.headers["lumo-reason"], status, self.headers["webhook-id"]))
        self.send_response(status)
        for name, value in (headers[0] if headers else {}).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


class Proxy(http.server.ThreadingHTTPServer):
    """A reverse proxy that shows the bridge under `/bridge/`, and has nothing else."""

    daemon_threads = True

    def __init__(self, upstream):
        super().__init__(("127.0.0.1", 0), Passing)
        self.upstream = upstream
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server_port}/bridge/"


class Passing(Quiet):
    def do_GET(self):
        if not self.path.startswith("/bridge/"):
            self.send_error(404)
            return
        connection = http.client.HTTPConnection(self.server.upstream)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection.request("GET", self.path[len("/bridge"):], headers=headers)
        answer = connection.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.end_headers()
        try:
            while part := answer.read1(1 << 16):
                self.wfile.write(part)
                self.wfile.flush()
        except OSError:
            pass
        finally:
            connection.close()


class Program:
    """The bridge or its simulator, running; `address` is what its log says after the mark."""

    def __init__(self, log, mark, *words):
        with log.open("wb") as output:
            self.process = subprocess.Popen([BRIDGE, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        found = eventually(f"{words} is up, see {log}", lambda: self.look(log, mark), 60)
        self.address = found.group(1)

    def look(self, log, mark):
        check(self.process.poll() is None, f"it has ended: {log.read_text(errors='replace')}")
        return re.search(mark + r"([^\s;]+)", log.read_text(errors="replace"))

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Scene:
    """All of it, running."""

    def __init__(self, directory):
        self.directory = directory
        self.simulator = Program(directory / "simulator.log", "listening on ", "simulate", "--listen", "127.0.0.1:0",
                                 "--wallets", "20", "--deposits", "30")
        self.receiver, self.listen, self.bridge = Receiver(), "127.0.0.1:0", None
        try:
            (directory / "key").write_text("lb2b_00000000000000000000000000005eed")
            self.start()
        except BaseException:
            self.close()
            raise
        self.proxy = Proxy(self.listen)

    def start(self):
        config = self.directory / "bridge.yaml"
        config.write_text(CONFIG.format(
            directory=self.directory, upstream=self.simulator.address, receiver=self.receiver.address, listen=self.listen, token=TOKEN,
            read_token=READ_TOKEN, secret="whsec_bHVtby1icmlkZ2UtZXhhbXBsZS1zZWNyZXQ="))
        self.bridge = Program(self.directory / "bridge.log", "admin HTTP is up address=", "--config", str(config), "run")
        self.listen = self.bridge.address

    def restart(self, meanwhile):
        self.bridge.close()
        meanwhile()
        self.start()

    def hang(self, meanwhile):
        """The bridge keeps its connections and answers nothing."""
        self.bridge.process.send_signal(signal.SIGSTOP)
        try:
            meanwhile()
        finally:
            self.bridge.process.send_signal(signal.SIGCONT)

    def reload(self):
        self.bridge.process.send_signal(signal.SIGHUP)

    def close(self):
        for one in (self.bridge, self.simulator):
            if one:
                one.close()

    def rows(self, sql, *values):
        connection = sqlite3.connect(f"file:{self.directory}/bridge.db?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def control(self, path, body="{}"):
        """Something happens upstream."""
        with urllib.request.urlopen(f"{self.simulator.address}/_control/{path}", body.encode(), 10) as response:
            return json.load(response)

    def deposit(self, user, amount="12.5"):
        """Returns the deposit's id. The amount is sent as it is spelled."""
        return self.control("deposits", json.dumps({"external_id": user}).replace("}", f', "amount": {amount}}}'))["id"]

    def of_user(self, user, endpoint="shop"):
        """State and attempts of a user's only callback."""
        sql = """SELECT d.state, d.attempts, d.event_id FROM lumo_deliveries d JOIN lumo_events e ON e.id = d.event_id
                 WHERE e.external_id = ? AND d.endpoint = ?"""
        return self.rows(sql, user, endpoint)

    def state_of(self, endpoint):
        return self.rows("SELECT state FROM lumo_endpoints WHERE name = ?", endpoint)[0][0]

    def until_delivered(self, user, endpoint="shop"):
        eventually(f"{endpoint} got the deposit of {user}", lambda: self.receiver.of(endpoint, user))
        eventually(f"it is delivered to {user}", lambda: self.of_user(user, endpoint)[0][0] == "delivered")


class Operator:
    """What is done and seen on the page again and again."""

    def __init__(self, scene, page):
        self.scene, self.page, self.receiver = scene, page, scene.receiver
        self.address = f"http://{scene.listen}/"

    def go(self, to, title):
        self.page.js(f"location.hash = '{to}'")
        self.title(title)

    def home(self):
        self.page.click("document.querySelector('nav a')", "Overview")
        self.title("Overview")

    def title(self, words):
        self.page.until(f"document.title === '{words} – lumo-bridge' && !find('view').hidden", f"“{words}” is shown")

    def verdict(self, words, mood):
        seen = f"find('verdict').textContent.includes('{words}') && find('verdict').className === '{mood}'"
        self.page.until(seen, f"the first line is “{words}”")

    def shown(self, endpoint, state):
        self.page.until(f"cell(row('endpoints', '{endpoint}'), 'State').startsWith('{state}')", f"{endpoint} is shown as {state}")

    def click_on(self, endpoint, button):
        self.page.click(f"buttons(row('endpoints', '{endpoint}'), '{button}')[0]", f"{button} of {endpoint}")

    def needs_a_hand(self, words, why):
        self.page.until(f"finding('{words}')?.textContent.includes('{why}')", f"“{words}” needs a hand: “{why}”")

    def to_do(self, words):
        self.page.until(f"find('hint').innerText.includes('{words}')", f"it says what to do: “{words}”")

    def help_with(self, words, button):
        self.page.click(f"buttons(finding('{words}'), '{button}')[0]", f"{button} beside “{words}”")

    def said(self, words):
        self.page.until(f"find('said').matches(':popover-open') && find('said').textContent.includes('{words}')", f"“{words}” is said")

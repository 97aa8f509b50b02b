"""A headless Chromium, driven over its debugging pipe with nothing but the standard library.

What a user does is done as by a user: a click is a press at a place on the screen where the element is seen, a key is a
key. Whatever the page fetches, logs or throws is written down.
"""

import json
import os
import select
import shutil
import subprocess
import time
from urllib.parse import urlsplit

PATIENCE = 20  # seconds until something that should happen is said to be wrong

NAMES = (
    "chromium", "chromium-browser", "google-chrome-stable", "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--mute-audio", "--lang=en", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
KEYS = {  # what a key types, and its number
    "Enter": ("\r", 13), "Escape": ("", 27), "Tab": ("", 9), " ": (" ", 32),
}
# What the expressions below may call.
WORDS = """
  const find = (id) => document.getElementById(id);
  const buttons = (within, text) => [...within.querySelectorAll("button")].filter((one) => one.textContent === text);
  const row = (id, text) => [...(find(id)?.rows ?? [])].find((one) => one.outerHTML.includes(text));
  const finding = (text) => [...(find("needs")?.children ?? [])].find((one) => one.textContent.includes(text));
  const cell = (row, label) => row?.querySelector(`[data-label="${label}"]`)?.innerText;
"""

# What can be seen and has less contrast than 4.5 to 1 (WCAG AA) with what is behind it.
FAINT = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (color) => paint(color).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) if (paint(getComputedStyle(one).backgroundColor)[3] === 255) return getComputedStyle(one).backgroundColor;
    return "white";
  };
  const words = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll("body *")].filter((one) => words(one) && one.checkVisibility() && !one.disabled).filter((one) => {
    const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05) < 4.5;
  }).map((one) => `${one.tagName}: ${one.textContent.trim().slice(0, 40)}`);
})()"""
# Buttons that are not told apart by those who listen.
NAMELESS = """(() => {
  const names = [...document.querySelectorAll("button")].filter((one) => one.checkVisibility()).map((one) => one.getAttribute("aria-label") ?? "");
  return names.filter((name, index) => !name || names.indexOf(name) !== index);
})()"""
# What is to be hit and is less than 44 pixels high, or wide.
CROWDED = """[...document.querySelectorAll("button, input, select, a.button, nav a")].filter((one) => one.checkVisibility())
  .filter((one) => Math.min(one.getBoundingClientRect().width, one.getBoundingClientRect().height) < 44)
  .map((one) => `${one.tagName} ${one.getAttribute("aria-label") ?? one.textContent}`)"""


class Wrong(Exception):
    pass


def eventually(what, look, patience=PATIENCE):
    """Looks until it sees something, and returns that."""
    deadline = time.monotonic() + patience
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise Wrong(f"after {patience} seconds still not: {what}")
        time.sleep(0.05)


def find_chromium():
    """The first that starts: Ubuntu's package of that name is a script that only names another one."""
    for name in [os.environ["LUMO_TEST_CHROMIUM"]] if os.environ.get("LUMO_TEST_CHROMIUM") else NAMES:
        path = shutil.which(name)
        try:
            if path and subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0:
                return path
        except (OSError, subprocess.SubprocessError):
            pass
    return None


class Browser:
    def __init__(self, program, directory):
        to_read, self.to_write = os.pipe()
        self.to_read, to_write = os.pipe()
        flags = [*FLAGS, f"--user-data-dir={directory}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # it has none for root
        with open(os.path.join(directory, "log"), "wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}', program, *flags, "about:blank"],
                pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        os.close(to_read)
        os.close(to_write)
        self.rest, self.waiting, self.number = b"", [], 0
        self.on_event = lambda method, params: None

    def send(self, method, params, session=None):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        return self.number

    def call(self, method, params=None, session=None):
        number = self.send(method, params or {}, session)
        deadline = time.monotonic() + PATIENCE
        while True:
            for message in self.messages(deadline, method):
                if message.get("id") == number:
                    if "error" in message:
                        raise Wrong(f"{method}: {message['error']['message']}")
                    return message["result"]

    def messages(self, deadline, method):
        """The answers among what has come; the events have been told by then."""
        if not select.select([self.to_read], [], [], max(0, deadline - time.monotonic()))[0]:
            raise Wrong(f"Chromium does not answer {method}")
        got = os.read(self.to_read, 1 << 16)
        if not got:
            raise Wrong(f"Chromium has ended, during {method}")
        *whole, self.rest = (self.rest + got).split(b"\0")
        messages = [json.loads(one) for one in whole]
        for message in messages:
            if "id" not in message:
                self.on_event(message["method"], message["params"])
        return [message for message in messages if "id" in message]

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Page:
    """One tab."""

    def __init__(self, browser):
        self.browser = browser
        self.requests, self.problems = [], []
        browser.on_event = self.note
        target = browser.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self.session = browser.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.size(1280, 900)

    def call(self, method, **params):
        return self.browser.call(method, params, self.session)

    def note(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.problems.append(f"console.{params['type']}: {json.dumps(params['args'])}")
        elif method == "Log.entryAdded":
            self.problems.append(f"{params['entry']['text']} ({params['entry'].get('url')})")

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'", "the page is loaded")

    def js(self, expression):
        """The value of an expression; it may use WORDS."""
        body = f"(() => {{ {WORDS} return ({expression}); }})()"
        result = self.call("Runtime.evaluate", expression=body, returnByValue=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise Wrong(f"{expression}: {details.get('exception', {}).get('description', details['text'])}")
        return result["result"].get("value")

    def until(self, expression, what):
        return eventually(what, lambda: self.js(expression))

    def click(self, expression, what):
        """Presses where the element is seen, until the press has reached it: the page may move in between."""
        # Remembers what is hit, and lets the place be asked for once more.
        place = f"""(() => {{
          const element = {expression};
          if (!element || element.disabled) return null;
          element.scrollIntoView({{ block: "center", behavior: "instant" }});
          const {{ x, y, width, height }} = element.getBoundingClientRect();
          const at = [x + width / 2, y + height / 2];
          if (!element.contains(document.elementFromPoint(...at))) return null;
          element.addEventListener("click", () => (window.hit = true), {{ once: true, capture: true }});
          window.hit = false;
          return at;
        }})()"""
        def try_it():
            at = self.js(place)
            if not at:
                return False
            for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
                button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
                self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], **button)
            return self.js("window.hit")
        eventually(f"{what} can be clicked", try_it)

    def press(self, key):
        text, number = KEYS.get(key, (key, ord(key[0].upper())))
        words = {"key": key, "code": key if key in KEYS and key != " " else "", "windowsVirtualKeyCode": number}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **words)
        self.call("Input.dispatchKeyEvent", type="keyUp", **words)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def tab_to(self, expression, what):
        """With the keyboard alone."""
        for _ in range(80):
            if self.js(f"document.activeElement === ({expression})"):
                return
            self.press("Tab")
        raise Wrong(f"80 tabs do not reach {what}")

    def strangers(self, address):
        """What was fetched from anywhere but the server of this address."""
        home = urlsplit(address).netloc
        return [one for one in self.requests if not one.startswith("data:") and urlsplit(one).netloc != home]

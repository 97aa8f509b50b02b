"""A terminal of so many columns, and a picture of what a program has written to it: a SVG, so that it is sharp at any size.

It knows what the program uses: lines, and letters that are bold, dim or coloured. Nothing moves the cursor but the end of a line.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata
from xml.sax.saxutils import escape

from browser import Wrong

# What a terminal is told of the letters that follow, and how the picture names it.
STYLES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "36": "cyan"}
MARK = re.compile(r"\x1b\[([0-9;]*)m")

CELL, LINE, EDGE, BAR = 7.8, 19, 20, 38  # pixels: a letter's width, a line's height, the empty edge, the bar with the title
LOOK = """
    rect { fill: #161b22; stroke: #3d444d }
    text { font: 13px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; fill: #e6edf3 }
    .title { fill: #9198a1; text-anchor: middle }
    .bold { font-weight: 600; fill: #fff }
    .dim { fill: #9198a1 }
    .red { fill: #ff7b72 }
    .green { fill: #56d364 }
    .yellow { fill: #e3b341 }
    .cyan { fill: #56d4dd }
"""


def record(words, columns, rows):
    """What a program writes to a terminal that its output goes to, line by line. Its messages and its progress go nowhere."""
    ours, its = pty.openpty()
    try:
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR" and not name.startswith("LUMO_")}
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=its, stderr=subprocess.DEVNULL,
                                   env={**kept, "TERM": "xterm-256color"})
        os.close(its)
        written = b""
        while part := read(ours):
            written += part
        if process.wait() != 0:
            raise Wrong(f"{words} ended with {process.returncode}")
    finally:
        os.close(ours)
    return written.decode().replace("\r\n", "\n").splitlines()


def read(terminal):
    """The next of what is written; nothing when all who could write have ended."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


def plain(line):
    return MARK.sub("", line)


def cells(text):
    """How many columns it takes: an accent of its own none, a letter of Chinese two."""
    return sum(0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def runs(line):
    """The parts of a line that look alike: where each begins, its letters, and its style."""
    column, style = 0, []
    for index, part in enumerate(MARK.split(line)):
        if index % 2 == 0:
            letters = part.strip(" ")
            if letters:
                yield column + len(part) - len(part.lstrip(" ")), letters, " ".join(style)
            column += cells(part)
        else:
            for code in part.split(";"):
                style = [*style, STYLES[code]] if code in STYLES else []


def picture(lines, columns, title):
    """Each run has a place and a width of its own, so that columns stand in line whatever font is found."""
    width, height = round(columns * CELL + 2 * EDGE), BAR + len(lines) * LINE + EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"  <title>{escape(title)}</title>", f"  <style>{LOOK}  </style>",
        f'  <rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10"/>',
        *(f'  <circle cx="{22 + 18 * at}" cy="20" r="5.5" fill="{fill}"/>' for at, fill in enumerate(("#ff5f57", "#febc2e", "#28c840"))),
        f'  <text class="title" x="{width / 2:g}" y="24.5">{escape(title)}</text>',
    ]
    for number, line in enumerate(lines):
        for column, letters, style in runs(line):
            look = f' class="{style}"' if style else ""
            place = f'x="{EDGE + column * CELL:g}" y="{BAR + number * LINE + 14}" textLength="{cells(letters) * CELL:g}"'
            parts.append(f'  <text{look} {place} lengthAdjust="spacingAndGlyphs">{escape(letters).replace(" ", "&#160;")}</text>')
    return "\n".join([*parts, "</svg>", ""])

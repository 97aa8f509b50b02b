"""What the scripts share that try other languages: libraries that are kept between runs, and what cannot be tried here."""

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


def not_run(what, why):
    """What to print of it. tests/run names it once more in its closing lines."""
    if os.environ.get("LUMO_TEST_NOT_RUN"):
        with open(os.environ["LUMO_TEST_NOT_RUN"], "a", encoding="utf-8") as file:
            print(f"{what}: {why}", file=file)
    return f"skipped, {why}"


def install(place, into):
    """Has `into` install a library beside its place, unless it is there, and moves it there: what is in place is whole. Returns
    why not, if `into` says so."""
    if place.exists():
        return None
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{place.name}.", dir=place.parent) as temporary:
        fresh = Path(temporary) / "library"
        fresh.mkdir()
        problem = into(fresh)
        if problem is None and not place.exists():
            fresh.rename(place)
        return problem

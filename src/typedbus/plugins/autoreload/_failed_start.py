"""
A restarted process that ends before the start of `Autoreload`.

The environment tells it that it was restarted, and which files to watch. At the
end of the interpreter it waits for the next change, and is replaced again.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

from typedbus._bus.builtin import INFO
from typedbus._os.reexec import Image
from typedbus.plugins.autoreload._edits import Edits
from typedbus.plugins.autoreload._files import Files, Place

_VARIABLE: Final = "TYPEDBUS_AUTORELOAD"


def mark_restart(files: Files, debounce: float) -> None:
    """Record in the environment, for the new process, that it was restarted and which *files* to watch."""
    os.environ[_VARIABLE] = json.dumps(
        {
            "pid": os.getpid(),
            "places": [(str(place.path), place.is_deep, place.all_names) for place in files.known_places],
            "patterns": list(files.patterns),
            "ignore": list(files.ignore),
            "debounce": debounce,
        }
    )


def is_restarted() -> bool:
    """Return whether `Autoreload` has replaced this process; false in its child processes."""
    try:
        return bool(json.loads(os.environ[_VARIABLE])["pid"] == os.getpid())
    except (KeyError, ValueError, TypeError):
        # The variable is not set, or has another format.
        return False


def wait_for_change() -> None:
    """Wait for a change of a file, and replace the process; at the exit of the interpreter."""
    # A forked child has inherited this function as well.
    if not is_restarted() or isinstance(getattr(sys, "last_value", None), KeyboardInterrupt):
        return
    restart = json.loads(os.environ[_VARIABLE])

    def log(text: str, level: int = INFO) -> None:
        print(f"autoreload: {text}", file=sys.stderr, flush=True)

    places = [Place(Path(path), is_deep, all_names) for path, is_deep, all_names in restart["places"]]
    files, edits = Files(places, restart["patterns"], restart["ignore"]), Edits(log)
    log("the program ended before it had started; it is restarted when a file changes; Ctrl-C ends it")
    try:
        for changes in files.batches(restart["debounce"], None):
            if edits.are_complete(changes):
                Image().replace()
    except KeyboardInterrupt:
        return

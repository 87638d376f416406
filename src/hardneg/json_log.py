"""`--log-json`: what happens as events, one JSON object a line on standard error.

Every event has `time` (UTC), `level` (info, warning or error) and `event`; docs/command-line.md says what
else. What libraries print there becomes events too, so that every line can be parsed.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from hardneg.credentials import hidden

ASKED = "--log-json"


def event_line(event: str, level: str = "info", **fields: Any) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {"time": now, "level": level, "event": event, **fields}
    return hidden(json.dumps(told, allow_nan=False, default=str)) + "\n"


class Events(io.TextIOBase):
    """Takes the place of `sys.stderr`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._one_at_a_time = threading.Lock()
        self._begun = ""

    def emit(self, event: str, level: str = "info", **fields: Any) -> None:
        line = event_line(event, level, **fields)
        with self._one_at_a_time:
            self._stream.write(line)
            self._stream.flush()

    def write(self, text: str) -> int:
        """What something else prints: each whole line is an event, as a terminal would show it in the end."""
        with self._one_at_a_time:
            *whole, begun = (self._begun + text).split("\n")
            self._begun = begun.rpartition("\r")[2]  # a bar writes the same line again and again
        for line in whole:
            if shown := line.rstrip("\r").rpartition("\r")[2].strip():
                self.emit("printed", message=shown)
        return len(text)

    def fileno(self) -> int:
        return self._stream.fileno()


@contextmanager
def events_on_stderr(arguments: list[str]) -> Iterator[None]:
    """The first event is the command's beginning and the last its end, with its exit code."""
    events, began, code = Events(sys.stderr), time.monotonic(), 0
    before, sys.stderr = sys.stderr, events
    events.emit("command started", arguments=arguments)
    try:
        yield
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise
    finally:
        sys.stderr = before
        events.emit("command ended", exit_code=code, seconds=_since(began))


class Logged:
    """A `protocols.Progress` that tells events."""

    FIRST_S, EVERY_S = 2.0, 5.0
    """Work that takes no longer has no progress to tell; and how often it is told."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._said: set[str] = set()

    def say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._events.emit("note", message=line.strip())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self._events.emit("stage started", stage=name)
        yield
        self._events.emit("stage ended", stage=name, seconds=_since(began))

    @contextmanager
    def track(self, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        began = time.monotonic()
        done, told_next = 0, began + self.FIRST_S

        def advance(count: int) -> None:
            nonlocal done, told_next
            done += count
            if time.monotonic() >= told_next:
                told_next = time.monotonic() + self.EVERY_S
                self._events.emit(
                    "progress", work=label, done=done, total=total, unit=unit, seconds=_since(began)
                )

        yield advance


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)

"""What a terminal shows while a stage runs: a bar with rate and time left, or nothing."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hardneg.terminal import printable, true_stderr

if TYPE_CHECKING:
    from rich.progress import Progress


class Silent:
    """Shows nothing."""

    @contextmanager
    def track(self, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        yield lambda done: None

    def say(self, line: str) -> None:
        pass


class Terminal:
    """Lines on standard error, each once; on a terminal also a bar for what takes over two seconds."""

    def __init__(self) -> None:
        self._interactive = true_stderr().isatty()
        self._said: set[str] = set()

    def say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            print(printable(line), file=sys.stderr, flush=True)

    @contextmanager
    def track(self, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        if not self._interactive:
            yield lambda done: None
            return
        bar = _LateBar(label, total, unit)
        try:
            yield bar.advance
        finally:
            bar.close()


@contextmanager
def warned_once(warn: Callable[[str], None]) -> Iterator[None]:
    """Python's warnings, as libraries raise them, go to `warn`: a line each, and the same one only once.

    Python itself forgets what it has shown whenever some code changes what is to be shown.
    """
    warned: set[str] = set()

    def show(message: Warning | str, *place: object, **more: object) -> None:
        line = " ".join(str(message).split())
        if line not in warned:
            warned.add(line)
            warn(line)

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


class _LateBar:
    """A rich progress bar that appears only once the work has taken two seconds."""

    DELAY_S = 2.0

    def __init__(self, label: str, total: int, unit: str) -> None:
        self._started = time.monotonic()
        self._done = 0
        self._label, self._total, self._unit = label, total, unit
        self._bar: Progress | None = None

    def advance(self, done: int) -> None:
        self._done += done
        seconds = time.monotonic() - self._started
        if self._bar is None and seconds < self.DELAY_S:
            return
        if self._bar is None:
            self._bar = self._start()
        task = self._bar.task_ids[0]
        self._bar.update(task, completed=self._done, rate=f"{self._done / seconds:,.0f}")

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}", markup=False),  # a retriever may be called [red]
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(self._unit + ", {task.fields[rate]}/s"),
            TimeRemainingColumn(),
            console=Console(file=true_stderr()),
            transient=True,
        )
        bar.add_task(printable(self._label), total=self._total, rate="-")
        bar.start()
        return bar

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

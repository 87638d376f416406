"""What a terminal shows while a stage runs: a bar with rate and time left, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Silent:
    """Shows nothing."""

    @contextmanager
    def track(self, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        yield lambda done: None

    def say(self, line: str) -> None:
        pass


class Terminal:
    """Lines on standard error; on a terminal also a bar for what takes over two seconds."""

    def __init__(self) -> None:
        self._interactive = sys.stderr.isatty()

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

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


class _LateBar:
    """A rich progress bar that appears only once the work has taken two seconds."""

    DELAY_S = 2.0

    def __init__(self, label: str, total: int, unit: str) -> None:
        self._started = time.monotonic()
        self._done, self._shown = 0, 0
        self._label, self._total, self._unit = label, total, unit
        self._bar: object | None = None

    def advance(self, done: int) -> None:
        self._done += done
        if time.monotonic() - self._started < self.DELAY_S:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(self._unit + " {task.fields[rate]}/s"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.add_task(self._label, total=self._total, rate="-")
            self._bar.start()
        assert isinstance(self._bar, Progress)
        rate = self._done / (time.monotonic() - self._started)
        task = self._bar.task_ids[0]
        self._bar.update(task, completed=self._done, rate=f"{rate:,.0f}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()  # type: ignore[attr-defined]  # a rich Progress, imported late

"""One model on several devices: a process for each, which takes whole shards in turn.

The processes are plain children that answer over their pipes (`encode.process`). They import nothing of the
user's script, which therefore needs no `__main__` guard, and end when this process does, however it ends.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

from hardneg import errors
from hardneg.config import EncodeConfig
from hardneg.encode.backends import Choice
from hardneg.encode.calls import Call, Encoded
from hardneg.encode.messages import BrokenMessageError, Message, read_message, write_message
from hardneg.errors import HardnegError, ModelError
from hardneg.leftovers import undo_if_ended
from hardneg.protocols import Kind

_CHILD = """import signal
if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is its end at once, and without a word
from hardneg.encode.process import main
main()"""
_PATIENCE = 2.0
"""Seconds that a process is given to end by itself."""


@dataclass(frozen=True)
class About:
    """A model as it runs.

    choice         its backend, device and precision
    dimension      of its vectors
    texts_a_batch  the size of batches where neither the settings nor a warm-up say otherwise
    content        the hash of what it was loaded from
    """

    choice: Choice
    dimension: int
    texts_a_batch: int
    content: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> About:
        """From what `dataclasses.asdict` made of it."""
        return cls(**{**values, "choice": Choice(**values["choice"])})


def devices_of(named: str | None) -> list[str | None]:
    """The devices that `device` names, one name or several with commas; None: all GPUs that are visible."""
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()] or [None]
    import torch

    count = torch.cuda.device_count()
    return [f"cuda:{number}" for number in range(count)] if count > 1 else [None]


class Processes:
    """The model `name`, opened once on each device."""

    def __init__(self, name: str, config: EncodeConfig, devices: Sequence[str | None]) -> None:
        self._name, self._config = name, config
        self._devices = list(devices)

    def __len__(self) -> int:
        return len(self._devices)

    @cached_property
    def about(self) -> About:
        """Of all of them. Raises ModelError where devices would run the model in different ways."""
        first, *rest = self._opened[1]
        for other in rest:
            if (other.choice.fingerprint(), other.content) != (first.choice.fingerprint(), first.content):
                raise ModelError(
                    f"model {self._name!r} runs as {first.choice} and as {other.choice}; name --precision "
                    "and --backend, or one --device"
                )
        devices = ", ".join(about.choice.device for about in self._opened[1])
        return replace(first, choice=replace(first.choice, device=devices))

    def encode(self, calls: list[Call], kind: Kind, texts_a_batch: int) -> list[Encoded]:
        """Vectors and truncation of each call, by the next process that is free; many threads may ask.

        One that has ended since it was asked last, as it does when this is interrupted, is started anew.
        """
        free = self._opened[0]
        child = free.get()
        try:
            if child.ended:
                child = self._in_place_of(child)
            asked = [(list(texts), prompt) for texts, prompt in calls]
            arrays = child.ask("encode", calls=asked, kind=kind, texts_a_batch=texts_a_batch).arrays
        finally:
            free.put(child)
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    def _in_place_of(self, ended: Child) -> Child:
        child = Child(ended.device)
        about = About.of(child.ask("open", **self._opening(child)).values)
        if about not in self._opened[1]:
            child.end()
            raise ModelError(f"model {self._name!r} changed while it was used; run again")
        self.children[self.children.index(ended)] = child
        return child

    def _opening(self, child: Child) -> dict[str, Any]:
        config = self._config.model_dump(mode="json")
        return {"name": self._name, "config": {**config, "device": child.device}}

    @cached_property
    def children(self) -> list[Child]:
        return [Child(device) for device in self._devices]

    @cached_property
    def _opened(self) -> tuple[queue.SimpleQueue[Child], list[About]]:
        """Those that are free, and how the model runs in each."""
        try:
            for child in self.children:  # all of them load at the same time
                child.send("open", **self._opening(child))
            abouts = [About.of(child.answer().values) for child in self.children]
        except BaseException:
            for child in self.__dict__.pop("children"):
                child.end()  # what it has not answered yet would answer what it is asked next
            raise
        free: queue.SimpleQueue[Child] = queue.SimpleQueue()
        for child in self.children:
            free.put(child)
        return free, abouts


class Child:
    """A process, and what it is asked: one thing at a time."""

    def __init__(self, device: str | None) -> None:
        self.device = device
        # It imports what this process would, and nothing that happens to lie in the working folder.
        places = [place or str(Path.cwd()) for place in sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        )
        self.pid = self._process.pid
        self._forget = undo_if_ended(self._process.kill)
        self._finally = weakref.finalize(self, _end, self._process, self._forget)

    def ask(self, what: str, **arguments: Any) -> Message:
        try:
            self.send(what, **arguments)
            return self.answer()
        except HardnegError:
            raise
        except BaseException:  # an interruption: the answer may come later, or half of it is read
            self.end()
            raise

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        self._finally()

    def send(self, what: str, **arguments: Any) -> None:
        request = Message({"what": what, "arguments": arguments})
        with suppress(OSError, ValueError):  # where it has ended, `answer` says so
            write_message(request, cast("BinaryIO", self._process.stdin))

    def answer(self) -> Message:
        """Raises the error that the process ran into, and ModelError where there is no whole answer."""
        try:
            found = read_message(cast("BinaryIO", self._process.stdout))
        except (BrokenMessageError, OSError, ValueError):
            found = None
        if found is None:
            self.end()
            raise ModelError(
                f"the process that encodes on {self.device} ended (exit code {self._process.returncode})"
            )
        if "error" in found.values:
            raise _as_error(found.values["error"], found.values["line"])
        return found


def _end(process: subprocess.Popen[bytes], forget: Callable[[], None]) -> None:
    """It ends by itself once nothing can ask it any more."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    forget()


def _as_error(name: str, message: str) -> HardnegError:
    """The child's error, of its own class and with its own line."""
    kind = getattr(errors, name, ModelError)
    error: HardnegError = kind.__new__(kind)
    Exception.__init__(error, message)
    return error

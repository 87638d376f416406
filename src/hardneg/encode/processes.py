"""One model on several devices: a process for each, which takes whole shards in turn.

The processes are plain children that answer over their pipes (`encode.process`). They import nothing of the
user's script, which therefore needs no `__main__` guard, and end when this process does, however it ends.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, BinaryIO, cast

from hardneg import errors
from hardneg.config import EncodeConfig
from hardneg.encode.backends import Choice
from hardneg.encode.calls import Call, Encoded
from hardneg.encode.messages import BrokenMessageError, Message, read_message, write_message
from hardneg.errors import HardnegError, ModelError
from hardneg.protocols import Kind


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
        """Vectors and truncation of each call, by the next process that is free; many threads may ask."""
        free = self._opened[0]
        child = free.get()
        try:
            asked = [(list(texts), prompt) for texts, prompt in calls]
            arrays = child.ask("encode", calls=asked, kind=kind, texts_a_batch=texts_a_batch).arrays
        finally:
            free.put(child)
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    @cached_property
    def children(self) -> list[Child]:
        return [Child(device) for device in self._devices]

    @cached_property
    def _opened(self) -> tuple[queue.SimpleQueue[Child], list[About]]:
        """Those that are free, and how the model runs in each."""
        config = self._config.model_dump(mode="json")
        for child in self.children:  # all of them load at the same time
            child.send("open", name=self._name, config={**config, "device": child.device})
        abouts = [About.of(child.answer().values) for child in self.children]
        free: queue.SimpleQueue[Child] = queue.SimpleQueue()
        for child in self.children:
            free.put(child)
        return free, abouts


class Child:
    """A process, and what it is asked: one thing at a time."""

    def __init__(self, device: str | None) -> None:
        self.device = device
        command = [sys.executable, "-m", "hardneg.encode.process"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid
        weakref.finalize(self, _end, self._process)

    def ask(self, what: str, **arguments: Any) -> Message:
        self.send(what, **arguments)
        return self.answer()

    def send(self, what: str, **arguments: Any) -> None:
        request = Message({"what": what, "arguments": arguments})
        with suppress(OSError):  # where it has ended, `answer` says so
            write_message(request, cast("BinaryIO", self._process.stdin))

    def answer(self) -> Message:
        """Raises the error that the process ran into, and ModelError where there is no whole answer."""
        try:
            found = read_message(cast("BinaryIO", self._process.stdout))
        except (BrokenMessageError, OSError):
            found = None
        if found is None:
            _end(self._process)
            raise ModelError(
                f"the process that encodes on {self.device} ended (exit code {self._process.returncode})"
            )
        if "error" in found.values:
            raise _as_error(found.values["error"], found.values["line"])
        return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """It ends by itself once nothing can ask it any more."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.wait()


def _as_error(name: str, message: str) -> HardnegError:
    """The child's error, of its own class and with its own line."""
    kind = getattr(errors, name, ModelError)
    error: HardnegError = kind.__new__(kind)
    Exception.__init__(error, message)
    return error

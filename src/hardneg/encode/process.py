"""The child of `encode.processes`: opens one model on one device and encodes what it is given.

Messages come on standard input and are answered on standard output, one by one. It ends at once when
nobody is left to ask, however busy it is.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, BinaryIO

from hardneg.config import EncodeConfig
from hardneg.encode.dense import DenseEncoder
from hardneg.encode.messages import BrokenMessageError, Message, read_message, write_message
from hardneg.errors import HardnegError
from hardneg.protocols import Kind


class Served:
    """What can be asked: each method takes the values of a message."""

    def open(self, name: str, config: dict[str, Any]) -> Message:
        self._encoder = DenseEncoder(name, EncodeConfig.model_validate(config))
        return Message(asdict(self._encoder.about))

    def encode(self, calls: list[tuple[list[str], str]], kind: Kind, texts_a_batch: int) -> Message:
        """Two arrays for each call: vectors and truncation."""
        self._encoder.texts_a_batch = texts_a_batch
        encoded = self._encoder.encode_calls(calls, kind)
        return Message({}, tuple(array for pair in encoded for array in pair))


def main() -> None:
    requests, answers = _pipes()
    _end_with_who_asks(requests)
    served = Served()
    with suppress(BrokenMessageError, BrokenPipeError):  # who asked has ended meanwhile
        while (request := read_message(requests)) is not None:
            write_message(_answered(served, **request.values), answers)


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output, where from now on nothing is read and nothing that libraries print goes."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _end_with_who_asks(requests: BinaryIO) -> None:
    if not hasattr(select, "poll"):
        return  # on Windows it ends after the answer that it is at
    end = select.poll()
    end.register(requests, 0)  # no events but that the other end is closed

    def wait() -> None:
        end.poll()
        os._exit(0)

    threading.Thread(target=wait, daemon=True, name="end").start()


def _answered(served: Served, what: str, arguments: dict[str, Any]) -> Message:
    """What was asked for, or the error's class and line."""
    ask: dict[str, Callable[..., Message]] = {"open": served.open, "encode": served.encode}
    try:
        return ask[what](**arguments)
    except HardnegError as error:
        return Message({"error": type(error).__name__, "line": str(error)})
    except Exception as error:  # whatever a model's code or torch runs into: the parent tells it
        lines = str(error).strip().splitlines() or [""]
        return Message({"error": "ModelError", "line": f"{type(error).__name__}: {lines[0]}"})


if __name__ == "__main__":
    main()

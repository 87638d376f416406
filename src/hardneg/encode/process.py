"""The child of `encode.processes`: opens one model on one device and encodes what it is given.

Requests come as pickles on standard input and are answered on standard output, one by one; it ends where its
input does.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from typing import Any, BinaryIO

from hardneg.config import EncodeConfig
from hardneg.encode.calls import Call, Encoded
from hardneg.encode.dense import DenseEncoder
from hardneg.encode.processes import About
from hardneg.errors import HardnegError
from hardneg.protocols import Kind


class Served:
    """What can be asked, by name."""

    def open(self, name: str, config: EncodeConfig) -> About:
        self._encoder = DenseEncoder(name, config)
        return self._encoder.about

    def encode(self, calls: list[Call], kind: Kind, texts_a_batch: int) -> list[Encoded]:
        self._encoder.texts_a_batch = texts_a_batch
        return list(self._encoder.encode_calls(calls, kind))


def main() -> None:
    # What libraries print must not get among the answers, and Ctrl-C is this process's end at once.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    served = Served()
    while (request := _next(sys.stdin.buffer)) is not None:
        pickle.dump(_answered(served, *request), answers)
        answers.flush()


def _next(requests: BinaryIO) -> tuple[str, tuple[Any, ...]] | None:
    try:
        request: tuple[str, tuple[Any, ...]] = pickle.load(requests)  # noqa: S301 - from our own parent
    except EOFError:
        return None
    return request


def _answered(served: Served, what: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    """Whether it failed; what was asked for, or the error's class and line."""
    try:
        return False, getattr(served, what)(*arguments)
    except HardnegError as error:
        return True, (type(error).__name__, str(error))
    except Exception as error:  # whatever a model's code or torch runs into: the parent tells it
        lines = str(error).strip().splitlines() or [""]
        return True, ("ModelError", f"{type(error).__name__}: {lines[0]}")


if __name__ == "__main__":
    main()

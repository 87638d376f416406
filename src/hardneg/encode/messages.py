"""What the processes of one model say to each other: a line of JSON, and numpy arrays behind it.

The line holds the values and the size of each array's bytes, which are those of a `.npy` file. Nothing that
is read can run as code.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hardneg.files import load_array


class BrokenMessageError(Exception):
    """What was read is no message, or was cut off."""


@dataclass(frozen=True)
class Message:
    """Values that JSON knows, and arrays of numbers."""

    values: Mapping[str, Any]
    arrays: tuple[NDArray[Any], ...] = ()


def write_message(message: Message, pipe: BinaryIO) -> None:
    blocks = [_as_bytes(array) for array in message.arrays]
    header = {"values": message.values, "arrays": [len(block) for block in blocks]}
    pipe.write(json.dumps(header, allow_nan=False).encode("ascii") + b"\n")
    for block in blocks:
        pipe.write(block)
    pipe.flush()


def read_message(pipe: BinaryIO) -> Message | None:
    """The next message; None where the pipe has ended. Raises BrokenMessageError."""
    line = pipe.readline()
    if not line:
        return None
    if not line.endswith(b"\n"):
        raise BrokenMessageError("a line without its end")
    try:
        header = json.loads(line)
        values, sizes = dict(header["values"]), list(header["arrays"])
        return Message(values, tuple(_as_array(pipe, size) for size in sizes))
    except (ValueError, KeyError, TypeError, EOFError, RecursionError) as error:
        raise BrokenMessageError(str(error)) from error


def _as_bytes(array: NDArray[Any]) -> bytes:
    block = io.BytesIO()
    np.save(block, array, allow_pickle=False)
    return block.getvalue()


def _as_array(pipe: BinaryIO, size: int) -> NDArray[Any]:
    block = pipe.read(size)
    if len(block) != size:
        raise EOFError(f"{len(block)} of {size} bytes")
    array: NDArray[Any] = load_array(io.BytesIO(block))
    return array

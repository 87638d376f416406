"""Messages between processes: what goes in comes out, and what is cut off or something else is told."""

from __future__ import annotations

import io

import numpy as np
import pytest

from hardneg.encode.messages import BrokenMessageError, Message, read_message, write_message

VECTORS = np.arange(6, dtype=np.float32).reshape(2, 3)
MESSAGE = Message(
    {"texts": ["a\nb", "\0", "\U0001f9ec", "\ud800"], "size": 4}, (VECTORS, np.array([-1, 1], np.int8))
)


def written(*messages: Message) -> bytes:
    pipe = io.BytesIO()
    for message in messages:
        write_message(message, pipe)
    return pipe.getvalue()


def test_messages_come_out_one_by_one() -> None:
    pipe = io.BytesIO(written(MESSAGE, Message({}), MESSAGE))
    first, second, third = (read_message(pipe) for _ in range(3))
    assert read_message(pipe) is None
    assert second == Message({})
    for found in (first, third):
        assert found is not None
        assert found.values == MESSAGE.values
        for array, expected in zip(found.arrays, MESSAGE.arrays, strict=True):
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected)


def test_a_message_that_is_cut_off_anywhere_is_told() -> None:
    whole = written(MESSAGE)
    for length in range(1, len(whole)):
        with pytest.raises(BrokenMessageError):
            read_message(io.BytesIO(whole[:length]))


def test_a_line_without_its_end_is_no_message() -> None:
    with pytest.raises(BrokenMessageError):
        read_message(io.BytesIO(written(Message({}))[:-1]))


@pytest.mark.parametrize(
    "line",
    [
        b"loading weights\n",
        b"\n",
        b"\x80\x05\x95\n",
        b"[]\n",
        b"null\n",
        b'{"values": 3, "arrays": []}\n',
        b'{"values": {}, "arrays": [-1]}\n',
        b'{"values": {}, "arrays": ["3"]}\nabc',
        b'{"values": {}, "arrays": [3]}\nabc',
        b"[" * 100_000 + b"\n",
    ],
)
def test_anything_else_is_told(line: bytes) -> None:
    with pytest.raises(BrokenMessageError):
        read_message(io.BytesIO(line))


def test_objects_are_neither_written_nor_read() -> None:
    objects = np.array([{}], object)
    with pytest.raises(ValueError, match="allow_pickle"):
        written(Message({}, (objects,)))
    block = io.BytesIO()
    np.save(block, objects, allow_pickle=True)
    size = len(block.getvalue())
    with pytest.raises(BrokenMessageError, match="allow_pickle"):
        read_message(io.BytesIO(b'{"values": {}, "arrays": [%d]}\n' % size + block.getvalue()))

"""Random draws that depend on the seed and the query alone: Philox4x32-10, vectorised.

Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC '11 (the generator of
Random123). It is a function of (key, counter) with no state, so any part of a stream can be had without the
rest: neither other queries, nor the block a query lies in, nor the order of work can change a draw. The key
is a hash of seed, purpose and ids; draw number n is lane `n % 4` at counter `n // 4`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

from hardneg.records import Int32

UInt64 = NDArray[np.uint64]
Float64 = NDArray[np.float64]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

Four = tuple[UInt64, UInt64, UInt64, UInt64]


def philox(counter: Four, key: tuple[UInt64, UInt64]) -> Four:
    """Four 32-bit words of counter and two of key → four 32-bit words; all uint64 arrays that broadcast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for number in range(_ROUNDS):
        if number:
            k0, k1 = (k0 + np.uint64(_WEYL[0])) & _LOW, (k1 + np.uint64(_WEYL[1])) & _LOW
        left, right = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (right >> _HALF) ^ c1 ^ k0, right & _LOW, (left >> _HALF) ^ c3 ^ k1, left & _LOW
    return c0, c1, c2, c3


def stream_keys(seed: int, ids: Iterable[tuple[bytes, ...]], purpose: str = "") -> UInt64:
    """A 64-bit key for each tuple of ids (a query's, or a query's and a positive's): uint64 (len(ids),).

    Every part goes into the hash with its length, so that no two different tuples look the same to it.
    """
    start = hashlib.blake2b(seed.to_bytes(8, "little") + _part(purpose.encode()), digest_size=8)
    digests = []
    for parts in ids:
        digest = start.copy()
        for part in parts:
            digest.update(_part(part))
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _part(value: bytes) -> bytes:
    size = len(value)
    return (_LENGTHS[size] if size < len(_LENGTHS) else size.to_bytes(8, "little")) + value


_LENGTHS = [size.to_bytes(8, "little") for size in range(256)]
"""Made once: this is done for every query."""


def uniforms(keys: UInt64, width: int, start: int = 0) -> Float64:
    """Draws number `start` to `start + width - 1` of each stream, float64 (len(keys), width) in (0, 1).

    `start` is a multiple of 4. A draw is (x + 0.5) / 2³² of a 32-bit x, hence never 0 nor 1, and exact.
    """
    if start % 4:
        raise ValueError(f"start {start} is not a multiple of 4")
    counters = np.arange(start // 4, (start + width + 3) // 4, dtype=np.uint64)[None, :]
    zero = np.zeros((1, 1), np.uint64)
    key = ((keys & _LOW)[:, None], (keys >> _HALF)[:, None])
    words = philox((counters & _LOW, counters >> _HALF, zero, zero), key)
    drawn = np.empty((len(keys), counters.shape[1] * 4), np.float64)
    for lane, word in enumerate(words):
        drawn[:, lane::4] = word
    drawn += 0.5
    drawn *= 2.0**-32
    return drawn[:, :width]


class Draws:
    """Keeps the draws of the block at hand: rules that choose for the same queries draw the same."""

    def __init__(self) -> None:
        self._block: Int32 = np.zeros(0, np.int32)
        self._kept: dict[Hashable, Float64] = {}

    def start_block(self, query: Int32) -> None:
        """Forget what was drawn for other queries."""
        if not np.array_equal(query, self._block):
            self._block, self._kept = query, {}

    def kept(self, of: Hashable, draw: Callable[[], Float64]) -> Float64:
        """What was drawn before for this, else what is drawn now."""
        if of not in self._kept:
            self._kept[of] = draw()
        return self._kept[of]

"""Philox against its published vectors, and draws that nothing but seed and ids can change."""

from __future__ import annotations

import numpy as np
import pytest

from hardneg.select.draws import philox, stream_keys, uniforms

ONES = 0xFFFFFFFF
KNOWN_ANSWERS = [  # Random123's own: counter, key, output
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_gives_the_published_words(
    counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    words = philox(
        tuple(np.array([[word]], np.uint64) for word in counter),  # type: ignore[arg-type]
        tuple(np.array([[word]], np.uint64) for word in key),  # type: ignore[arg-type]
    )
    assert tuple(int(word[0, 0]) for word in words) == expected


def test_a_draw_is_the_word_plus_a_half_over_two_to_the_32() -> None:
    drawn = uniforms(np.zeros(1, np.uint64), 4)
    assert drawn[0].tolist() == [(word + 0.5) / 2**32 for word in KNOWN_ANSWERS[0][2]]


def test_width_start_and_company_change_no_draw() -> None:
    keys = stream_keys(3, [(b"a",), (b"b",), (b"c",)])
    whole = uniforms(keys, 203)
    assert np.array_equal(uniforms(keys, 50), whole[:, :50])
    assert np.array_equal(uniforms(keys, 103, start=100), whole[:, 100:])
    assert np.array_equal(uniforms(keys[1:2], 203), whole[1:2])
    assert ((whole > 0) & (whole < 1)).all()


def test_keys_tell_seeds_ids_purposes_and_their_borders_apart() -> None:
    ways = [
        stream_keys(0, [(b"ab",)]),
        stream_keys(1, [(b"ab",)]),
        stream_keys(0, [(b"ab",)], "backfill"),
        stream_keys(0, [(b"a", b"b")]),
        stream_keys(0, [(b"ab", b"")]),
    ]
    assert len({int(key[0]) for key in ways}) == len(ways)
    assert stream_keys(0, [(b"x",), (b"ab",)])[1] == ways[0][0]


def test_draws_are_spread_evenly() -> None:
    drawn = uniforms(stream_keys(0, [(bytes([n]),) for n in range(200)]), 200).ravel()
    counts = np.histogram(drawn, bins=20, range=(0, 1))[0]
    # 40,000 draws in 20 bins: 2,000 each, standard deviation sqrt(40000 * 0.05 * 0.95) = 43.6
    assert abs(counts - 2000).max() < 5 * 43.6

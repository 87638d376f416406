"""Sizes and spans of time, as they are written and read."""

from __future__ import annotations

import pytest

from hardneg.errors import UsageError
from hardneg.quantities import counted, of_kind, parse_size, parse_span, size_text


def test_one_is_a_singular() -> None:
    assert [counted(number, "fault") for number in (0, 1, 2000)] == ["0 faults", "1 fault", "2,000 faults"]
    assert counted(1, "query has", "queries have") == "1 query has"
    assert counted(2, "query has", "queries have") == "2 queries have"


@pytest.mark.parametrize(
    ("several", "one"),
    [
        ("documents", "1 document"),
        ("judged negatives", "1 judged negative"),
        ("queries outside the split", "1 query outside the split"),
        ("judgments below min_relevance", "1 judgment below min_relevance"),
        ("duplicate positives merged", "1 duplicate positive merged"),
        ("rows refused", "1 row refused"),
    ],
)
def test_one_of_what_is_named_in_the_plural_is_a_singular(several: str, one: str) -> None:
    assert (of_kind(1, several), of_kind(1234, several)) == (one, f"1,234 {several}")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0B", 0),
        ("20GB", 20_000_000_000),
        ("1.5 TB", 1_500_000_000_000),
        (" 512mib ", 512 * 1024 * 1024),
        ("3kb", 3_000),
    ],
)
def test_sizes(text: str, count: int) -> None:
    assert parse_size(text, "--max-size") == count


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("90min", 5_400),
        ("12h", 43_200),
        ("30d", 2_592_000),
        ("2 W", 1_209_600),
        ("0.5d", 43_200),
    ],
)
def test_spans(text: str, seconds: float) -> None:
    assert parse_span(text, "--older-than") == seconds


@pytest.mark.parametrize("text", ["", "20", "GB", "20 gigabytes", "-1GB", "1e3GB", "nanGB", "20GB!", "1,5GB"])
def test_what_is_no_size_names_the_flag_and_the_units(text: str) -> None:
    with pytest.raises(UsageError, match="--max-size .*write a number and one of B, KB, MB, .*such as 20GB"):
        parse_size(text, "--max-size")


def test_what_no_number_holds_is_refused() -> None:
    with pytest.raises(UsageError, match="--max-size: is beyond all bounds"):
        parse_size("9" * 400 + "GB", "--max-size")
    with pytest.raises(UsageError, match="--older-than: is beyond all bounds"):
        parse_span("9" * 400 + "d", "--older-than")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 KB"), (1_234_567, "1.2 MB"), (5 * 10**15, "5,000.0 TB")],
)
def test_what_is_shown(count: int, text: str) -> None:
    assert size_text(count) == text

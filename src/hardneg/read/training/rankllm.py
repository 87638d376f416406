"""RankLLM's conversations: the passages after their letters or numbers, and their ranking.

Nothing there says which passages are positives but `positives`, which hardneg writes; without it the first
one of the ranking is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from hardneg.read.bad_rows import RowError
from hardneg.read.json_array import json_array_rows
from hardneg.read.row_files import kind_of
from hardneg.read.rows import Row
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import Group, Side, row_groups
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.sample import Sample
from hardneg.read.training.values import optional_id, optional_ids, optional_numbers, text

_QUERY = re.compile(r"^Search Query: (.*)\.$", re.MULTILINE)
_PASSAGE = re.compile(r"^\[([A-Z]|\d+)\] ?(.*)$", re.MULTILINE)
_RANKED = re.compile(r"\[([A-Z]|\d+)\]")


def _groups(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    rows = json_array_rows(path) if kind_of(path) == ".json" else None
    return row_groups(path, options, _parse, rows)


def _parse(row: Row) -> Group:
    asked, ranking = _turns(row)
    queries = list(_QUERY.finditer(asked))
    if not queries:
        raise RowError("has no line `Search Query: ...`", "conversations")
    passages = dict(_PASSAGE.findall(asked[: queries[-1].start()]))
    places = _places(passages, ranking)
    positives = row.get("positives", 1)
    if type(positives) is not int or not 0 <= positives <= len(places):
        raise RowError("must be how many of the ranked passages are positives", "positives")
    texts = list(passages.values())
    beside = {
        "doc_id": _of_passages(row, "docids", texts, optional_ids(row, "docids")),
        "score": _of_passages(row, "scores", texts, optional_numbers(row, "scores")),
    }

    def side(at: list[int]) -> Side:
        aligned = {name: values and [values[place] for place in at] for name, values in beside.items()}
        return Side([texts[place] for place in at], **aligned)

    return Group(
        query=queries[-1][1],
        positives=side(places[:positives]),
        negatives=side(places[positives:]),
        query_id=optional_id(row.get("id"), "id"),
    )


def _turns(row: Row) -> tuple[str, str]:
    """What is asked, and the ranking."""
    turns = row.get("conversations")
    if not isinstance(turns, list | tuple) or len(turns) < 3:
        raise RowError("must be a list of three turns: system, human, gpt", "conversations")
    said = [turn.get("value") if isinstance(turn, dict) else None for turn in turns[:3]]
    return text(said[1], "conversations"), text(said[2], "conversations")


def _places(passages: Mapping[str, str], ranking: str) -> list[int]:
    """Which passage is first, which second, and so on."""
    order = {letter: place for place, letter in enumerate(passages)}
    ranked = _RANKED.findall(ranking)
    if sorted(ranked) != sorted(passages):
        raise RowError("must rank each of its passages once", "conversations")
    return [order[letter] for letter in ranked]


def _of_passages(row: Row, column: str, texts: list[str], values: list[Any] | None) -> list[Any] | None:
    if values is not None and len(values) != len(texts):
        raise RowError(f"has {len(values)} values for {len(texts)} passages", column)
    return values


def _recognise(sample: Sample) -> bool:
    begins = "".join(sample.lines)
    return '"conversations"' in begins and "RankLLM" in begins


READERS = {"rankllm": TrainingReader(_groups, (".json", ".jsonl"), _recognise)}

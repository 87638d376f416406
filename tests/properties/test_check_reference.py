"""`check` against loops over the rows: every fault at its line and place, and no other."""

from __future__ import annotations

import json
import math
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg

Row = dict[str, Any]
Found = tuple[int, int | None, str]
"""Line, place among the row's positives or negatives from 1 on, code."""


def same(text: str) -> str:
    """Texts that count as one have one of these; "" where there is nothing to see."""
    shown = text.replace("\0", "").replace("\ufeff", "").replace("\u200b", "")
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()) if shown.strip() else ""


class Reference:
    """What is wrong with the rows, by loops."""

    def __init__(self, rows: list[Row], num_negatives: int | None) -> None:
        self.rows, self.num_negatives = rows, num_negatives
        self.known = {
            (query, document)
            for row in rows
            for query in self.queries(row)
            for documents in zip(map(same, row["pos"]), self.ids(row, "pos"), strict=True)
            for document in self.names(*documents)
        }

    def found(self) -> list[Found]:
        before: list[Any] = []
        found: list[Found] = []
        for line, row in enumerate(self.rows, 1):
            texts = same(row["query"]), *(Counter(map(same, row[side])) for side in ("pos", "neg"))
            code = self.of_row(row, repeated=texts in before)
            before.append(texts)
            found += [(line, None, code)] if code else []
            found += [(line, place, code) for place, code in self.of_positives(row)]
            found += [(line, place, code) for place, code in self.of_negatives(row)]
        return found

    def of_row(self, row: Row, *, repeated: bool) -> str | None:
        scores = [row.get(f"{side}_scores") for side in ("pos", "neg")]
        aligned = [
            row.get(f"{side}_{part}") is None or len(row[f"{side}_{part}"]) == len(row[side])
            for side in ("pos", "neg")
            for part in ("id", "scores")
        ]
        numbers = [number for several in scores for number in several or () if number is not None]
        of_texts = [
            number
            for side, several in zip(("pos", "neg"), scores, strict=True)
            for number in (several if several is not None else [None] * len(row[side]))
        ]
        checks = {
            "empty_query": not same(row["query"]),
            "misaligned": not all(aligned),
            "not_finite": any(not math.isfinite(number) or abs(number) > 3.5e38 for number in numbers),
            "missing_score": None in of_texts and any(number is not None for number in of_texts),
            "repeated_row": repeated,
            "no_positive": not row["pos"],
            "no_negative": not row["neg"],
            "wrong_count": self.num_negatives not in (None, len(row["neg"])),
        }
        return next((code for code, wrong in checks.items() if wrong), None)

    def of_positives(self, row: Row) -> list[tuple[int, str]]:
        texts = list(map(same, row["pos"]))
        found = []
        for place, text in enumerate(texts):
            if not text:
                found.append((place + 1, "empty_positive"))
            elif text in texts[:place]:
                found.append((place + 1, "repeated_positive"))
        return found

    def of_negatives(self, row: Row) -> list[tuple[int, str]]:
        texts, ids = list(map(same, row["neg"])), self.ids(row, "neg")
        own_texts, own_ids = set(map(same, row["pos"])), set(self.ids(row, "pos"))
        found = []
        for place, (text, name) in enumerate(zip(texts, ids, strict=True)):
            known = {(query, one) for query in self.queries(row) for one in self.names(text, name)}
            checks = {
                "empty_negative": not text,
                "query_among_negatives": text == same(row["query"]),
                "positive_among_negatives": text in own_texts or (name is not None and name in own_ids),
                "known_positive_among_negatives": bool(known & self.known),
                "repeated_negative": text in texts[:place],
            }
            found += [(place + 1, code) for code, wrong in checks.items() if wrong][:1]
        return found

    def queries(self, row: Row) -> list[tuple[str, str]]:
        return self.names(same(row["query"]), row.get("id"))

    @staticmethod
    def names(text: str, name: str | None) -> list[tuple[str, str]]:
        """What a query or document is known by."""
        return [("text", text)] * bool(text) + ([] if name is None else [("id", name)])

    @staticmethod
    def ids(row: Row, side: str) -> list[str | None]:
        ids = row.get(f"{side}_id")
        return ids if ids is not None and len(ids) == len(row[side]) else [None] * len(row[side])


def written_otherwise(text: str, draw: np.random.Generator) -> str:
    """The same text for people: another case, width, space."""
    wide = text.replace("a", "ａ")
    ways = (text, text.upper(), f" {text}\n", text.replace(" ", "\u00a0 \t"), wide, f"{text}\u2003")
    return ways[draw.integers(len(ways))]


def clean_row(number: int, draw: np.random.Generator) -> Row:
    """Of few queries and many documents, some with ids, some with scores."""
    query = int(draw.integers(number // 2 + 1))
    pos = [f"answer {query} {one}" for one in draw.choice(9, int(draw.integers(1, 4)), replace=False)]
    neg = [f"other {one}" for one in draw.choice(200, int(draw.integers(1, 6)), replace=False)]
    row: Row = {"query": f"question {query}", "pos": pos, "neg": neg}
    if draw.random() < 0.5:
        row |= {
            "id": f"q{query}",
            "pos_id": [f"id {one}" for one in pos],
            "neg_id": [f"id {one}" for one in neg],
        }
    if draw.random() < 0.5:
        row |= {f"{side}_scores": draw.random(len(row[side])).tolist() for side in ("pos", "neg")}
    return row


def spoil(row: Row, rows: list[Row], draw: np.random.Generator) -> None:
    """Plant a fault, or what is next to one; what stands beside the texts stays aligned but for that."""

    def change(side: str, text: str) -> None:
        if row[side]:
            row[side][draw.integers(len(row[side]))] = written_otherwise(text, draw)

    def other() -> Row:
        return rows[draw.integers(len(rows))]

    def pick(texts: list[str]) -> str:
        return texts[draw.integers(len(texts))] if texts else ""

    def cut(name: str) -> None:
        if row.get(name):
            row[name] = row[name][: draw.integers(len(row[name]))]

    def put(name: str, value: Any) -> None:
        if row.get(name):
            row[name][draw.integers(len(row[name]))] = value

    def of_another_row() -> None:
        one = other()
        row["query"] = written_otherwise(one["query"], draw)
        change("neg", pick(one["pos"]))

    def under_its_id() -> None:
        """The same query and document by their ids, under other texts."""
        one = other()
        if one.get("pos_id") and len(one["pos_id"]) == len(one["pos"]) and row.get("neg_id"):
            row["query"], row["id"] = f"{one['query']} said otherwise", one["id"]
            row["neg_id"][0] = pick(one["pos_id"])

    def again() -> None:
        copy = json.loads(json.dumps(other()))
        row.clear()
        row.update(copy)
        draw.shuffle(row["neg"])

    plants = (
        lambda: change("neg", row["query"]),
        lambda: change("neg", pick(row["pos"])),
        lambda: change("neg", pick(row["neg"])),
        lambda: change("pos", pick(row["pos"])),
        lambda: change("neg", ""),
        lambda: change("pos", "\u200b"),
        lambda: row.update(query=pick(["", " \n", "\ufeff"])),
        lambda: row.update(neg=[], neg_id=[] if "neg_id" in row else None, neg_scores=None),
        lambda: row.update(pos=[], pos_id=None, pos_scores=None),
        lambda: cut("neg_scores"),
        lambda: cut("pos_id"),
        lambda: put("neg_scores", None),
        lambda: put("pos_scores", 1e300),
        lambda: row.pop("pos_scores", None),
        lambda: put("neg_id", pick(row.get("pos_id") or [])),
        of_another_row,
        under_its_id,
        again,
    )  # fmt: skip
    plants[draw.integers(len(plants))]()


def planted(number: int, seed: int) -> list[Row]:
    draw = np.random.default_rng(seed)
    rows = [clean_row(number, draw) for _ in range(number)]
    for _ in range(number // 2):
        spoil(rows[draw.integers(number)], rows, draw)
    for row in rows:  # an empty id is none
        for side in ("pos", "neg"):
            if row.get(f"{side}_id"):
                row[f"{side}_id"] = [one or None for one in row[f"{side}_id"]]
    return rows


def write(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def listed(path: Path) -> list[Found]:
    faults = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [(one["line"], one.get("place"), one["fault"]) for one in faults]


def compare(folder: Path, number: int, seed: int, num_negatives: int | None) -> list[Found]:
    rows = planted(number, seed)
    write(folder / "in.jsonl", rows)
    expected = Reference(rows, num_negatives).found()
    report = hardneg.check(folder / "in.jsonl", num_negatives=num_negatives, list_to=folder / "faults.jsonl")
    assert listed(folder / "faults.jsonl") == expected
    assert dict(report.faults) == Counter(code for _, _, code in expected)
    assert report.rows == number
    assert report.negatives == sum(len(row["neg"]) for row in rows)
    return expected


SIZES = [(1, 20), (40, 20), (900, 2)]
"""Rows, and how many files of so many: 900 rows are more than one block of texts."""


@pytest.mark.parametrize(("number", "files"), SIZES)
def test_planted_faults_are_found_and_no_others(number: int, files: int, tmp_path: Path) -> None:
    codes: Counter[str] = Counter()
    for seed in range(files):
        found = compare(tmp_path, number, seed, None if seed % 2 else 3)
        codes.update(code for _, _, code in found)
    everything = set(hardneg_codes()) - {"unreadable"}
    assert number == 1 or set(codes) == everything, everything - set(codes)


@pytest.mark.slow
@pytest.mark.parametrize("number", [3, 40, 5000])
def test_planted_faults_in_many_files(number: int, tmp_path: Path) -> None:
    for seed in range(1000, 1000 + (2 if number == 5000 else 300)):
        compare(tmp_path, number, seed, None)


def hardneg_codes() -> tuple[str, ...]:
    from hardneg.read.training.faults import CODES

    return CODES


def test_what_is_dropped_leaves_no_fault(tmp_path: Path) -> None:
    """Converted with the faults dropped, a file is clean, and counts add up."""
    rows = planted(900, 5)
    write(tmp_path / "in.jsonl", rows)
    report = hardneg.convert(tmp_path / "in.jsonl", "flagembedding", tmp_path / "out.jsonl", on_fault="drop")
    again = hardneg.check(tmp_path / "out.jsonl")
    assert {code for code in again.faults if code != "missing_score"} <= {
        "repeated_row",
        "known_positive_among_negatives",
    }
    found, a = Reference(rows, None).found(), report.accounts
    faulty = {line for line, place, code in found if place is None and code not in ("no_negative",)}
    assert a.groups_faulty == len(faulty)
    assert (
        a.groups_read
        == len(rows)
        == (a.groups + a.groups_faulty + a.groups_without_negatives + a.groups_emptied + a.groups_short)
    )
    assert a.negatives_read == sum(len(row["neg"]) for row in rows)
    assert a.negatives_faulty == sum(
        code.endswith(("negative", "among_negatives")) for _, place, code in found if place is not None
    )

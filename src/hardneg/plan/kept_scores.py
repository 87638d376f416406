"""rescore: scores that outlive the part they were given to, until a part holds their pairs again.

They lie under RUN/rescoring, a folder for each scorer, tables and part, in it a folder for each who keeps
some (`plan`). A pair is its rows in the tables, so other tables have other folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hardneg.errors import DamagedError
from hardneg.files import read_arrays, read_metadata, read_parquet, write_arrays
from hardneg.fingerprints import digest
from hardneg.plan.prepare import Prepared
from hardneg.records import CANDIDATES, Float32, Int32, Int64
from hardneg.run_directory import PARTS, RunDirectory, mark_of_parts, part_name

SCORER_KEY = b"hardneg.scorer"
"""Metadata of a part's two files: the mark of the scorer whose scores they hold."""
PARTLY = " partly"
"""After a part's mark: some of its pairs are not scored."""
MIXED = "mixed"
"""In place of a part's mark: its candidates' scores are not those of its positives' scorer."""
_FROM_PARTS = "parts"
"""The plan of what is kept when candidates are searched anew."""


def kept_folder(prepared: Prepared, mark: str, part: str) -> Path:
    """Where scores are kept of the pairs of a part, by the scorer with this mark."""
    return prepared.run.rescoring / f"{digest([mark, prepared.fingerprint])}-{part}"


def pair_keys(query: Int32, doc: Int32) -> Int64:
    """query row << 32 | document row, int64 like doc (queries, any); -1 where there is no document."""
    keys: Int64 = query.astype(np.int64)[:, None] << 32 | doc  # all bits of NO_DOC are set
    return keys


def part_mark(run: RunDirectory, name: str) -> str:
    """Whose scores a part holds: a scorer's mark, with PARTLY where some are missing; "": nobody's.

    Its two files are written one after the other. Where a process died in between they may be of two minds:
    MIXED, unless both are of one scorer.
    """
    candidates, positives = (_mark(folder / f"{name}.parquet") for folder in (run.candidates, run.positives))
    if positives in (candidates, None):  # None: by a version that did not mark them
        return candidates or ""
    whose = {_scorer_of(candidates), _scorer_of(positives)}
    return whose.pop() + PARTLY if len(whose) == 1 else MIXED


def _mark(path: Path) -> str | None:
    return _mark_in(read_metadata(path))


def _mark_in(metadata: pq.FileMetaData) -> str | None:
    mark: bytes | None = (metadata.metadata or {}).get(SCORER_KEY)
    return None if mark is None else mark.decode()


def _scorer_of(mark: str | None) -> str:
    return (mark or "").removesuffix(PARTLY)


def save_scores(path: Path, keys: Int64, scores: Float32) -> None:
    write_arrays(path, _place_of(path), keys=keys, scores=scores)


def _place_of(path: Path) -> str:
    """The folders under which scores lie: they say whose scores of which pairs these are."""
    return "/".join(path.parts[-3:-1])


def load_scores(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Keys and scores, as they were saved; none where they are not there, or damaged: they are made anew."""
    try:
        stored = read_arrays(path, _place_of(path))
        return stored["keys"], stored["scores"]
    except (DamagedError, KeyError):
        return np.zeros(0, np.int64), np.zeros(0, np.float32)


# -- of parts that are searched anew ------------------------------------------------------------------------


def keep_part_scores(prepared: Prepared, queries_a_part: int) -> None:
    """Of all parts of a run whose candidates are about to go, for the parts with the same queries."""
    run = prepared.run
    search = run.stage("search")
    for name in sorted(path.stem for path in run.candidates.glob(PARTS)):
        with suppress(DamagedError):  # it is scored anew
            mark, keys, scores = scores_of_part(name, search, run.candidates, run.positives)
            keep(prepared, mark, name, keys, scores, queries_a_part)


def keep_for_deeper(prepared: Prepared, deeper: str, queries: Int32, queries_a_part: int) -> None:
    """For a part of these queries, searched deeper than those that hold them."""
    run = prepared.run
    if not run.stage("rescore"):
        return
    theirs = {part_name(number) for number in np.unique(queries // queries_a_part).tolist()}
    for name in run.parts():
        if name != deeper and (name in theirs or name.startswith("deep-")):
            mark, keys, scores = scores_of_part(name, run.stage("search"), run.candidates, run.positives)
            mine = np.isin(keys >> 32, queries)
            if mine.any():
                path = kept_folder(prepared, mark, deeper) / _FROM_PARTS / f"{name}.npz"
                save_scores(path, keys[mine], scores[mine])


def keep(
    prepared: Prepared, mark: str, source: str, keys: Int64, scores: Float32, queries_a_part: int
) -> None:
    """Scores of pairs, for the parts that these queries will have.

    source  names whose scores these are: given again they take their own place
    """
    part_of = (keys >> 32) // queries_a_part
    for part in np.unique(part_of).tolist():
        mine = part_of == part
        path = kept_folder(prepared, mark, part_name(part)) / _FROM_PARTS / f"{source}.npz"
        save_scores(path, keys[mine], scores[mine])


def scores_of_part(
    name: str, search: Mapping[str, Any], candidates: Path, positives: Path | None = None
) -> tuple[str, Int64, Float32]:
    """The mark of its scorer, and the pairs that it scored, (pairs,) both; none where nobody did.

    search  the finished search of which the part is
    """
    paths = [candidates / f"{name}.parquet"]
    metadata = read_metadata(paths[0])
    mark = _scorer_of(_mark_in(metadata))
    columns = metadata.schema.to_arrow_schema().names
    scorer = [column for column in columns if column not in CANDIDATES.names]
    if not mark or not scorer:
        return "", np.zeros(0, np.int64), np.zeros(0, np.float32)
    if positives is not None and _scorer_of(_mark(positives / f"{name}.parquet")) == mark:
        paths.append(positives / f"{name}.parquet")
    found = [_scored_pairs(path, mark_of_parts(path.parent.name, search), scorer[0]) for path in paths]
    return mark, np.concatenate([keys for keys, _ in found]), np.concatenate([scores for _, scores in found])


def _scored_pairs(path: Path, mark: str, scorer: str) -> tuple[Int64, Float32]:
    table = read_parquet(path, ["query_row", "doc_row", scorer], mark)
    query, doc = (table[column].to_numpy() for column in ("query_row", "doc_row"))
    scores = table[scorer].to_numpy().astype(np.float32)
    there = np.isfinite(scores)
    return pair_keys(query, doc[:, None])[there, 0], scores[there]

"""A TREC run of negatives: `query_id Q0 doc_id rank score tag`. Its positives stand elsewhere (`--qrels`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from hardneg.errors import UsageError
from hardneg.read.bad_rows import RowError
from hardneg.read.row_files import byte_lines, decode
from hardneg.read.training.by_id import OF_IDS, Judged, id_groups
from hardneg.read.training.formats import TrainingReader
from hardneg.read.training.groups import group_tables
from hardneg.read.training.options import ReadOptions
from hardneg.read.training.sample import Sample
from hardneg.read.training.values import number

_COLUMNS = "query_id Q0 doc_id rank score tag"


def _groups(path: Path, options: ReadOptions) -> Iterator[pa.Table]:
    if options.file.min_relevance is not None and options.file.qrels is None:
        raise UsageError("min_relevance: a run has no judgments; name those that it is of (qrels)")
    return group_tables(id_groups(path, _lines(path, options), options, as_labels=False))


def _lines(path: Path, options: ReadOptions) -> Iterator[Judged]:
    for place, line in byte_lines(path):
        try:
            fields = decode(line, place).split()
            if not fields:
                continue
            if len(fields) != 6:
                raise RowError(f"{len(fields)} columns where a run has 6: {_COLUMNS}")
            score = number(fields[4], "score")
        except RowError as error:
            options.bad.refuse(error, str(path), place)
            continue
        yield Judged(place, fields[0], fields[2], score, positive=False)


def _recognise(sample: Sample) -> bool:
    fields = sample.lines[0].split() if sample.lines else []
    return len(fields) == 6 and fields[1].upper() == "Q0"


READERS = {"trec": TrainingReader(_groups, ("",), _recognise, positives=False, options=OF_IDS)}

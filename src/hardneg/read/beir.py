"""A BEIR folder (`corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv`), or its three tables from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hardneg.config import ReadConfig, nearest
from hardneg.errors import InputError
from hardneg.named_files import kind_of_path
from hardneg.quantities import counted
from hardneg.read.bad_rows import BadRows
from hardneg.read.documents import read_documents
from hardneg.read.parsed import Parsed
from hardneg.read.qrels import qrels_file_rows, read_judgments
from hardneg.read.queries import read_queries
from hardneg.read.row_files import PACKED, file_rows
from hardneg.read.rows import Rows

_TABLE_KINDS = (".jsonl", ".parquet", ".csv", ".tsv", ".json", ".ndjson")
_QREL_KINDS = (".tsv", ".trec", ".qrels", ".txt", ".jsonl", ".parquet", ".csv")

HubRows = Callable[[str, str], Rows]
"""(Hub id, split) → the rows of that data set's split."""


def find_file(folder: Path, stem: str, kinds: tuple[str, ...] = _TABLE_KINDS) -> Path | None:
    """`folder/stem` with one of these suffixes, packed or not."""
    names = (folder / f"{stem}{kind}{packing}" for kind in kinds for packing in PACKED)
    return next((path for path in names if path.is_file()), None)


def is_beir_folder(folder: Path) -> bool:
    return find_file(folder, "queries") is not None


def read_beir_folder(
    folder: Path,
    config: ReadConfig,
    parsed: Parsed,
    bad: BadRows,
    hub_rows: HubRows,
    *,
    has_pool: bool,
) -> None:
    """Add a BEIR folder to `parsed`. A further pool stands in for a corpus that the folder lacks."""
    queries, corpus = find_file(folder, "queries"), find_file(folder, "corpus")
    if queries is None:
        raise InputError("there is no queries.jsonl (or .parquet, .csv, .tsv; .gz, .zst)", file=folder)
    if corpus is None and not has_pool:
        raise InputError(
            "there is no corpus.jsonl (or .parquet, .csv, .tsv; .gz, .zst); name one with --corpus",
            file=folder,
        )
    qrels = judgment_rows(folder, config, parsed.notes, hub_rows)
    read_tables(None if corpus is None else file_rows(corpus), file_rows(queries), qrels, parsed, bad)


def read_tables(corpus: Rows | None, queries: Rows, qrels: Rows, parsed: Parsed, bad: BadRows) -> None:
    """Add a corpus, the queries that the judgments name, and the judgments."""
    read_judgments(qrels, parsed, bad)
    if not parsed.judgments:
        raise InputError("holds no judgment that can be used", file=qrels.name)
    wanted = set(parsed.judgments[-1]["query_id"].unique().to_pylist())
    others = read_queries(queries, wanted, parsed, bad)
    if others:
        those = (
            "query has no judgment in this split and was",
            "queries have no judgment in this split and were",
        )
        parsed.notes.append(f"{counted(others, *those)} left out")
    parsed.counts["queries outside the split"] = others
    if corpus is not None:
        read_documents(corpus, parsed, bad, need_ids=True)


# -- where the judgments lie ------------------------------------------------------------------------


def judgment_rows(folder: Path, config: ReadConfig, notes: list[str], hub_rows: HubRows) -> Rows:
    """The judgments that `config.qrels` names, else those of the folder, or of its neighbour `NAME-qrels`."""
    if config.qrels is not None:
        return named_judgment_rows(config.qrels, config.split, notes, hub_rows)
    whole = folder.resolve()  # `.` has no name, and so no neighbour of that name
    neighbour = whole.with_name(f"{whole.name}-qrels")
    if (folder / "qrels").is_dir():
        return qrels_file_rows(split_file(folder / "qrels", config.split), notes)
    if neighbour.is_dir():
        notes.append(f"judgments: {neighbour}")
        return qrels_file_rows(split_file(neighbour, config.split), notes)
    single = find_file(folder, "qrels", _QREL_KINDS)
    if single is None:
        raise InputError("there is no folder `qrels`; name the judgments with --qrels", file=folder)
    notes.append(f"{single.name} holds no splits: all its judgments were read")
    return qrels_file_rows(single, notes)


def named_judgment_rows(qrels: str, split: str, notes: list[str], hub_rows: HubRows) -> Rows:
    """Judgments from a file, a folder of splits, or a Hub data set; an existing path wins."""
    path = Path(qrels).expanduser()
    kind = "nothing" if qrels.startswith("hf:") else kind_of_path(path)
    if kind == "nothing":
        return hub_rows(qrels, split)
    if kind == "folder":
        inner = path / "qrels"
        return qrels_file_rows(split_file(inner if inner.is_dir() else path, split), notes)
    return qrels_file_rows(path, notes)


def split_file(folder: Path, split: str) -> Path:
    """The file of a split. Raises InputError naming the splits that there are."""
    path = find_file(folder, split, _QREL_KINDS) if Path(split).name == split else None
    if path is None:
        known = splits_of(folder)
        raise InputError(
            f"there is no split {split!r}{nearest(split, known)} (there: {', '.join(known) or 'none'}); "
            "choose one with --split",
            file=folder,
        )
    return path


def splits_of(folder: Path) -> list[str]:
    """The splits whose judgments lie in a folder."""
    ends = [f"{kind}{packing}" for kind in _QREL_KINDS for packing in reversed(PACKED)]
    found = set()
    for path in folder.iterdir():
        end = next((end for end in ends if path.name.endswith(end)), None)
        if end is not None and path.is_file():
            found.add(path.name.removesuffix(end))
    return sorted(found)

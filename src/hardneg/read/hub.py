"""Data sets of the Hugging Face Hub, and local folders laid out as there; `datasets` does the work.

No code of a data set is run. A data set with the configurations `corpus` and `queries` is a retrieval
collection: its judgments lie in its configuration `default` or `qrels`, or in the data set `NAME-qrels`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hardneg.config import ReadConfig, nearest
from hardneg.errors import HardnegError, InputError, UsageError
from hardneg.read.bad_rows import BadRows
from hardneg.read.beir import named_judgment_rows, read_tables
from hardneg.read.frames import frame_rows
from hardneg.read.labelled import read_labelled
from hardneg.read.parsed import Parsed
from hardneg.read.row_files import kind_of
from hardneg.read.rows import Row, Rows

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_DATA_KINDS = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".txt", ".gz", ".zst")
_QREL_SUBSETS = ("default", "qrels")


def is_hub_id(text: str) -> bool:
    """Could this be a Hub id? The name of a data file could not."""
    return _HUB_ID.fullmatch(text) is not None and kind_of(Path(text)) not in _DATA_KINDS


def forced_hub_name(source: str) -> str:
    """`hf:ID` as `datasets` takes it: from the Hub even where a path of that name exists."""
    name = source.removeprefix("hf:")
    return f"hf://datasets/{name}" if Path(name).exists() else name


def read_hub(name: str, config: ReadConfig, parsed: Parsed, bad: BadRows) -> None:
    """Add a Hub data set, or a local folder laid out as one, to `parsed`."""
    subsets = subset_names(name)
    if config.subset is None and {"corpus", "queries"} <= set(subsets):
        for key in ("query_column", "positive_column", "negative_column"):
            if getattr(config, key):
                raise UsageError(f"{key}: goes with pairs of texts; this data set has a corpus and judgments")
        corpus = _all_splits(name, "corpus", config.streaming)
        queries = _all_splits(name, "queries", config.streaming)
        read_tables(corpus, queries, _judgments(name, subsets, config, parsed), parsed, bad)
    else:
        if config.qrels is not None:
            raise UsageError("qrels: goes with a corpus and queries that have ids; this data set holds pairs")
        subset = _choose_subset(name, subsets, config.subset)
        read_labelled(_split(name, subset, config.split, config.streaming), config, parsed, bad)


def hub_split_rows(name: str, split: str, *, streaming: bool) -> Rows:
    """The rows of a split of a data set with one configuration (or a `default` or `qrels` one)."""
    if name.startswith("hf:"):
        name = forced_hub_name(name)
    elif not is_hub_id(name):
        raise InputError("there is no such file or folder, and no Hub id looks like this", file=name)
    return _hub_split(name, split, streaming)


def _hub_split(name: str, split: str, streaming: bool) -> Rows:
    subsets = subset_names(name)
    subset = next((subset for subset in _QREL_SUBSETS if subset in subsets), None)
    return _split(name, subset or _choose_subset(name, subsets, None), split, streaming)


def hub_documents(name: str, streaming: bool) -> Rows:
    """The documents of a data set: its configuration `corpus`, or its only one."""
    subsets = subset_names(name)
    subset = "corpus" if "corpus" in subsets else _choose_subset(name, subsets, None)
    return _all_splits(name, subset, streaming)


def read_saved(folder: Path, config: ReadConfig, parsed: Parsed, bad: BadRows) -> None:
    """Add what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` left in a folder."""
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be loaded ({_one_line(error)})", file=folder) from error
    frame = choose_split(loaded, config.split, str(folder)) if isinstance(loaded, Mapping) else loaded
    read_labelled(frame_rows(frame, str(folder)), config, parsed, bad)


def choose_split(splits: Mapping[str, Any], split: str, name: str) -> Any:
    """Raises InputError naming the splits that there are, or for a dict that holds no tables."""
    if split not in splits:
        if any(_is_no_table(value) for value in splits.values()):
            raise InputError(
                "is a dict of other things than tables; give a list of dicts, one a row, a data frame, or "
                "datasets.Dataset.from_dict(columns)",
                file=name,
            )
        known = [str(key) for key in splits]
        raise InputError(
            f"there is no split {split!r}{nearest(split, known)} (there: {', '.join(known) or 'none'}); "
            "choose one with --split",
            file=name,
        )
    return splits[split]


def _is_no_table(value: Any) -> bool:
    """A list of plain values is a column, not a table; so of texts and numbers, and of dicts in dicts."""
    if isinstance(value, list | tuple):
        return bool(value) and not isinstance(value[0], Mapping)
    return value is None or isinstance(value, str | int | float | Mapping)


def _judgments(name: str, subsets: list[str], config: ReadConfig, parsed: Parsed) -> Rows:
    if config.qrels is not None:
        hub_rows = partial(hub_split_rows, streaming=config.streaming)
        return named_judgment_rows(config.qrels, config.split, parsed.notes, hub_rows)
    subset = next((subset for subset in _QREL_SUBSETS if subset in subsets), None)
    if subset is not None:
        return _split(name, subset, config.split, config.streaming)
    neighbour = f"{Path(name).resolve() if Path(name).is_dir() else name}-qrels"
    parsed.notes.append(f"judgments: {neighbour}")
    return _hub_split(neighbour, config.split, config.streaming)


def _choose_subset(name: str, subsets: list[str], wanted: str | None) -> str:
    """The configuration asked for, the only one, or `default`."""
    if wanted is None and len(subsets) == 1:
        return subsets[0]
    if (wanted or "default") in subsets:
        return wanted or "default"
    there = f"(there: {', '.join(subsets)})"
    if wanted is None:
        raise InputError(f"has several configurations {there}; choose one with --subset", file=name)
    raise InputError(f"there is no configuration {wanted!r}{nearest(wanted, subsets)} {there}", file=name)


def subset_names(name: str) -> list[str]:
    """The configurations of a data set. Raises InputError where there is no such data set."""
    import datasets

    # `csv` or `pandas` would read whatever lies in the working folder, some versions pickles too.
    if name in getattr(datasets.packaged_modules, "_PACKAGED_DATASETS_MODULES", ()):
        raise InputError("names a kind of file, not a data set; give a path or a Hub id", file=name)
    try:
        return list(datasets.get_dataset_config_names(name))
    except Exception as error:  # of many libraries: network, Hub, file systems
        raise _not_loaded(name, error) from error


def _all_splits(name: str, subset: str, streaming: bool) -> Rows:
    """All splits of a configuration below each other: the judgments choose."""
    import datasets

    splits = _load(name, subset, streaming)
    rows = datasets.concatenate_datasets(list(splits.values()))
    return _plainly(frame_rows(rows, f"{name}, {subset}"), name)


def _split(name: str, subset: str, split: str, streaming: bool) -> Rows:
    shown = name if subset == "default" else f"{name}, {subset}"
    frame = choose_split(_load(name, subset, streaming), split, shown)
    return _plainly(frame_rows(frame, f"{shown}, {split}"), name)


def _plainly(rows: Rows, name: str) -> Rows:
    """The same rows; what goes wrong while they arrive is said as what goes wrong before."""

    def read(bad: BadRows) -> Iterator[tuple[int, Row]]:
        try:
            yield from rows.read(bad)
        except HardnegError:
            raise
        except Exception as error:  # of many libraries: network, Hub, file systems, parsers
            raise _not_loaded(name, error) from error

    return replace(rows, read=read)


def _load(name: str, subset: str, streaming: bool) -> Any:
    """All splits of a configuration, as a DatasetDict, or as an IterableDatasetDict where they are streamed.

    CSV files are read as text throughout: a guessed number would lose the zeros that an id begins with,
    and the word NA is a word.
    """
    import datasets

    try:
        builder = datasets.load_dataset_builder(name, subset)
        if type(builder.config).__name__ != "CsvConfig":
            return datasets.load_dataset(name, subset, streaming=streaming)
        as_text = {"keep_default_na": False, "streaming": streaming}
        plain = next(iter(datasets.load_dataset(name, subset, **as_text).values()))
        columns = plain.column_names or list(next(iter(plain), {}))
        text = datasets.Features({column: datasets.Value("string") for column in columns})
        return datasets.load_dataset(name, subset, features=text, **as_text)
    except Exception as error:  # of many libraries: network, Hub, file systems, parsers
        raise _not_loaded(name, error) from error


def _not_loaded(name: str, error: Exception) -> InputError:
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    return InputError(
        f"is no file or folder here, and cannot be loaded from the Hub ({_one_line(deepest)}); "
        "check the name and the network"
        if not Path(name).exists()
        else f"cannot be loaded as a data set ({_one_line(deepest)})",
        file=name,
    )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"

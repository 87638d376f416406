"""`load`: tells the kinds of sources apart and makes a Collection of any of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hardneg.config import ReadConfig, nearest, refuse_credentials
from hardneg.errors import InputError, UsageError
from hardneg.named_files import kind_of_path
from hardneg.quantities import counted
from hardneg.read.at_hand import AtHand, at_hand
from hardneg.read.bad_rows import BadRows
from hardneg.read.beir import (
    HubRows,
    find_file,
    is_beir_folder,
    named_judgment_rows,
    read_beir_folder,
    read_tables,
)
from hardneg.read.canonicalise import canonicalise
from hardneg.read.documents import read_documents
from hardneg.read.frames import frame_rows, kind_name
from hardneg.read.hub import (
    choose_split,
    forced_hub_name,
    hub_split_rows,
    is_hub_id,
    read_hub,
    read_saved,
)
from hardneg.read.labelled import read_labelled
from hardneg.read.parsed import Parsed
from hardneg.read.pools import hub_folder, near_file, pool_rows
from hardneg.read.row_files import file_rows
from hardneg.read.rows import Rows
from hardneg.read.training.rows import training_format, training_rows
from hardneg.records import Collection
from hardneg.remote import address_of

_TABLES = ("corpus", "queries", "qrels")
_NAMED = ("qrels", "corpus")
_SAVED = ("state.json", "dataset_dict.json")


def load(
    source: Any,
    *,
    config: ReadConfig | None = None,
    corpus: Any = None,
    refused_path: Path | None = None,
) -> Collection:
    """Read a source into tables.

    source        a BEIR folder; a file of rows with texts (FlagEmbedding, pairs, triplets), or of queries
                  where `qrels` and `corpus` are set; a Hub id or a folder laid out as on the Hub; a table
                  in memory, or a dict of them named corpus, queries and qrels. An existing path wins over
                  a Hub id; `hf:ID` is always the Hub's. Files and folders may lie in an object store, too
                  (`s3://bucket/folder`); so may those that `config` names
    corpus        a further pool of documents as a table in memory; `config.corpus` names one on disk
    refused_path  where skipped rows are listed, a JSON object a line

    Raises InputError for bad input, UsageError for a setting that does not go with the source.
    """
    config = config or ReadConfig()
    named = isinstance(source, str | os.PathLike)
    shown = str(os.fspath(source)) if named else kind_name(source)
    refuse_credentials({"source": shown})
    shown = address_of(source) or shown
    bad = BadRows(config.on_bad_row)
    with at_hand(source, config) as have:
        try:
            collection = canonicalise(_parsed(have, corpus, bad), shown, config, bad)
        except InputError:
            bad.rename(have.shown)
            if refused_path is not None and bad.refused:
                bad.write(refused_path)
            raise
    bad.rename(have.shown)
    report = replace(
        collection.report,
        notes=(*have.notes, *map(have.shown, collection.report.notes)),
        refused=tuple(bad.refused),
        again=_again(shown, config) if named else {},
    )
    collection = replace(collection, report=report)
    if refused_path is not None:
        bad.write(refused_path)
    return collection if not bad.refused else _naming_list(collection, refused_path)


def _parsed(have: AtHand[ReadConfig], corpus: Any, bad: BadRows) -> Parsed:
    source, config, parsed = have.source, have.config, Parsed()
    has_pool = corpus is not None or config.corpus is not None
    if isinstance(source, str | os.PathLike):
        _read_named(str(os.fspath(source)), config, parsed, bad, has_pool)
    else:
        _read_object(source, config, parsed, bad, has_pool)
    if corpus is not None:
        read_documents(frame_rows(corpus, "corpus"), parsed, bad, need_ids=False)
    if config.corpus is not None:
        read_documents(pool_rows(config.corpus, config.streaming), parsed, bad, need_ids=False)
    return parsed


def _again(shown: str, config: ReadConfig) -> dict[str, str]:
    """What was read, as it can be read from any working folder."""
    named = {"source": shown, **{key: getattr(config, key) for key in _NAMED}}
    return {key: _from_anywhere(path) for key, path in named.items() if path is not None}


def _from_anywhere(source: str) -> str:
    path = Path(source).expanduser()
    return str(path.absolute()) if path.exists() else source


def _naming_list(collection: Collection, path: Path | None) -> Collection:
    """The collection, its report saying where the refused rows are listed."""
    report = collection.report
    place = "report.refused" if path is None else path
    note = f"{counted(len(report.refused), 'row')} refused and left out, listed in {place}"
    return replace(collection, report=replace(report, notes=(*report.notes, note)))


# -- on disk or on the Hub --------------------------------------------------------------------------


def _read_named(source: str, config: ReadConfig, parsed: Parsed, bad: BadRows, has_pool: bool) -> None:
    if not source.removeprefix("hf:"):
        raise InputError("the name of a source is empty; give a file, a folder or a Hub id")
    if source.startswith("hf:"):
        read_hub(forced_hub_name(source), config, parsed, bad)
        return
    path = Path(source).expanduser()
    kind = kind_of_path(path)
    if kind == "folder":
        _read_folder(path, config, parsed, bad, has_pool)
    elif kind == "file":
        _read_file(path, config, parsed, bad, has_pool)
    elif is_hub_id(source):
        read_hub(source, config, parsed, bad)
    else:
        raise InputError(f"there is no such file or folder{near_file(path)}", file=source)


def _read_folder(path: Path, config: ReadConfig, parsed: Parsed, bad: BadRows, has_pool: bool) -> None:
    beir = is_beir_folder(path) and (has_pool or find_file(path, "corpus") is not None)
    name = config.format if beir else training_format(path, config)
    if name is not None:
        _read_training(path, name, config, parsed, bad)
    elif is_beir_folder(path):
        _refuse_columns(config)
        read_beir_folder(path, config, parsed, bad, _hub_rows(config), has_pool=has_pool)
    elif any((path / name).is_file() for name in _SAVED):
        _refuse_qrels(config)
        read_saved(path, config, parsed, bad)
    else:
        read_hub(hub_folder(path), config, parsed, bad)


def _read_file(path: Path, config: ReadConfig, parsed: Parsed, bad: BadRows, has_pool: bool) -> None:
    """Rows with texts; or, where judgments and a pool are named, queries."""
    if config.qrels is not None and config.format is None:
        if not has_pool:
            raise UsageError("qrels: with a file of queries, name the corpus too")
        _refuse_columns(config)
        qrels = named_judgment_rows(config.qrels, config.split, parsed.notes, _hub_rows(config))
        read_tables(None, file_rows(path), qrels, parsed, bad)
        return
    name = training_format(path, config)
    if name is not None:
        _read_training(path, name, config, parsed, bad)
        return
    if config.split != "train":
        parsed.notes.append(f"a file holds no splits: all of it was read, not split {config.split!r}")
    read_labelled(file_rows(path), config, parsed, bad)


def _hub_rows(config: ReadConfig) -> HubRows:
    return partial(hub_split_rows, streaming=config.streaming)


def _read_training(path: Path, name: str, config: ReadConfig, parsed: Parsed, bad: BadRows) -> None:
    """The groups of a trainer's file; its negatives are given ones."""
    _refuse_columns(config)
    _refuse_qrels(config)
    parsed.notes.append(f"read as {name}")
    read_labelled(training_rows(path, name, config), config, parsed, bad)


# -- in memory --------------------------------------------------------------------------------------


def _read_object(source: Any, config: ReadConfig, parsed: Parsed, bad: BadRows, has_pool: bool) -> None:
    if not isinstance(source, Mapping):
        _refuse_qrels(config)
        read_labelled(frame_rows(source), config, parsed, bad)
    elif "queries" in source or "corpus" in source:
        _refuse_columns(config)
        _read_table_dict(source, config, parsed, bad, has_pool)
    else:
        _refuse_qrels(config)
        frame = choose_split(source, config.split, kind_name(source))
        read_labelled(frame_rows(frame, f"{kind_name(source)}[{config.split!r}]"), config, parsed, bad)


def _read_table_dict(
    source: Mapping[str, Any], config: ReadConfig, parsed: Parsed, bad: BadRows, has_pool: bool
) -> None:
    """A dict of tables named corpus, queries and qrels; `config.qrels` may name the last."""
    elsewhere = {"corpus": has_pool, "qrels": config.qrels is not None}
    absent = [name for name in _TABLES if name not in source and not elsewhere.get(name)]
    if absent:
        raise InputError(f"the dict lacks {' and '.join(absent)}{nearest(absent[0], source)}")
    qrels = (
        _table(source["qrels"], "qrels", config.split)
        if config.qrels is None
        else named_judgment_rows(config.qrels, config.split, parsed.notes, _hub_rows(config))
    )
    corpus = _table(source["corpus"], "corpus", config.split) if "corpus" in source else None
    read_tables(corpus, _table(source["queries"], "queries", config.split), qrels, parsed, bad)


def _table(value: Any, name: str, split: str) -> Rows:
    """A table in memory, or a file; of a dict of splits the only one, or the one asked for."""
    if isinstance(value, Mapping):
        value = next(iter(value.values())) if len(value) == 1 else choose_split(value, split, name)
    return file_rows(Path(value)) if isinstance(value, str | os.PathLike) else frame_rows(value, name)


# -- settings that do not go with a source ----------------------------------------------------------


def _refuse_columns(config: ReadConfig) -> None:
    for name in ("query_column", "positive_column", "negative_column"):
        if getattr(config, name):
            raise UsageError(f"{name}: goes with pairs of texts; this source has a corpus and judgments")


def _refuse_qrels(config: ReadConfig) -> None:
    if config.qrels is not None:
        raise UsageError("qrels: goes with a corpus and queries that have ids; this source holds pairs")

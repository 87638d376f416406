"""A selection as a data set of the Hub: its training file, and a card that the manifest fills in."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.config import SELECTING, STAGES, Config
from hardneg.errors import UsageError
from hardneg.export import ExportOptions, ExportReport, SelectedTables, export
from hardneg.export.formats import find_format
from hardneg.leftovers import scratch_folder
from hardneg.publishing import Facts, Published, check_hub, check_name, dataset_card, send_folder
from hardneg.quantities import counted
from hardneg.remote import address_of
from hardneg.report.summary import CHOSEN, guard_lines, hardness_text, judged_lines
from hardneg.retriever_specs import parse_retrievers
from hardneg.run_directory import RunDirectory
from hardneg.versions import installed

_KINDS = (".parquet", ".jsonl")
"""What the Hub shows and `datasets` reads by itself, the better one first."""
_OF_THIS_MACHINE = {"cache_dir", "device", "batch_size", "cross_encoder_batch_size"}
"""Settings that change no row."""
_NAMING_FILES = {
    "corpus",
    "cross_encoder",
    "exclude_docs",
    "exclude_queries",
    "labels",
    "model",
    "qrels",
    "retriever",
    "trust_remote_code",
}
_OF_SAMPLERS = {
    "softmax": ("temperature",),
    "simans": ("simans_a", "simans_b"),
    "stratified": ("bands",),
    "diverse": ("diversity",),
}
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_MOST_LANGUAGES = 50


@dataclass(frozen=True)
class Publication:
    """What was written, and where.

    folder  where it lies, if it was only written
    url     of the data set, if it was sent
    """

    report: ExportReport
    repo_id: str
    licence: str | list[str] | None
    folder: Path | None = None
    url: str | None = None
    private: bool = True

    def as_dict(self) -> dict[str, Any]:
        placed = {"folder": None if self.folder is None else str(self.folder), "url": self.url}
        whose = {"repo_id": self.repo_id, "private": self.private, "license": self.licence}
        return {**self.report.as_dict(), **whose, **placed}

    def __str__(self) -> str:
        kind = "private" if self.private else "public"
        sent = f"sent to {self.url} ({kind})"
        where = sent if self.folder is None else f"written to {self.folder}; nothing was sent"
        lines = [str(self.report), where]
        if self.licence is None:
            lines.append(
                "no licence is stated in its card; name one with --license, once you know the source's"
            )
        return "\n".join(lines)


def publish(
    run: RunDirectory,
    selection: str,
    tables: SelectedTables,
    to: str,
    repo_id: str,
    options: ExportOptions,
    *,
    licence: str | None,
    private: bool,
    folder: Path | None,
) -> Publication:
    """Write the file and its card, and send them; with `folder`, only write them there and ask nobody.

    Raises UsageError for a format that no data set can be, and what `export` and `check_hub` raise.
    """
    check_name(repo_id)
    name = f"data/train{_kind(to, options)}"
    found = Published(repo_id, "", private) if folder is not None else check_hub(repo_id, private=private)
    with _place(folder) as place:
        report = export(tables, to, place / name, options=options)
        facts = _facts(run, selection, tables, report, options, repo_id, place, name, licence)
        card = dataset_card(facts, found.card)
        (place / "README.md").write_text(str(card.content), encoding="utf-8")
        stated = card.data.license
        if folder is not None:
            return Publication(report, repo_id, stated, folder=folder, private=private)
        report = replace(report, path=None)  # which is gone with the block
        sent = send_folder(place, found, f"{to}: {counted(report.rows, 'row')}, by hardneg {facts.version}")
    return Publication(report, repo_id, stated, url=sent.url, private=sent.private)


def _kind(to: str, options: ExportOptions) -> str:
    kinds = find_format(to, options).kinds
    kind = next((kind for kind in _KINDS if kind in kinds), None)
    if kind is None:
        raise UsageError(f"{to} is no table that the Hub can show; choose another --to")
    return kind


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    """An empty folder: the one named, which is made, or one that lives as long as the block."""
    if folder is None:
        with scratch_folder() as scratch:
            yield scratch
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not an empty folder; name a new one")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder


def _columns(path: Path) -> dict[str, str]:
    """Name → type of the columns of the file's first rows."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        schema = pq.read_schema(path)
    else:
        with path.open("rb") as lines:
            first = lines.readline()
        schema = pa.Table.from_pylist([json.loads(first)] if first else []).schema
    return {field.name: str(field.type) for field in schema}


# -- what the card tells ------------------------------------------------------------------------------------


def _facts(
    run: RunDirectory,
    selection: str,
    tables: SelectedTables,
    report: ExportReport,
    options: ExportOptions,
    repo_id: str,
    place: Path,
    name: str,
    licence: str | None,
) -> Facts:
    manifest = run.manifest()
    entry = run.told_of(selection)
    summary, again = entry["summary"], manifest.get("read_again", {})
    config = {**manifest["config"], **entry.get("config", {})}
    config |= {key: again[key] for key in ("qrels", "corpus") if again.get(key)}
    named = _public(again["source"]) if again.get("source") else None
    counts = report.counts
    dropped = {name: count for name, count in summary["reasons"].items() if name not in CHOSEN}
    return Facts(
        repo_id=repo_id,
        to=report.to,
        path=name,
        rows=report.rows,
        columns=_columns(place / name),
        source=named or f"a table in memory ({manifest.get('source', '')})",
        models=_models(config),
        rules=_rules(config),
        commands=[_command("mine", [named or "SOURCE"], config), _export_command(report.to, options)],
        counts={
            "documents searched": tables.corpus.num_rows,
            "queries": counts.queries,
            "positives": counts.positives,
            "negatives": counts.negatives,
            **{f"negatives: {name}": count for name, count in summary["negatives"]["sources"].items()},
            "queries without negatives, left out": counts.queries_without_negatives + counts.queries_short,
        },
        hardness=hardness_text(summary["hardness"]),
        estimates=[*guard_lines(summary.get("guard")), *judged_lines(summary)],
        dropped=dropped,
        languages=_languages(tables.corpus),
        licence=licence,
        version=installed(("hardneg",))["hardneg"] or "",
    )


def _models(config: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for spec in parse_retrievers(config["retriever"]) if config["retriever"] else ():
        model = _public(spec.target or config["model"])
        own = f"{spec.kind} {_public(spec.target)}" if spec.target else spec.kind
        found[f"retriever {spec.name}"] = model if spec.kind == "dense" else own
    if config.get("cross_encoder"):
        found["cross-encoder"] = _public(config["cross_encoder"])
    return found


def _rules(config: Mapping[str, Any]) -> dict[str, Any]:
    """Guard and select settings that say something: none that is unset, or another sampler's."""
    idle = {key for name, keys in _OF_SAMPLERS.items() if name != config.get("sampler") for key in keys}
    keys = [key for stage in SELECTING for key in STAGES[stage].model_fields if key not in idle]
    unset = [
        key for key in keys if config.get(key) is None or config[key] in ([], ()) or config[key] is False
    ]
    return {key: _said(key, config[key]) for key in keys if key not in unset}


def _command(name: str, arguments: Sequence[str], config: Mapping[str, Any]) -> str:
    """The command line of these settings, without those that are as they are by default."""
    defaults = Config().flat()
    flags: list[str] = []
    for key, default in defaults.items():
        value = config.get(key, default)
        if value == default or key in _OF_THIS_MACHINE:
            continue
        flag = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            flags.append(flag if value else flag.replace("--", "--no-", 1))
            continue
        for one in value if isinstance(value, list) and key != "window" else [value]:
            flags += [flag, shlex.quote(_said(key, one))]
    return " ".join(["hardneg", name, *map(shlex.quote, arguments), *flags])


def _export_command(to: str, options: ExportOptions) -> str:
    given = options.model_dump(exclude_defaults=True, exclude={"join_title"})
    flags = [
        f"--{key.replace('_', '-')}" if value is True else f"--{key.replace('_', '-')} {value}"
        for key, value in given.items()
    ]
    return " ".join(["hardneg export RUN --to", to, *flags])


def _said(key: str, value: Any) -> str:
    """A setting's value as it is written on the command line, without folders of this machine."""
    if value is None:
        return "none"
    if key == "window":
        return ":".join("" if end is None else str(end) for end in value)
    if isinstance(value, list | tuple):
        return ", ".join(_said(key, one) for one in value)
    return _public(value) if key in _NAMING_FILES else str(value)


def _public(named: str) -> str:
    """A name for others: of a path of this machine only its last part."""
    kind, colon, target = named.partition(":")
    if colon and (kind.split("=")[-1] in ("dense", "run", "vectors")):
        return f"{kind}:{_public(target)}"
    if address_of(named) is not None or not (
        Path(named).expanduser().exists() or Path(named).is_absolute() or named.startswith((".", "~", os.sep))
    ):
        return named
    return Path(named).expanduser().resolve().name


def _languages(corpus: pa.Table) -> list[str]:
    if "lang" not in corpus.column_names:
        return []
    found = pc.unique(corpus["lang"].cast(pa.string())).drop_null().to_pylist()
    codes = sorted(code for code in found if _LANGUAGE.fullmatch(code))
    return codes if len(codes) == len(found) <= _MOST_LANGUAGES else []

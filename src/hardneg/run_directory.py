"""The run directory: which file holds what, which stage is done, and who is at work in it.

RUN/
├── manifest.json                     configuration, versions, stage fingerprints, counts, times
├── corpus.parquet, queries.parquet, qrels.parquet, given.parquet, refused_rows.jsonl
├── candidates/part-00000.parquet     a block of queries each; deep-DEPTH-HASH.parquet: some, searched deeper
│   └── part-00000.reserve.npz        what lies beyond the depth, for when documents go
├── positives/part-00000.parquet      the positives' own scores, same blocks
├── earlier/                          tables and candidates of another input, until its successor is searched
├── guard/                            text classes, sketches, lexical vectors, near queries, judged/
├── audit/audit.{json,svg,png}        what `hardneg audit` found last
├── trial/trial.json                  what `hardneg trial` found last; values.parquet: of each query;
│                                     learned/: what each arm came to, kept
├── selections/NAME/{decisions,positives,negatives,outcomes}.parquet, labels.parquet where pairs were judged
└── suspects/NAME.csv                 negatives of a selection to be judged, where no other file was named
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from hardneg.at_work import HOLDER, LOCK, at_work, refuse_held
from hardneg.config import nearest
from hardneg.errors import DamagedError, InputError, StoreError, UsageError
from hardneg.files import (
    TEMPORARY,
    is_whole,
    read_parquet,
    read_sealed_json,
    write_parquet,
    write_sealed_json,
)
from hardneg.fingerprints import digest
from hardneg.named_files import kind_of_path, refuse_inputs
from hardneg.records import CORPUS, GIVEN, QRELS, QUERIES, Collection, ReadReport
from hardneg.remote import refuse_remote
from hardneg.seals import ANOTHERS, read_seal
from hardneg.texts import has_half_pair
from hardneg.versions import installed

LAYOUT = 1
"""Raised when the files' meaning changes; a run of another layout is refused, not misread."""

EMPTY_MANIFEST: dict[str, Any] = {"layout": LAYOUT, "stages": {}, "selections": {}}
PARTS = "[!.]*.parquet"
"""Files of a folder of parts; one that a killed run left under a temporary name is none."""
SCHEMAS = {"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS, "given": GIVEN}
COLLECTION_TABLES = tuple(SCHEMAS)
SELECTION_TABLES = ("decisions", "positives", "negatives", "outcomes")
FOLDERS = frozenset(
    {"candidates", "positives", "earlier", "guard", "audit", "trial", "selections", "suspects", "rescoring"}
)
OWN = FOLDERS | {
    *(f"{name}.parquet" for name in COLLECTION_TABLES),
    *("manifest.json", "manifest.json.damaged", "refused_rows.jsonl", "report.html", ".lock", ".holder"),
}
"""What a run puts into its folder; only in `suspects` lie files for people to write."""
NOT_SEARCHED = 0
"""The depth of a search that a deeper one is replacing."""
PLAN = "plan.json"
"""In `candidates`: the search that its parts are of, until it is finished."""
EARLIER = ("corpus.parquet", "queries.parquet", "candidates")
"""What a finished search of other tables is kept as."""
LONGEST_NAME = 100
"""Of a selection, in characters: file systems hold 255 bytes, and suffixes come behind."""
_SELECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
"""Names that Windows keeps for itself."""
_VERSIONED = ("hardneg", "numpy", "pyarrow", "faiss-cpu", "bm25s", "sentence-transformers", "torch")


class RunDirectory:
    """Paths and the manifest of one run."""

    def __init__(self, path: Path | str) -> None:
        refuse_remote(path, "a run directory")
        self.path = Path(path)

    @staticmethod
    def at(path: Path | str) -> bool:
        """Whether there is a run."""
        return (Path(path) / "manifest.json").is_file()

    @classmethod
    def existing(cls, path: Path | str) -> RunDirectory:
        """Raises InputError where there is no finished run to go on from."""
        run = cls(path)
        if not run.manifest_path.is_file():
            raise InputError(
                "is no run directory (no manifest.json); make one with `hardneg mine`", file=path
            )
        run.check_layout()
        manifest = run.manifest()
        if "config" not in manifest or not {"read", "search"} <= manifest["stages"].keys():
            refuse_held(run.path)
            raise InputError(
                "mining has not finished here; run the same `hardneg mine` again, which goes on where it "
                "stopped",
                file=path,
            )
        return run

    # -- manifest -----------------------------------------------------------------------------------

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

    def manifest(self) -> dict[str, Any]:
        if not self.manifest_path.exists():
            return deepcopy(EMPTY_MANIFEST)
        try:
            found = read_sealed_json(self.manifest_path)
            if not _is_manifest(found):
                raise DamagedError(self.manifest_path, "holds something else than a manifest")
            return {"stages": {}, "selections": {}, **found}
        except DamagedError as error:  # removed, the folder would be taken for something else than a run
            raise DamagedError(self.manifest_path, error.what, remedy_of(self.path)) from error

    def check_layout(self) -> None:
        found = self.manifest().get("layout")
        if found != LAYOUT:
            raise StoreError(
                f"{self.manifest_path}: layout {found!r}, this version reads {LAYOUT}; mine into a new folder"
            )

    def update(self, **parts: Any) -> None:
        """Put these top-level parts into the manifest; mappings are merged one level deep."""
        manifest = self.manifest()
        for key, value in parts.items():
            if isinstance(value, Mapping) and isinstance(manifest.get(key), dict) and key != "config":
                manifest[key] = {**manifest[key], **value}
            else:
                manifest[key] = value
        manifest["versions"] = installed_versions()
        write_sealed_json(manifest, self.manifest_path)

    def stage(self, name: str) -> dict[str, Any]:
        """What the manifest holds of a finished stage; empty where it is not finished."""
        found: dict[str, Any] = self.manifest()["stages"].get(name, {})
        return found

    def finish_stage(self, name: str, **facts: Any) -> None:
        self.update(stages={name: facts})

    def forget_stage(self, name: str) -> None:
        self._forget("stages", name)

    def forget_selection(self, name: str) -> None:
        self._forget("selections", name)

    def forget_config(self, other_than: Mapping[str, Any]) -> None:
        """While candidates of these settings are on their way, the run is not finished by any others."""
        manifest = self.manifest()
        if manifest.get("config", other_than) != other_than:
            del manifest["config"]
            write_sealed_json(manifest, self.manifest_path)

    def _forget(self, kind: str, name: str) -> None:
        manifest = self.manifest()
        if manifest[kind].pop(name, None) is not None:
            write_sealed_json(manifest, self.manifest_path)

    @contextmanager
    def doing_stage(self, name: str, **facts: Any) -> Iterator[None]:
        """The stage counts as not done while its files are written, and as done with these facts after.

        Else a process that dies in between leaves new files beside the word of the old ones.
        """
        self.forget_stage(name)
        yield
        self.finish_stage(name, **facts)

    def depth(self) -> int:
        """Of the stored candidates. Raises InputError where a deeper search broke off, StoreError where it is
        still at work.
        """
        depth = int(self.stage("search")["depth"])
        if depth == NOT_SEARCHED:
            refuse_held(self.path)
            raise InputError(
                "a deeper search broke off here; run the command that began it again, or "
                f"`hardneg select {self.path}`",
                file=self.path,
            )
        return depth

    # -- tables -------------------------------------------------------------------------------------

    def save_collection(self, collection: Collection, mark: str) -> None:
        """mark  the collection's fingerprint"""
        for name in COLLECTION_TABLES:
            write_parquet(getattr(collection, name), self.path / f"{name}.parquet", mark=mark)

    def collection(self) -> Collection:
        mark = self.stage("read")["fingerprint"]
        tables = {name: self._collection_table(name, mark) for name in COLLECTION_TABLES}
        return Collection(**tables, report=ReadReport(source=str(self.manifest().get("source", self.path))))

    def _collection_table(self, name: str, mark: str) -> pa.Table:
        path = self.path / f"{name}.parquet"
        table = read_parquet(path, mark=mark)
        lacking = [column for column in SCHEMAS[name].names if column not in table.column_names]
        if lacking:
            raise DamagedError(path, f"lacks the column {lacking[0]!r}", remedy_of(self.path))
        return table

    def set_aside(self) -> None:
        """Keep tables and candidates of a finished search in `earlier`, before other tables are read.

        A search that did not finish is worth nothing; what was kept before it stays. Where a process died
        at this, the next goes on: `stage.json` is written once all is there, the search forgotten last.
        """
        stage, told = self.stage("search"), self.earlier / "stage.json"
        if not stage:
            return
        if told.exists() and read_sealed_json(told) != stage:
            self.clear(self.earlier)
        self.earlier.mkdir(exist_ok=True)
        for name in EARLIER:
            here, there = self.path / name, self.earlier / name
            if here.exists():
                self.clear(there)  # a folder is not renamed onto another
                here.replace(there)
        if stage["depth"] != NOT_SEARCHED and all((self.earlier / name).exists() for name in EARLIER):
            write_sealed_json(stage, told)
        self.forget_stage("search")

    @property
    def earlier(self) -> Path:
        return self.path / "earlier"

    @property
    def candidates(self) -> Path:
        return self.path / "candidates"

    @property
    def positives(self) -> Path:
        return self.path / "positives"

    @property
    def rescoring(self) -> Path:
        return self.path / "rescoring"

    @property
    def guard(self) -> Path:
        return self.path / "guard"

    @property
    def audit(self) -> Path:
        return self.path / "audit"

    @property
    def trial(self) -> Path:
        return self.path / "trial"

    def parts(self) -> list[str]:
        """Names of the candidate parts that are there, in the order of their names.

        Raises DamagedError where a finished search has left more.
        """
        if self.candidates.is_dir():
            os.scandir(self.candidates).close()  # of one that may not be read, glob says that it is empty
        found = sorted(path.stem for path in self.candidates.glob(PARTS))
        for number in range(self.stage("search").get("parts", 0)):
            if part_name(number) not in found:
                gone = self.candidates / f"{part_name(number)}.parquet"
                raise DamagedError(gone, "is gone", remedy_of(self.path))
        return found

    def tables_are_whole(self) -> bool:
        """Whether all tables of the input are as they were written: one pass over their files."""
        mark = self.stage("read")["fingerprint"]
        return all(is_whole(self.path / f"{name}.parquet", mark) for name in COLLECTION_TABLES)

    def clear(self, *folders: Path) -> None:
        for folder in folders:
            if folder.is_dir():  # who would remove a pipe as a folder waits for a writer
                shutil.rmtree(folder, ignore_errors=True)

    # -- selections ---------------------------------------------------------------------------------

    def selection(self, name: str) -> Path:
        if not isinstance(name, str) or not _SELECTION.fullmatch(name):
            raise UsageError(f"selection name {name!r}: use letters, digits, '.', '_' and '-' only")
        if len(name) > LONGEST_NAME or name.endswith(".") or _OF_DEVICES.fullmatch(name):
            raise UsageError(
                f"selection name {name!r}: not every system can have a folder of that name; use at most "
                f"{LONGEST_NAME} characters, no '.' at the end, and no name of a device"
            )
        return self.path / "selections" / name

    def selection_is_whole(self, name: str) -> bool:
        """Whether all its tables are as they were written: one pass over their files."""
        try:
            return all(is_whole(self.selection_file(name, table)) for table in SELECTION_TABLES)
        except (OSError, DamagedError):
            return False

    def selection_file(self, name: str, table: str) -> Path:
        """Of a selection that the manifest knows: one of SELECTION_TABLES, or `labels`.

        Raises DamagedError where the file is another than the one that was written: the checksum that it
        says it has is compared with the manifest's, no other byte is read.
        """
        path = self.selection(name) / f"{table}.parquet"
        known = self.told_of(name).get("checksums")
        if known is None or not path.exists():
            return path
        seal = read_seal(path)
        if seal is None or seal.crc32 != known.get(table):
            raise DamagedError(path, ANOTHERS, self._choose_again(name))
        return path

    def _choose_again(self, name: str) -> str:
        return f"choose again with `hardneg select {self.path} --name {name}`"

    def told_of(self, name: str) -> dict[str, Any]:
        """What the manifest holds of a selection. Raises InputError where it has none of the name."""
        selections = self.manifest()["selections"]
        if name not in selections:
            known = sorted(selections)
            raise InputError(
                f"has no selection {name!r}{nearest(name, known)} (there: {', '.join(known) or 'none'})",
                file=self.path,
            )
        found: dict[str, Any] = selections[name]
        return found

    def selection_table(self, name: str, table: str, columns: list[str] | None = None) -> pa.Table:
        folder, told = self.selection(name), self.told_of(name)
        if not folder.is_dir():
            raise DamagedError(folder, "is gone", self._choose_again(name))
        if told.get("read") != self.stage("read").get("fingerprint"):
            raise InputError(
                f"selection {name!r} was made from other input than what the run holds now; "
                f"{self._choose_again(name)}, or mine again",
                file=self.path,
            )
        return read_parquet(self.selection_file(name, table), columns)

    def selections(self) -> list[str]:
        return sorted(self.manifest()["selections"])

    def suspects(self, name: str) -> Path:
        """The file to be filled in where the user names none."""
        self.selection(name)
        return self.path / "suspects" / f"{name}.csv"

    # -- one at a time ------------------------------------------------------------------------------

    @contextmanager
    def locked(
        self, command: str = "", say: Callable[[str], None] = lambda line: None, *, sweep: bool = True
    ) -> Iterator[None]:
        """Hold the run, for this command; an OS lock, so one left by a killed process blocks nobody.

        say    is told where the file system has no locks
        sweep  remove what killed runs left under temporary names

        Raises StoreError at once where another process holds it, naming that one.
        """
        if "\0" in str(self.path):
            raise InputError("its name holds a NUL character; choose another --run-dir", file=self.path)
        if has_half_pair(str(self.path.absolute())):
            raise InputError(
                "its name, or that of a folder above it, is not UTF-8; choose another --run-dir",
                file=self.path,
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot be made ({error.strerror}); choose another --run-dir", file=self.path
            ) from error
        self._refuse_others()
        if sweep and self.manifest_path.exists():
            self.check_layout()  # another program's manifest.json does not make its files ours
        self._refuse_links_out(self.path / LOCK, self.path / HOLDER)
        with at_work(self.path, command, say):
            self._refuse_links_out(*self.path.rglob("*"))  # nobody else removes folders meanwhile
            self._claim()
            if sweep:
                self._sweep()
            yield

    @contextmanager
    def locked_for(self, output: Path, command: str) -> Iterator[None]:
        """Hold the run where the file lies in it: whoever holds it sweeps away what is half written.

        Raises UsageError for a file of the run itself, and for one that it was read from; InputError for what
        can be no file.
        """
        refuse_remote(output, "this file")
        kind_of_path(output)
        whole, folder = output.resolve(), self.path.resolve()
        inside = whole.is_relative_to(folder)
        if inside and whole != folder and whole.relative_to(folder).parts[0] in OWN - {"suspects"}:
            raise UsageError(f"{output}: is a place of the run's own; choose another --output")
        refuse_inputs(output, self.inputs())
        with self.locked(command) if inside else nullcontext():
            yield

    def inputs(self) -> list[str]:
        """The files and folders that the run was read from."""
        manifest = self.manifest()
        config = manifest.get("config", {})
        lists = [path for key in ("exclude_docs", "exclude_queries") if (path := config.get(key))]
        return [*manifest.get("read_again", {}).values(), *lists, *config.get("labels", ())]

    def _claim(self) -> None:
        """Mark the folder as a run before anything else is written."""
        self._refuse_others()
        if not self.manifest_path.exists():
            self.update(**self.manifest())

    def _refuse_others(self) -> None:
        """Raises InputError for a folder that is no run and holds something."""
        if self.manifest_path.exists():
            return
        held = [path.name for path in self.path.iterdir() if path.name not in (LOCK, HOLDER)]
        others = sorted(name for name in held if not name.startswith(TEMPORARY))
        if others:
            raise InputError(
                f"is no run directory and not empty (it holds {others[0]!r}); choose another --run-dir",
                file=self.path,
            )

    def _refuse_links_out(self, *paths: Path) -> None:
        """Raises InputError where one of these would be written through a link to outside of the run."""
        whole = os.path.realpath(self.path)
        for path in paths:
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(whole):
                raise InputError(
                    "is a link that leads out of the run; put what it leads to in its place, or choose "
                    "another --run-dir",
                    file=path,
                )

    def _sweep(self) -> None:
        """Remove what a killed run left under temporary names."""
        for leftover in self.path.rglob(f"{TEMPORARY}*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


_FACTS: Mapping[str, Mapping[str, type]] = {
    "read": {"fingerprint": str, "counts": dict},
    "search": {"fingerprint": str, "depth": int, "queries_a_part": int, "parts": int, "retrievers": list},
    "rescore": {"fingerprint": str, "scorer": str, "whole": bool},
}
"""What kind of value a stage tells, where it tells it."""


def _is_manifest(found: Mapping[str, Any]) -> bool:
    """Whether it names its layout, its parts are objects, and so are the stages and selections in them, a
    search says how deep it went, and selections have names that they can have."""
    parts = [found.get(key, {}) for key in ("config", "stages", "selections", "timings")]
    inner = [one for part in parts[1:3] if isinstance(part, dict) for one in part.values()]
    if "layout" not in found or not all(isinstance(part, dict) for part in [*parts, *inner]):
        return False
    stages = found.get("stages", {})
    told = [(stages.get(name, {}), facts) for name, facts in _FACTS.items()]
    if not all(isinstance(one.get(key, kind()), kind) for one, facts in told for key, kind in facts.items()):
        return False
    checksums = [one.get("checksums", {}) for one in found.get("selections", {}).values()]
    named = all(map(_SELECTION.fullmatch, found.get("selections", {})))
    return (
        "depth" in stages.get("search", {"depth": 0})
        and named
        and all(isinstance(c, dict) for c in checksums)
    )


def mark_of_parts(folder: str, search: Mapping[str, Any]) -> str:
    """What the parts in `candidates` or `positives` are marked with.

    search  the plan of a search, or its finished stage
    """
    plan = {key: search.get(key) for key in ("fingerprint", "depth", "queries_a_part")}
    return f"{folder} {digest(plan)}"


def part_name(number: int) -> str:
    """Of the part that holds the queries with this number."""
    return f"part-{number:05d}"


def remedy_of(run: Path) -> str:
    """How people mend a damaged run, where the file alone does not say enough."""
    return f"`hardneg doctor {run} --repair`, then the same `hardneg mine` again, makes it again"


@cache
def installed_versions() -> dict[str, str]:
    return {name: version for name, version in installed(_VERSIONED).items() if version}

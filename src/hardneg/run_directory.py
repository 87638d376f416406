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

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from hardneg.at_work import HOLDER, LOCK, at_work, refuse_held
from hardneg.config import nearest
from hardneg.errors import InputError, StoreError, UsageError
from hardneg.files import TEMPORARY, read_json, read_parquet, write_json, write_parquet
from hardneg.records import Collection, ReadReport
from hardneg.versions import installed

LAYOUT = 1
"""Raised when the files' meaning changes; a run of another layout is refused, not misread."""

COLLECTION_TABLES = ("corpus", "queries", "qrels", "given")
SELECTION_TABLES = ("decisions", "positives", "negatives", "outcomes")
_VERSIONED = ("hardneg", "numpy", "pyarrow", "faiss-cpu", "bm25s", "sentence-transformers", "torch")


class RunDirectory:
    """Paths and the manifest of one run."""

    def __init__(self, path: Path | str) -> None:
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
        if "config" not in manifest or "search" not in manifest["stages"]:
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
            return {"layout": LAYOUT, "stages": {}, "selections": {}}
        manifest: dict[str, Any] = read_json(self.manifest_path)
        return manifest

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
        write_json(manifest, self.manifest_path)

    def stage(self, name: str) -> dict[str, Any]:
        """What the manifest holds of a finished stage; empty where it is not finished."""
        found: dict[str, Any] = self.manifest()["stages"].get(name, {})
        return found

    def finish_stage(self, name: str, **facts: Any) -> None:
        self.update(stages={name: facts})

    def forget_stage(self, name: str) -> None:
        manifest = self.manifest()
        if manifest["stages"].pop(name, None) is not None:
            write_json(manifest, self.manifest_path)

    # -- tables -------------------------------------------------------------------------------------

    def save_collection(self, collection: Collection) -> None:
        for name in COLLECTION_TABLES:
            write_parquet(getattr(collection, name), self.path / f"{name}.parquet")

    def collection(self) -> Collection:
        tables = {name: read_parquet(self.path / f"{name}.parquet") for name in COLLECTION_TABLES}
        return Collection(**tables, report=ReadReport(source=str(self.manifest().get("source", self.path))))

    def set_aside(self) -> None:
        """Keep tables and candidates of a finished search in `earlier`, before other tables are read.

        A search that did not finish is worth nothing; what was kept before it stays.
        """
        stage, names = self.stage("search"), ("corpus.parquet", "queries.parquet", "candidates")
        if not stage or not all((self.path / name).exists() for name in names):
            return
        self.forget_stage("read")
        self.forget_stage("search")
        folder = self.path / f"{TEMPORARY}earlier"
        self.clear(folder, self.earlier)
        folder.mkdir()
        write_json(stage, folder / "stage.json")
        for name in names:
            (self.path / name).rename(folder / name)
        folder.rename(self.earlier)

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
    def guard(self) -> Path:
        return self.path / "guard"

    @property
    def audit(self) -> Path:
        return self.path / "audit"

    @property
    def trial(self) -> Path:
        return self.path / "trial"

    def parts(self) -> list[str]:
        """Names of the candidate parts that are whole, in the order of their names."""
        return sorted(path.stem for path in self.candidates.glob("*.parquet"))

    def clear(self, *folders: Path) -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    # -- selections ---------------------------------------------------------------------------------

    def selection(self, name: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UsageError(f"selection name {name!r}: use letters, digits, '.', '_' and '-' only")
        return self.path / "selections" / name

    def selection_table(self, name: str, table: str, columns: list[str] | None = None) -> pa.Table:
        folder = self.selection(name)
        if not folder.is_dir():
            known = self.selections()
            raise InputError(
                f"has no selection {name!r}{nearest(name, known)} (there: {', '.join(known) or 'none'})",
                file=self.path,
            )
        if self.manifest()["selections"].get(name, {}).get("read") != self.stage("read").get("fingerprint"):
            raise InputError(
                f"selection {name!r} was made from other input than what the run holds now; choose again "
                f"with `hardneg select {self.path} --name {name}`, or mine again",
                file=self.path,
            )
        return read_parquet(folder / f"{table}.parquet", columns)

    def selections(self) -> list[str]:
        return sorted(self.manifest()["selections"])

    def suspects(self, name: str) -> Path:
        """The file to be filled in where the user names none."""
        self.selection(name)
        return self.path / "suspects" / f"{name}.csv"

    # -- one at a time ------------------------------------------------------------------------------

    @contextmanager
    def locked(self, command: str = "", say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
        """Hold the run, for this command; an OS lock, so one left by a killed process blocks nobody.

        say  is told where the file system has no locks

        Raises StoreError at once where another process holds it, naming that one.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot be made ({error.strerror}); choose another --run-dir", file=self.path
            ) from error
        self._refuse_others()
        with at_work(self.path, command, say):
            self._claim()
            self._sweep()
            yield

    @contextmanager
    def locked_for(self, output: Path, command: str) -> Iterator[None]:
        """Hold the run where the file lies in it: whoever holds it sweeps away what is half written."""
        inside = output.resolve().is_relative_to(self.path.resolve())
        with self.locked(command) if inside else nullcontext():
            yield

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

    def _sweep(self) -> None:
        """Remove what a killed run left under temporary names."""
        for leftover in self.path.rglob(f"{TEMPORARY}*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


@cache
def installed_versions() -> dict[str, str]:
    return {name: version for name, version in installed(_VERSIONED).items() if version}

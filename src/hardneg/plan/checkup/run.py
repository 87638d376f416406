"""A run directory: its files, and whether they say the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.at_work import HOLDER, LOCK, refuse_held
from hardneg.errors import DamagedError, HardnegError, InputError
from hardneg.files import TEMPORARY, read_metadata, read_parquet, read_sealed_json, remove, write_sealed_json
from hardneg.plan.checkup.findings import Checkup, Finding, What, removed, repair
from hardneg.plan.checkup.marks import Marks
from hardneg.plan.checkup.stored import Fault, fault_of
from hardneg.plan.mending import remove_to_make_again
from hardneg.plan.retrieve import QUERIES_A_PART
from hardneg.quantities import counted
from hardneg.records import (
    CANDIDATES,
    DECISIONS,
    NEGATIVES,
    POSITIVES,
    SELECTED_POSITIVES,
)
from hardneg.refusals import plainly
from hardneg.run_directory import (
    COLLECTION_TABLES,
    EMPTY_MANIFEST,
    FOLDERS,
    NOT_SEARCHED,
    OWN,
    PARTS,
    PLAN,
    SCHEMAS,
    SELECTION_TABLES,
    RunDirectory,
    mark_of_parts,
    part_name,
)
from hardneg.seals import identity, name_of, read_seal

_SUFFIXES = frozenset({".parquet", ".npz", ".npy", ".json", ".jsonl"})
"""Of files that a run stores: a folder may have such a name only where a user named it."""
_MINE = "then the same `hardneg mine` again"
_EMPTY = f"put an empty one in its place, {_MINE}: candidates are kept"
_SELECTION_SCHEMAS = {"decisions": DECISIONS, "positives": SELECTED_POSITIVES, "negatives": NEGATIVES}


def check_run(path: Path) -> Checkup:
    """Read every file of a run, and compare them. Raises InputError where there is no run, and StoreError
    where somebody is at work there: what is half done would look like damage."""
    refuse_held(path)
    return _checked(RunDirectory(path))


def _checked(run: RunDirectory) -> Checkup:
    checkup = Checkup(run.path)
    manifest = _manifest(run, checkup)
    unsound = set(_files(run, checkup, manifest or EMPTY_MANIFEST))
    if manifest is not None:
        _Contents(run, manifest, checkup, unsound).check()
    return checkup


def repair_run(path: Path) -> Checkup:
    """Check a run while nobody else is at work in it, and mend what can be mended."""
    run = RunDirectory(path)
    _manifest(run, Checkup(path))  # nothing is left in a folder that is none
    if not run.manifest_path.exists():
        checkup = check_run(path)
        repair(checkup)  # from here on it can be locked as a run
        return checkup
    in_the_way = [run.path / name for name in (LOCK, HOLDER) if (run.path / name).is_dir()]
    for path in in_the_way:  # nobody holds a folder, nor can anybody hold the run while it is there
        with plainly(path):
            remove(path)
    with run.locked("doctor --repair", sweep=False):
        checkup = _checked(run)
        repair(checkup)
    for path in in_the_way:
        checkup.done[len(checkup.findings)] = "removed"
        checkup.add(Finding("damaged", path, "was a folder, not a file", "remove it"))
    return checkup


def _looks_like_a_run(run: RunDirectory) -> bool:
    """Tables alone may be somebody's data: what is no run's is not to be made again by one."""
    tables_of_one = (run.path / LOCK).exists() and (run.path / "corpus.parquet").exists()
    return tables_of_one or (run.candidates / PLAN).exists()


# -- the manifest -----------------------------------------------------------------------------------------


def _manifest(run: RunDirectory, checkup: Checkup) -> dict[str, Any] | None:
    """None where it says nothing. Raises InputError where there is no run."""
    path, remedy = run.manifest_path, _EMPTY
    if not path.exists():
        if not _looks_like_a_run(run):
            raise InputError("is no run directory (no manifest.json)", file=run.path)
        checkup.add(Finding("gone", path, "there is none", remedy, partial(_empty_manifest, run)))
        return None
    checkup.saw(path)
    try:
        manifest = run.manifest()
        run.check_layout()
    except DamagedError as damage:
        if not _looks_like_a_run(run):
            raise InputError(f"{damage.what}, and nothing else of a run is there", file=path) from damage
        checkup.add(Finding("damaged", path, damage.what, remedy, partial(_empty_manifest, run)))
        return None
    if _of_another_run(run, manifest):
        said = "is another run's, or an older one: the candidates here are of another search than it tells of"
        checkup.add(Finding("contradiction", path, said, remedy, partial(_empty_manifest, run)))
        return None
    return manifest


def _of_another_run(run: RunDirectory, manifest: Mapping[str, Any]) -> bool:
    """Whether the candidates are those that the plan beside them tells of, and not the manifest's."""
    stage, parts = manifest["stages"].get("search", {}), [*run.candidates.glob(PARTS)]
    if stage.get("depth", NOT_SEARCHED) == NOT_SEARCHED or not parts:
        return False
    try:
        folder, plan = run.candidates.name, read_sealed_json(run.candidates / PLAN)
        mark = mark_of_parts(folder, plan)
        seals = {path: read_seal(path) for path in parts}
    except (OSError, HardnegError):
        return False
    planned = all(
        seal is not None and seal.identity == identity(name_of(path, mark)) for path, seal in seals.items()
    )
    return planned and mark != mark_of_parts(folder, stage)


def _empty_manifest(run: RunDirectory) -> str:
    """What the manifest alone holds, settings of selections and the like, goes to a file beside it."""
    done, kept = f"made an empty one; {_MINE}", run.path / "manifest.json.damaged"
    if run.manifest_path.is_file():
        remove(kept)
        run.manifest_path.replace(kept)
        done = f"kept as manifest.json.damaged, and {done}"
    remove(run.manifest_path)  # what is no file: a folder, a pipe
    write_sealed_json(EMPTY_MANIFEST, run.manifest_path)
    return done


# -- every file by itself ---------------------------------------------------------------------------------


def _files(run: RunDirectory, checkup: Checkup, manifest: Mapping[str, Any]) -> Iterator[Path]:
    """Look at each file; give those that are not to be read."""
    marks = Marks(run, manifest)
    for path in sorted(run.path.rglob("*")):
        place = path.relative_to(run.path).parts
        if any(part.startswith(TEMPORARY) for part in place):
            if path.name.startswith(TEMPORARY):
                said = "a run that was killed has left it"
                checkup.add(Finding("leftover", path, said, "remove it", partial(removed, path)))
            continue
        if path == run.manifest_path or place[0] not in OWN:
            continue  # what is not ours may be the user's: an export, say
        if path.is_file():
            checkup.saw(path)
        fault = _in_the_way(path, place) or _fault_of(path, place, marks)
        if fault is not None:
            yield path
            checkup.add(_of_file(run, path, *fault))


def _in_the_way(path: Path, place: tuple[str, ...]) -> Fault | None:
    """What is wrong where a folder stands in the place of a file, or the other way round, or neither."""
    if path.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):
            return "unreadable", "may not be read"
        for_a_file = len(place) == 1 or path.suffix in _SUFFIXES
        wrong = for_a_file and not _is_place_of_a_folder(place)
        return ("damaged", "is a folder, not a file") if wrong else None
    if path.is_file():
        return ("damaged", "is a file, not a folder") if _is_place_of_a_folder(place) else None
    return "damaged", "is a pipe or a device, not a file" if path.exists() else "is a link to nothing"


def _is_place_of_a_folder(place: tuple[str, ...]) -> bool:
    match place:
        case [name]:
            return name in FOLDERS
        case [("selections" | "rescoring"), _] | ["rescoring", _, _] | ["guard", "judged", _]:
            return not place[-1].startswith(".")
    return place in (("guard", "judged"), ("earlier", "candidates"), ("trial", "learned"))


def _fault_of(path: Path, place: tuple[str, ...], marks: Marks) -> Fault | None:
    if path.is_dir():
        return None
    fault = fault_of(path, _schema(place), marks.of(path))
    if fault is None and (said := marks.fault_by_manifest(path)) is not None:
        return "contradiction", said
    return fault


def _schema(place: tuple[str, ...]) -> pa.Schema | None:
    stem = Path(place[-1]).stem
    if len(place) == 1:
        return SCHEMAS.get(stem)
    if place[0] == "selections":
        return _SELECTION_SCHEMAS.get(stem)
    return {"candidates": CANDIDATES, "positives": POSITIVES}.get(place[0])


def _of_file(run: RunDirectory, path: Path, what: What, said: str) -> Finding:
    """A finding about a file, with what makes it again."""
    place = path.relative_to(run.path).parts
    if place[0] == "selections" and len(place) > 1:
        again = f"choose again: hardneg select {run.path} --name {place[1]} (settings: see manifest.json)"
    elif place[0] == "audit":
        again = f"run `hardneg audit {run.path}` again"
    elif place[0] == "trial":
        again = f"run `hardneg trial {run.path}` again"
    elif place[0] == "suspects":
        again = f"keep what people filled in; `hardneg suspects {run.path}` writes a new one"
        return Finding(what, path, said, again)
    else:
        again = _MINE
    if what == "unreadable":
        return Finding(what, path, said, f"see that it can be read; or remove it, {again}")
    remedy = again.removeprefix("then ") if what == "gone" else f"remove it, {again}"
    return Finding(what, path, said, remedy, partial(_removed_to_make_again, run, path, again))


def _removed_to_make_again(run: RunDirectory, path: Path, again: str) -> str:
    remove_to_make_again(run, path)
    remove(path)
    return f"removed, {again}"


# -- the files together -----------------------------------------------------------------------------------


class _Contents:
    """Compares tables that are sound by themselves with each other and with the manifest."""

    def __init__(
        self, run: RunDirectory, manifest: dict[str, Any], checkup: Checkup, unsound: set[Path]
    ) -> None:
        self._run, self._manifest, self._checkup, self._unsound = run, manifest, checkup, unsound

    def check(self) -> None:
        stages = self._manifest.get("stages", {})
        if stages.get("read"):
            for name in COLLECTION_TABLES:
                self._there(self._run.path / f"{name}.parquet")
        ids = self._ids() if stages.get("read") else None
        if stages.get("search"):
            self._parts(stages["search"], ids)
        self._selections(None if ids is None else len(ids[0]))

    def _there(self, path: Path) -> bool:
        """Whether the file is there and sound; that it is gone is a finding."""
        if self._hidden(path):
            return False
        if not path.exists():
            self._checkup.add(_of_file(self._run, path, "gone", "the manifest names it"))
        return path.exists() and path not in self._unsound

    def _hidden(self, path: Path) -> bool:
        """Whether a folder around the file may not be read, which is a finding of its own."""
        return not self._unsound.isdisjoint(path.parents)

    def _contradicts(self, path: Path, said: str) -> None:
        self._checkup.add(_of_file(self._run, path, "contradiction", said))

    def _ids(self) -> tuple[pa.ChunkedArray, pa.ChunkedArray] | None:
        """Of queries and documents, by row."""
        queries, corpus = (self._run.path / f"{name}.parquet" for name in ("queries", "corpus"))
        if {queries, corpus} & self._unsound or not (queries.exists() and corpus.exists()):
            return None
        found = (
            read_parquet(queries, ["query_id"])["query_id"],
            read_parquet(corpus, ["doc_id"])["doc_id"],
        )
        counts = self._manifest["stages"]["read"].get("counts", {})
        for path, name, ids in zip((queries, corpus), ("queries", "documents"), found, strict=True):
            if name in counts and counts[name] != len(ids):
                self._contradicts(path, f"{len(ids):,} rows; the manifest says {counts[name]:,}")
        return found

    def _parts(self, stage: dict[str, Any], ids: tuple[pa.ChunkedArray, pa.ChunkedArray] | None) -> None:
        run = self._run
        self._plan(stage)
        count = _number_of_parts(stage, ids)
        if ids is not None and stage.get("parts", count) != count:
            said = f"tells of {counted(stage['parts'], 'part')} of candidates, of {len(ids[0]):,} queries"
            mend = partial(_empty_manifest, run)
            self._checkup.add(Finding("contradiction", run.manifest_path, said, _EMPTY, mend))
        expected = {part_name(number) for number in range(count)}
        there = {path.stem for folder in (run.candidates, run.positives) for path in folder.glob(PARTS)}
        for name in sorted(expected | there):
            candidates, positives = (f / f"{name}.parquet" for f in (run.candidates, run.positives))
            if name not in expected and name.startswith("part-") and expected:
                said = "no part of the search that the manifest tells of"
                mend = partial(_removed_to_make_again, run, candidates, "nothing is lost")
                self._checkup.add(Finding("orphan", candidates, said, "remove it", mend))
                continue
            for path in (candidates, positives):
                fault = _rows_fault(path, *ids) if self._there(path) and ids is not None else None
                if fault is not None:
                    self._contradicts(path, fault)

    def _plan(self, stage: Mapping[str, Any]) -> None:
        path = self._run.candidates / PLAN
        if stage["depth"] == NOT_SEARCHED or self._hidden(path) or path in self._unsound or not path.exists():
            return
        if not read_sealed_json(path).items() <= stage.items():
            self._contradicts(path, "tells of another search than the manifest")

    def _selections(self, queries: int | None) -> None:
        run, known = self._run, self._manifest.get("selections", {})
        folder = run.path / "selections"
        listed = folder.is_dir() and folder not in self._unsound
        for path in sorted(folder.iterdir()) if listed else []:
            if path.name not in known and not path.name.startswith(TEMPORARY):
                said = "the manifest does not tell of it: its settings are unknown, nothing can show it"
                self._checkup.add(Finding("orphan", path, said, "remove it", partial(removed, path)))
        for name, entry in sorted(known.items()):
            paths = {table: run.selection(name) / f"{table}.parquet" for table in SELECTION_TABLES}
            there = [self._there(path) for path in paths.values()]
            # One of another input is not shown any more; its numbers are those of then.
            current = entry.get("read") == self._manifest["stages"].get("read", {}).get("fingerprint")
            if all(there) and current:
                self._selection(paths, queries)

    def _selection(self, paths: dict[str, Path], queries: int | None) -> None:
        rows = {name: read_metadata(path).num_rows for name, path in paths.items()}
        if queries is not None and rows["outcomes"] != queries:
            said = f"{rows['outcomes']:,} rows for {queries:,} queries"
            self._contradicts(paths["outcomes"], said)
        outcomes = read_parquet(paths["outcomes"])
        counts = outcomes.select([f.name for f in outcomes.schema if pa.types.is_integer(f.type)])
        total = sum(pc.sum(column).as_py() or 0 for column in counts.columns)
        if total != rows["decisions"]:
            said = f"{rows['decisions']:,} rows; the outcomes' counts add up to {total:,}"
            self._contradicts(paths["decisions"], said)


def _number_of_parts(stage: dict[str, Any], ids: tuple[pa.ChunkedArray, pa.ChunkedArray] | None) -> int:
    """By the queries; what the manifest says may be anything."""
    return 0 if ids is None else -(-len(ids[0]) // max(1, stage.get("queries_a_part", QUERIES_A_PART)))


def _rows_fault(path: Path, query_ids: pa.ChunkedArray, doc_ids: pa.ChunkedArray) -> str | None:
    """What is wrong with the rows of a part: each id must be that of its row number."""
    table = read_parquet(path)
    if any(table[f"{kind}_row"].null_count for kind in ("query", "doc")):
        return "has rows without numbers"
    for kind, ids in (("query", query_ids), ("doc", doc_ids)):
        row = table[f"{kind}_row"].to_numpy()
        if len(row) and not 0 <= row.min() <= row.max() < len(ids):
            return f"{kind}_row goes to {row.max():,}, of {len(ids):,}"
        used, place = np.unique(row, return_inverse=True)
        expected = ids.take(pa.array(used)).cast(pa.string()).combine_chunks().take(pa.array(place))
        if not pc.all(pc.equal(table[f"{kind}_id"].cast(pa.string()), expected)).as_py() and len(row):
            return f"{kind}_id and {kind}_row name different ones"
    return None

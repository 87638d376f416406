"""What each file of a run must be, by the manifest and by the folder that it lies in."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hardneg.errors import DamagedError, HardnegError
from hardneg.files import read_json, read_sealed_json
from hardneg.fingerprints import digest
from hardneg.plan.trial_jobs import LEARNED
from hardneg.run_directory import COLLECTION_TABLES, NOT_SEARCHED, PLAN, RunDirectory, mark_of_parts
from hardneg.seals import ANOTHERS

_OF_TEXTS = {
    "text_classes.parquet": "text classes",
    "sketches.npy": "near duplicates",
    "sketches-first.npy": "near duplicates",
    "lexical-documents.npy": "lexical vectors",
    "lexical-queries.npy": "lexical vectors",
    "near-queries.npz": "near queries",
}
"""Files of `guard`, and the stage whose fingerprint marks each."""


class Marks:
    """By this manifest; an empty one says little."""

    def __init__(self, run: RunDirectory, manifest: Mapping[str, Any]) -> None:
        self._run = run
        self._stages: Mapping[str, Any] = manifest.get("stages", {})
        self._selections: Mapping[str, Any] = manifest.get("selections", {})
        self._search = self._stages.get("search", {})
        if self._search.get("depth", NOT_SEARCHED) == NOT_SEARCHED:
            self._search = _said(run.candidates / PLAN)
        self._earlier = _said(run.earlier / "stage.json")

    def of(self, path: Path) -> str:
        """What the file must be marked with; "" where nothing says."""
        match path.relative_to(self._run.path).parts:
            case [name] if Path(name).stem in COLLECTION_TABLES:
                return self._of_stage("read")
            case [("candidates" | "positives") as folder, _]:
                return mark_of_parts(folder, self._search) if self._search else ""
            case ["earlier", _]:
                return str(self._earlier.get("read", ""))
            case ["earlier", "candidates", _]:
                return mark_of_parts("candidates", self._earlier) if self._earlier else ""
            case ["guard", name] if name in _OF_TEXTS:
                return self._of_stage(_OF_TEXTS[name])
            case ["guard", "judged", mark, _]:
                return mark
            case ["rescoring", folder, plan, _]:
                return f"{folder}/{plan}"
            case ["trial", "learned", _]:
                return LEARNED
        return ""

    def fault_by_manifest(self, path: Path) -> str | None:
        """What is wrong with a file that is sound by itself, where the manifest keeps its checksum."""
        known = self._stages.get("trial", {}).get("checksum")
        if path == self._run.trial / "trial.json" and known is not None and digest(read_json(path)) != known:
            return ANOTHERS
        place = path.relative_to(self._run.path).parts
        if len(place) == 3 and place[0] == "selections" and place[1] in self._selections:
            try:
                self._run.selection_file(place[1], path.stem)
            except DamagedError as damage:
                return damage.what
        return None

    def _of_stage(self, name: str) -> str:
        return str(self._stages.get(name, {}).get("fingerprint", ""))


def _said(path: Path) -> Mapping[str, Any]:
    """What a JSON file holds; nothing where it is not there or damaged, which is a finding of its own."""
    with suppress(HardnegError):
        return read_sealed_json(path)
    return {}

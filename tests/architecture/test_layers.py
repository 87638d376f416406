"""Data flows one way: a stage imports no other stage, and importing hardneg does no work."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hardneg

PACKAGE = Path(hardneg.__file__).parent
STAGES = [
    "read",
    "encode",
    "search",
    "rescore",
    "guard",
    "select",
    "export",
    "report",
    "auditing",
    "trialing",
    "publishing",
]
SHARED = {
    "config", "cores", "credentials", "distinct", "engine", "errors", "files", "fingerprints", "flag_models",
    "json_values", "leftovers", "locks", "made_up_weights", "model_code", "model_files", "model_safety",
    "named_files", "notes", "progress", "protocols", "quantities", "records", "refusals", "remote", "seals",
    "spreadsheet", "terminal", "texts", "trainers", "versions", "words",
}  # fmt: skip
HEAVY = {
    "torch",
    "openvino",
    "sentence_transformers",
    "transformers",
    "faiss",
    "datasets",
    "bm25s",
    "scipy",
    "pandas",
    "polars",
    "altair",
    "vl_convert",
    "fsspec",
    "huggingface_hub",
}


def imported(path: Path, *, top_level_only: bool) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_itself_and_what_is_shared_and_nothing_else_of_ours(stage: str) -> None:
    for path in (PACKAGE / stage).rglob("*.py"):
        ours = {name for name in imported(path, top_level_only=False) if name.split(".")[0] == "hardneg"}
        parts = {name.split(".")[1] for name in ours if "." in name}
        assert parts <= SHARED | {stage}, f"{path} imports {parts - SHARED - {stage}}"


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    for path in PACKAGE.rglob("*.py"):
        top = {name.split(".")[0] for name in imported(path, top_level_only=True)}
        assert not top & HEAVY, f"{path} imports {top & HEAVY} at import time"


def test_only_the_plan_and_the_faces_know_the_stages() -> None:
    knowing = {"plan", "api", "cli", "compat", "demo"}
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if place in knowing or place in STAGES:
            continue
        names = imported(path, top_level_only=True)
        used = {n.split(".")[1] for n in names if n.startswith("hardneg.")} & set(STAGES)
        assert not used, f"{path} reaches into {used}"


def test_importing_hardneg_loads_nothing_heavy() -> None:
    heavy = {"numpy", "pyarrow", "torch", "pydantic", "typer"}
    code = f"import sys, hardneg; print(sorted(set(sys.modules) & {heavy}))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_public_names_are_sorted_complete_and_there() -> None:
    classes_first = sorted(
        hardneg.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    assert hardneg.__all__ == classes_first
    assert all(getattr(hardneg, name) is not None for name in hardneg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'mien'"):
        _ = hardneg.mien

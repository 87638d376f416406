"""Real text that every machine has: the docstrings of Python's own standard library, as (query, positive) pairs."""

from __future__ import annotations

import ast
import json
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from hardneg.files import replacing

SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"}
SHORTEST_BODY = 80
"""Characters; a shorter rest of a docstring says too little to be an answer."""


def docstring_pairs(root: Path) -> Iterator[tuple[str, str]]:
    """(summary line, rest) of every docstring below `root`, in the order of file names and lines."""
    for path in sorted(root.rglob("*.py")):
        if SKIPPED.isdisjoint(path.relative_to(root).parts):
            yield from _pairs_of(path)


def _pairs_of(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            summary, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
            query, body = " ".join(summary.split()), " ".join(rest.split())
            if query and len(body) >= SHORTEST_BODY:
                yield query, body


def write_source(path: Path, root: Path | None = None) -> int:
    """Write the pairs as JSON lines {query, positive}, each once; return how many."""
    root = root or Path(sysconfig.get_paths()["stdlib"])
    pairs = dict.fromkeys(docstring_pairs(root))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
        for query, positive in pairs:
            handle.write(json.dumps({"query": query, "positive": positive}, ensure_ascii=False) + "\n")
    return len(pairs)

"""Real text that every machine has: the standard library's docstrings, as (query, positive) pairs."""

from __future__ import annotations

import ast
import json
import sysconfig
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hardneg.errors import UsageError
from hardneg.files import replacing
from hardneg.named_files import kind_of_path
from hardneg.protocols import Progress
from hardneg.report.summary import render_summary
from hardneg.terminal import printable

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
            handle.write(json.dumps({"query": query, "positive": positive}, allow_nan=False) + "\n")
    return len(pairs)


def run_demo(folder: Path, progress: Progress, shown: int = 3) -> str:
    """Mine the standard library's docstrings end to end; return what to show: some queries and the paths."""
    from hardneg.api import mine

    if kind_of_path(folder) == "file":
        raise UsageError(f"{folder}: is a file, not a folder; choose another --folder")
    source, output, run_dir = folder / "docstrings.jsonl", folder / "train.jsonl", folder / "run"
    count = write_source(source)
    progress.say(f"demo: {count:,} docstrings of Python's standard library in {source}")
    mined = mine(str(source), run_dir=run_dir, progress=progress)
    mined.to("flagembedding", output)
    lines = [render_summary(mined.summary), ""]
    for example in _examples(output, shown):
        lines += [*_show_example(example), ""]
    lines += [f"training file: {output}  (FlagEmbedding JSONL)", f"run directory: {run_dir}"]
    lines += [f"go on with:    hardneg select {run_dir} --preview"]
    return "\n".join(lines)


def _examples(path: Path, count: int) -> list[dict[str, Any]]:
    """Rows spread evenly over the file."""
    rows = path.read_text("utf-8").splitlines()
    places = [len(rows) * (2 * number + 1) // (2 * count) for number in range(count)]
    return [json.loads(rows[place]) for place in dict.fromkeys(places)] if rows else []


def _show_example(example: dict[str, Any], width: int = 100) -> list[str]:
    def short(text: str) -> str:
        return printable(textwrap.shorten(text, width, placeholder="…"))

    return [
        f"query     {short(example['query'])}",
        *(f"positive  {short(text)}" for text in example["pos"]),
        *(f"negative  {short(text)}" for text in example["neg"]),
    ]

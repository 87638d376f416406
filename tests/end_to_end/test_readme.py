"""What the README shows is run: its Python as it stands, its commands on data of the test's own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = code_blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102  # our own page
    assert names["dataset"].column_names == ["anchor", "positive", "negative"]  # type: ignore[attr-defined]


def write_pairs(folder: Path) -> None:
    """A BEIR folder under the name that the README uses."""
    (folder / "qrels").mkdir(parents=True)
    words = "river engine violin glacier orchard harbour lantern saddle".split()
    docs = [{"_id": str(i), "title": "", "text": f"{a} {b} note"} for i, (a, b) in enumerate(
        (a, b) for a in words for b in words if a != b
    )]  # fmt: skip
    queries = [{"_id": str(i), "text": f"about the {doc['text']}?"} for i, doc in enumerate(docs)]
    for name, rows in (("corpus", docs), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # Vectors that a text shares with others by its words: what the commands do is shown without a model.
    of = dict(zip(words, np.random.default_rng(1).normal(size=(len(words), 16)), strict=True))
    (folder.parent / "vectors").mkdir()
    for name, rows in (("documents", docs), ("queries", queries)):
        found = [sum(vector for word, vector in of.items() if word in row["text"]) for row in rows]
        np.save(folder.parent / "vectors" / f"{name}.npy", np.array(found, np.float32))
        (folder.parent / "vectors" / f"{name}.ids.txt").write_text("".join(row["_id"] + "\n" for row in rows))
    lines = "".join(f"{i}\t{(i + step) % len(docs)}\t1\n" for i in range(len(docs)) for step in (0, 1))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    write_pairs(tmp_path / "scifact")
    shown = [line for block in code_blocks("sh") for line in block.splitlines()]
    commands = [shlex.split(line, comments=True) for line in shown if line.startswith("hardneg ")]
    names = (
        "mine select select export check convert export select suspects audit trial select inspect doctor "
        "cache cache"
    ).split()
    assert [command[1] for command in commands] == names
    for command in commands:
        extra = {
            "mine": ["--retriever", "vectors:vectors", "--relative-margin", "none"],
            "trial": ["--steps", "5", "--seeds", "1"],
        }.get(command[1], [])
        done = subprocess.run(
            [sys.executable, "-c", "from hardneg.cli import main; main()", *command[1:], *extra],
            cwd=tmp_path,
            env={**os.environ, "HARDNEG_CACHE": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
    for name in ("scifact.train.jsonl", "triplets.jsonl", "for-the-hub/README.md"):
        assert (tmp_path / name).stat().st_size > 0

"""`use_multi_process`: the models' own pools of processes, beside the library's function."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# Its workers import the script again: what it does must stand behind the guard.
SCRIPT = """
import json
import random
import sys


def main(bi_encoder, cross_encoder, pool, output):
    from datasets import Dataset
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives as theirs

    from hardneg.compat.sentence_transformers import mine_hard_negatives as ours

    draw = random.Random(4)
    words = "cell gene drug heart blood virus the of and in is not causes lowers raises a b c d e".split()
    texts = [" ".join(draw.choices(words, k=draw.randint(3, 14))) for _ in range(320)]
    settings = {
        "dataset": Dataset.from_dict({"query": texts[:60], "positive": texts[60:120]}),
        "model": SentenceTransformer(bi_encoder, device="cpu"),
        "cross_encoder": CrossEncoder(cross_encoder, device="cpu", max_length=64),
        "corpus": texts[120:],
        "range_max": 10,
        "max_score": 3.0,  # so that theirs asks the cross-encoder too
        "output_scores": True,
        "verbose": False,
    }
    alone = theirs(**settings)
    found = {"alone": alone, **{f.__module__: f(**settings, use_multi_process=pool) for f in (theirs, ours)}}
    with open(output, "w") as file:
        json.dump([{"who": who, "rows": rows.to_dict()} for who, rows in found.items()], file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4])
"""


@pytest.mark.slow
@pytest.mark.parametrize("pool", [["cpu", "cpu"], True], ids=["two", "true"])
def test_several_processes_give_what_the_librarys_give(
    pool: list[str] | bool, tiny: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    """In a real script, in bounded time: dead or waiting workers would hold it for ever."""
    (script := tmp_path / "script.py").write_text(SCRIPT, "utf-8")
    words = [str(script), str(tiny), str(tiny_cross_encoder), json.dumps(pool), str(tmp_path / "out.json")]
    subprocess.run([sys.executable, *words], check=True, timeout=500)
    alone, theirs, ours = (found["rows"] for found in json.loads((tmp_path / "out.json").read_text("utf-8")))
    assert list(ours) == list(theirs) == list(alone)
    assert len(ours["negative"]) > 100
    for name, column in theirs.items():
        if name == "scores":
            np.testing.assert_allclose(ours[name], column, atol=1e-5)
        else:
            assert ours[name] == column == alone[name]

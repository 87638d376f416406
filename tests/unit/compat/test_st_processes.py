"""`use_multi_process`: the models' own pools of processes, beside the library's function."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from hardneg.compat.sentence_transformers import mine_hard_negatives


class Pooled:
    """Texts are numbers, degrees on the circle; it remembers what its pool was asked for."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.told: list[Any] = []

    def start_multi_process_pool(self, target_devices: list[str] | None = None) -> str:
        self.told.append(("start", target_devices))
        return "the pool"

    def stop_multi_process_pool(self, pool: str) -> None:
        self.told.append(("stop", pool))

    def encode_query(self, texts: list[str], *, pool: str | None, **settings: Any) -> Any:
        self.told.append(("encode", pool))
        if self.fails:
            raise RuntimeError("a worker died")
        angle = np.radians([float(text) for text in texts], dtype=np.float32)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    encode_document = encode_query
    similarity_fn_name = "dot"
    device = "cpu"


def mined(model: Any, use_multi_process: list[str] | bool) -> list[str]:
    dataset = Dataset.from_dict({"query": ["0"], "positive": ["20"]})
    settings: dict[str, Any] = {"corpus": ["2", "4", "6", "8"], "verbose": False}
    return list(
        mine_hard_negatives(dataset, model, **settings, use_multi_process=use_multi_process)["negative"]
    )


@pytest.mark.parametrize(
    ("asked", "devices"), [(True, None), (["cpu", "cpu"], ["cpu", "cpu"])], ids=["true", "named"]
)
def test_the_models_pool_is_asked_and_ended(asked: list[str] | bool, devices: list[str] | None) -> None:
    model = Pooled()
    assert mined(model, asked) == ["2", "4", "6"]
    assert model.told[0] == ("start", devices)
    assert model.told[-1] == ("stop", "the pool")
    assert set(model.told[1:-1]) == {("encode", "the pool")}


@pytest.mark.parametrize("asked", [False, []], ids=["false", "none-named"])
def test_without_it_there_is_no_pool(asked: list[str] | bool) -> None:
    model = Pooled()
    assert mined(model, asked) == ["2", "4", "6"]
    assert set(model.told) == {("encode", None)}


def test_the_pool_ends_when_encoding_fails() -> None:
    model = Pooled(fails=True)
    with pytest.raises(RuntimeError, match="a worker died"):
        mined(model, True)
    assert model.told[-1] == ("stop", "the pool")


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

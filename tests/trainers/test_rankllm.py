"""RankLLM: what our conversations ask is what its reranker asks. Its training is in no package."""

from __future__ import annotations

import importlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("rank_llm") is None, reason="RankLLM is not installed: make test-trainers"),
]


def test_what_is_asked(files: Path, groups: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import rank_llm
    import yaml
    from rank_llm.data import Candidate, Query, Result

    folder = Path(next(iter(rank_llm.__path__))) / "rerank"
    for package in ("rank_llm.rerank", "rank_llm.rerank.listwise"):  # without the models that they import
        module = ModuleType(package)
        module.__path__ = [str(folder.joinpath(*package.split(".")[2:]))]
        monkeypatch.setitem(sys.modules, package, module)
    handlers = importlib.import_module("rank_llm.rerank.listwise.singleturn_listwise_inference_handler")
    template = folder / "prompt_templates" / "rank_zephyr_alpha_template.yaml"
    handler = handlers.SingleTurnListwiseInferenceHandler(yaml.safe_load(template.read_text("utf-8")))

    rows = json.loads((files / "rankllm.json").read_text("utf-8"))
    assert len(rows) == len(groups)
    for row, group in zip(rows, groups, strict=True):
        system, human, _ = (turn["value"] for turn in row["conversations"])
        passages = [line[4:] for line in human.splitlines() if line.startswith("[") and line[2] == "]"]
        assert sorted(passages) == sorted([*group.pos, *group.neg])
        shown = [Candidate(place, 0.0, {"text": text}) for place, text in enumerate(passages)]
        asked = handler.generate_prompt(
            Result(Query(group.query, 1), shown),
            rank_start=0,
            rank_end=len(shown),
            max_length=300,
            use_alpha=True,
        )
        assert [(turn["role"], turn["content"]) for turn in asked] == [("system", system), ("user", human)]

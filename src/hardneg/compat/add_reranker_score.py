"""`hardneg add-reranker-score`: FlagEmbedding's `scripts/add_reranker_score.py`.

A teacher's scores of each row's positives and negatives go into `pos_scores` and `neg_scores`, aligned; all
other keys stay as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from hardneg.compat.flags import FlagParser, at_least
from hardneg.compat.training_rows import (
    TrainingRow,
    check_output,
    ids_of_negatives,
    training_rows,
    warn_of_name,
    write_rows,
)
from hardneg.named_files import refuse_no_file
from hardneg.protocols import Progress, Scorer
from hardneg.quantities import counted
from hardneg.rescore.flag_reranker import (
    RERANKER_CLASSES,
    RerankerSettings,
    open_flag_reranker,
    reranker_class_of,
)
from hardneg.terminal import printable
from hardneg.texts import mended

_ROWS_AT_ONCE = 256
"""Whose pairs are scored together, so that those of like length share a batch."""


def parser() -> FlagParser:
    found = FlagParser("add-reranker-score", "Teacher scores, as FlagEmbedding's add_reranker_score.py does.")
    found.flag("input_file", text="JSON lines with query, pos and neg.", required=True)
    found.flag("output_file", text="The same with pos_scores and neg_scores.", required=True)
    found.switch("use_fp16", True, "Run in half precision, on a GPU.")
    found.flag("devices", text="cpu, cuda:0, ...; several: cuda:0 cuda:1. Default: all GPUs.", nargs="+")
    found.switch("trust_remote_code", False, "Run code that the model brings along.")
    found.flag("reranker_name_or_path", text="Folder of a model, or its id on the Hub.", required=True)
    found.flag(
        "reranker_model_class", text="Default: told by the model's name.", choices=list(RERANKER_CLASSES)
    )
    found.flag("reranker_peft_path", text="An adapter to put on the model; decoders.")
    found.switch("use_bf16", False, "Run in bfloat16; decoders.")
    for what, text in (("query", "query"), ("passage", "passage")):
        found.flag(f"{what}_instruction_for_rerank", text=f"Put before each {text}.")
        found.flag(f"{what}_instruction_format_for_rerank", "{}{}", "How it is put: {} twice.")
    found.flag("cache_dir", text="Where models of the Hub are kept.")
    found.flag("reranker_batch_size", 3000, "Pairs a batch, at most; fewer on a CPU.", type=at_least(1))
    found.flag(
        "reranker_query_max_length",
        text="Longest query in tokens; default: 3/4 of a pair's.",
        type=at_least(1),
    )
    found.flag("reranker_max_length", 512, "Longest pair in tokens.", type=at_least(1))
    found.switch("normalize", False, "Give probabilities (sigmoid).")
    found.flag("prompt", text="Prompt of the reranker; decoders.")
    found.flag(
        "cutoff_layers", text="Layer that scores; layerwise, lightweight.", type=at_least(0), nargs="+"
    )
    found.flag("compress_ratio", 1, "Lightweight.", type=at_least(1))
    found.flag("compress_layers", text="Lightweight.", type=at_least(0), nargs="+")
    return found


def run(asked: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Score as the flags say; how many rows and pairs. Raises HardnegError."""
    source, output = Path(asked.input_file), Path(asked.output_file)
    refuse_no_file(source)
    check_output(output, [])
    warn_of_name(output)
    model = asked.reranker_name_or_path
    scorer = open_flag_reranker(model, reranker_settings(asked))
    total = sum(1 for _ in training_rows(source))
    scored = _Scored(source, scorer, progress, total)
    rows = write_rows(scored, output)
    return {"output": str(output), "rows": rows, "pairs": scored.pairs, "model": model}


def render(found: dict[str, Any]) -> str:
    """For people."""
    rows, pairs = counted(found["rows"], "row"), counted(found["pairs"], "pair")
    return printable(f"{rows}, {pairs} scored, in {found['output']}")


class _Scored:
    """The rows with their scores; `pairs` counts them."""

    def __init__(self, source: Path, scorer: Scorer, progress: Progress, total: int) -> None:
        self._source, self._scorer, self._progress, self._total = source, scorer, progress, total
        self.pairs = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rows = training_rows(self._source)
        with self._progress.track("score", self._total, "rows") as advance:
            while part := list(islice(rows, _ROWS_AT_ONCE)):
                yield from self._with_scores(part)
                advance(len(part))

    def _with_scores(self, part: list[TrainingRow]) -> Iterator[dict[str, Any]]:
        pairs = [
            (mended(row.query), mended(text)) for row in part for text in (*row.positives, *row.negatives)
        ]
        scores = iter(self._scorer.score(pairs).tolist())
        self.pairs += len(pairs)
        for row in part:
            yield {
                **row.row,
                **ids_of_negatives(row.row),
                "pos": list(row.positives),
                "neg": list(row.negatives),
                "pos_scores": list(islice(scores, len(row.positives))),
                "neg_scores": list(islice(scores, len(row.negatives))),
            }


def reranker_settings(asked: argparse.Namespace) -> RerankerSettings:
    """Raises UsageError where they do not go together."""
    return RerankerSettings(
        model_class=asked.reranker_model_class or reranker_class_of(asked.reranker_name_or_path),
        use_fp16=asked.use_fp16,
        use_bf16=asked.use_bf16,
        devices=tuple(asked.devices or ()),
        trust_remote_code=asked.trust_remote_code,
        cache_dir=asked.cache_dir,
        peft_path=asked.reranker_peft_path,
        query_instruction=asked.query_instruction_for_rerank,
        query_instruction_format=asked.query_instruction_format_for_rerank.replace("\\n", "\n"),
        passage_instruction=asked.passage_instruction_for_rerank,
        passage_instruction_format=asked.passage_instruction_format_for_rerank.replace("\\n", "\n"),
        batch_size=asked.reranker_batch_size,
        query_max_length=asked.reranker_query_max_length,
        max_length=asked.reranker_max_length,
        normalize=asked.normalize,
        prompt=asked.prompt,
        cutoff_layers=tuple(asked.cutoff_layers or ()),
        compress_ratio=asked.compress_ratio,
        compress_layers=tuple(asked.compress_layers or ()),
    )


def main() -> None:
    """`python -m hardneg.compat.add_reranker_score`."""
    import sys

    from hardneg import cli

    sys.argv[1:1] = ["add-reranker-score"]
    cli.main()


if __name__ == "__main__":
    main()

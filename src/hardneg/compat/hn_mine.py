"""`hardneg hn-mine`: FlagEmbedding's `scripts/hn_mine.py` by hardneg's own stages.

Every flag, default and file format is that script's; ranks are counted among the same documents. What it does
otherwise, and why, stands in docs/flagembedding.md.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from hardneg.api import Mined, load, mine
from hardneg.compat.flags import FlagParser, at_least
from hardneg.compat.hn_mine_output import WithNegatives, told_as
from hardneg.compat.hn_mine_pool import Pool, read_pool, searching_within, training_table
from hardneg.compat.training_rows import check_output, training_rows, warn, warn_of_name, write_rows
from hardneg.config import EncodeConfig, Index
from hardneg.encode.flag_own import open_flag_encoder
from hardneg.encode.flag_settings import MODEL_CLASSES, POOLINGS, FlagSettings, class_of
from hardneg.errors import UsageError
from hardneg.json_values import NotJsonError, parse_json
from hardneg.leftovers import scratch_folder
from hardneg.named_files import named_text, refuse_no_file
from hardneg.protocols import Encoder, Progress
from hardneg.quantities import counted
from hardneg.records import Collection
from hardneg.report.summary import render_summary
from hardneg.search.faiss_finder import sees_gpus
from hardneg.terminal import printable

_LONGEST_EXAMPLES = 1 << 20


def parser() -> FlagParser:
    found = FlagParser("hn-mine", "Mine hard negatives as FlagEmbedding's scripts/hn_mine.py does.")
    found.flag("input_file", text="JSON lines with query, pos and, it may be, neg.", required=True)
    found.flag("output_file", text="The same lines, neg mined.", required=True)
    found.flag("candidate_pool", text="JSON lines with text: mine among these, not among all pos and neg.")
    found.flag("range_for_sampling", "10-210", "FROM-TO: draw from raw ranks FROM + 1 to TO.", type=_range)
    found.flag("negative_number", 15, "Negatives a line.", type=at_least(1))
    found.switch("use_gpu_for_searching", False, "Search on all GPUs by faiss-gpu; the result is the same.")
    found.flag("search_batch_size", 64, "Changes nothing: blocks are as large as memory takes.", type=int)
    found.flag("seed", 0, "Seed of all random draws; hardneg's own.", type=at_least(0))
    found.flag("embedder_name_or_path", text="Folder of a model, or its id on the Hub.", required=True)
    found.flag("embedder_model_class", text="Default: told by the model's name.", choices=list(MODEL_CLASSES))
    found.switch("normalize_embeddings", True, "Bring vectors to length 1.")
    found.flag("pooling_method", text="Default: cls; decoders: last_token, always.", choices=list(POOLINGS))
    found.switch("use_fp16", True, "Take the weights in half precision.")
    found.flag("devices", text="cpu, cuda:0, ...; several: cuda:0 cuda:1. Default: all GPUs.", nargs="+")
    found.flag("query_instruction_for_retrieval", text="Put before each query.")
    found.flag("query_instruction_format_for_retrieval", "{}{}", "How it is put: {} twice.")
    found.flag(
        "examples_for_task",
        text="decoder-only-icl: a JSON list of objects with instruct, query and response, or a file of it.",
    )
    found.flag("examples_instruction_format", "{}{}", "How those are put: {} three times, in that order.")
    found.switch("trust_remote_code", False, "Run code that the model brings along.")
    found.flag("cache_dir", text="Where models of the Hub are kept.")
    found.flag("batch_size", 3000, "Texts a batch, at most; fewer on a CPU.", type=at_least(1))
    found.flag("embedder_query_max_length", 512, "Longest query in tokens.", type=at_least(1))
    found.flag("embedder_passage_max_length", 512, "Longest passage in tokens.", type=at_least(1))
    return found


def run(asked: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Mine as the flags say; what came of it, as JSON values. Raises HardnegError."""
    source, output = Path(asked.input_file), Path(asked.output_file)
    refuse_no_file(source)
    pool_path = None if asked.candidate_pool is None else Path(asked.candidate_pool)
    check_output(output, [] if pool_path is None else [pool_path])
    settings = flag_settings(asked)
    warn_of_name(output)
    rules = _rules(asked)
    pool = None if pool_path is None else read_pool(pool_path, progress)
    collection = _read(source, pool)
    encoder = open_flag_encoder(asked.embedder_name_or_path, settings)
    with scratch_folder() as folder:
        mined = mine(
            collection,
            recipe="bge",
            progress=progress,
            **rules,
            **_searching(collection, pool, encoder, rules, folder, progress),
        )
        _refuse_nothing(mined, rules["window"])
        written = WithNegatives(training_rows(source), mined)
        rows = write_rows(written, output)
        return told_as(mined.summary, output, rows, written)


def _read(source: Path, pool: Pool | None) -> Collection:
    """The training file and the pool; of the file's name, for it was read into a table before."""
    collection = load(training_table(source), corpus=None if pool is None else pool.table)
    return replace(collection, report=replace(collection.report, source=str(source)))


def _refuse_nothing(mined: Mined, window: str) -> None:
    """Raises UsageError where no row would have a negative."""
    if not mined.summary["negatives"]["total"]:
        documents = counted(len(mined.collection.corpus), "document")
        raise UsageError(
            f"no row has a negative: ranks {window.replace(':', '-')} of {documents} hold "
            "none; name another --range_for_sampling, or a larger --candidate_pool"
        )


def _rules(asked: argparse.Namespace) -> dict[str, Any]:
    return {
        "window": asked.range_for_sampling,
        "depth": int(asked.range_for_sampling.partition(":")[2]),
        "num_negatives": asked.negative_number,
        "given_negatives": "ignore",
        "shortfall": "backfill",
        "join_title": False,
        "seed": asked.seed,
        "index": _index(asked),
        "device": ",".join(asked.devices) if asked.devices else None,
    }


def _index(asked: argparse.Namespace) -> Index:
    """Who searches: the result is the same."""
    if asked.use_gpu_for_searching and sees_gpus():
        return "faiss-gpu"
    if asked.use_gpu_for_searching:
        warn(
            "use_gpu_for_searching: FAISS sees no GPU; torch searches on one that it sees, else the CPU does"
        )
    return "exact"


def _searching(
    collection: Any,
    pool: Pool | None,
    encoder: Encoder,
    rules: dict[str, Any],
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Who searches: the encoder over all documents, or over those of the pool alone."""
    if pool is None:
        return {"model": encoder}
    device = EncodeConfig(device=rules["device"]).first_device
    return searching_within(collection, pool, encoder, folder, progress, index=rules["index"], device=device)


def flag_settings(asked: argparse.Namespace) -> FlagSettings:
    """The embedder's settings. Raises UsageError where they do not go together."""
    model_class = asked.embedder_model_class or class_of(asked.embedder_name_or_path)
    icl = model_class == "decoder-only-icl"
    if asked.examples_for_task is not None and not icl:
        warn(f"examples_for_task: {model_class} has no use for them, and they are left out")
    of_examples = asked.examples_instruction_format
    return FlagSettings(
        model_class=model_class,
        normalize=asked.normalize_embeddings,
        pooling=asked.pooling_method,
        use_fp16=asked.use_fp16,
        devices=tuple(asked.devices or ()),
        instruction=asked.query_instruction_for_retrieval,
        instruction_format=_line_ends(asked.query_instruction_format_for_retrieval),
        examples=_examples(asked.examples_for_task) if icl else (),
        # With its default the response would be left out of each example.
        examples_format=_line_ends(FlagSettings.examples_format if of_examples == "{}{}" else of_examples),
        trust_remote_code=asked.trust_remote_code,
        cache_dir=asked.cache_dir,
        batch_size=asked.batch_size,
        query_max_length=asked.embedder_query_max_length,
        passage_max_length=asked.embedder_passage_max_length,
    )


def _line_ends(text: str) -> str:
    return text.replace("\\n", "\n")


def _examples(text: str | None) -> tuple[dict[str, str], ...]:
    """JSON, or a file of JSON. Raises UsageError."""
    if text is None:
        return ()
    found = text if text.lstrip().startswith("[") else named_text(Path(text), _LONGEST_EXAMPLES)
    try:
        value = parse_json(found)
    except NotJsonError as error:
        raise UsageError(f"examples_for_task: is not JSON ({error})") from error
    several = value if isinstance(value, list) else [None]
    for place, one in enumerate(several, 1):
        known = isinstance(one, dict) and all(isinstance(part, str) for part in one.values())
        if not known or set(one) - {"instruct", "query", "response"}:
            raise UsageError(
                f"examples_for_task: example {place} must be an object of texts: instruct, query, response"
            )
    return tuple(several)


def _range(text: str) -> str:
    """`10-210` as a window. Raises what argparse turns into an error."""
    match = re.fullmatch(r"(\d{1,9})-(\d{1,9})", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no range; write FROM-TO, FROM below TO, e.g. 10-210 for raw ranks 11 to 210"
        )
    return f"{match[1]}:{match[2]}"


def render(found: dict[str, Any]) -> str:
    """For people."""
    return f"{render_summary(found)}\n{counted(found['rows'], 'row')} in {printable(found['output'])}"


def main() -> None:
    """`python -m hardneg.compat.hn_mine`."""
    import sys

    from hardneg import cli

    sys.argv[1:1] = ["hn-mine"]
    cli.main()


if __name__ == "__main__":
    main()

"""The function: its arguments in the original's order and with its defaults, worked through by hardneg."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from hardneg.compat.sentence_transformers.arguments import (
    ArgumentError,
    Ranks,
    check_choices,
    columns_of,
    format_of,
    margin_of,
    prompt_of,
    rules_of,
    warn_of_lost_positives,
)
from hardneg.compat.sentence_transformers.mining import Miner
from hardneg.compat.sentence_transformers.models import Encoding, has_gpus, retrieving, scoring
from hardneg.compat.sentence_transformers.output import groups_of, to_dataset
from hardneg.compat.sentence_transformers.pairs import read_pairs
from hardneg.compat.sentence_transformers.statistics import describe, repeats
from hardneg.progress import Silent, Terminal
from hardneg.refusals import plainly

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import CrossEncoder, SentenceTransformer

    from hardneg.protocols import Kind, Progress


@plainly()
def mine_hard_negatives(
    dataset: Dataset,
    model: SentenceTransformer,
    anchor_column_name: str | None = None,
    positive_column_name: str | None = None,
    corpus: list[str] | None = None,
    cross_encoder: CrossEncoder | None = None,
    range_min: int = 0,
    range_max: int | None = None,
    max_score: float | None = None,
    min_score: float | None = None,
    absolute_margin: float | None = None,
    relative_margin: float | None = None,
    num_negatives: int = 3,
    sampling_strategy: Literal["random", "top"] = "top",
    query_prompt_name: str | None = None,
    query_prompt: str | None = None,
    corpus_prompt_name: str | None = None,
    corpus_prompt: str | None = None,
    include_positives: bool = False,
    output_format: Literal["triplet", "n-tuple", "labeled-pair", "labeled-list"] = "triplet",
    output_scores: bool = False,
    batch_size: int = 32,
    faiss_batch_size: int = 16384,
    use_faiss: bool = False,
    use_multi_process: list[str] | bool = False,
    verbose: bool = True,
    cache_folder: str | None = None,
    as_triplets: bool | None = None,
    margin: float | None = None,
) -> Dataset:
    """Hard negatives for (query, positive) pairs, as sentence-transformers' function of this name gives them.

    dataset, corpus    pairs, and further texts that may be negatives
    model              SentenceTransformer, whose vectors are searched exactly
    cross_encoder      scores and ranks what was found, in the model's place
    *_column_name      of queries and positives; default: the first two columns
    range_min/max      ranks that are looked at, positives not counted
    max/min_score, absolute/relative_margin    what a negative's score may be, the margins below the lowest
                       score of the query's positives
    num_negatives, sampling_strategy           the highest (`top`) or any (`random`: drawn as Python's
                       `random` is seeded) of what is left
    *_prompt(_name)    put before queries and documents; default: what the model declares
    include_positives  positives stay in the ranking, as for a reranker's test set
    output_format, output_scores               columns, see docs/sentence-transformers.md
    batch_size, faiss_batch_size               texts a batch, queries searched at once
    use_faiss, use_multi_process               FAISS on GPUs, where there are any; processes for the models
    cache_folder       keeps vectors, told apart by the content of model, prompt and text
    verbose            print what was found and left out
    as_triplets, margin    old names of `output_format` and `absolute_margin`

    Raises ValueError (a UsageError) for a call that cannot be right, and other HardnegErrors.
    """
    check_choices(sampling_strategy, faiss_batch_size, num_negatives)
    names = columns_of(_columns(dataset), anchor_column_name, positive_column_name)
    if include_positives:
        warn_of_lost_positives(
            range_min=(range_min, 0),
            range_max=(range_max, None),
            max_score=(max_score, None),
            min_score=(min_score, None),
            absolute_margin=(absolute_margin, None),
            relative_margin=(relative_margin, None),
            margin=(margin, None),
            sampling_strategy=(sampling_strategy, "top"),
        )
    to, scores = format_of(output_format, output_scores, as_triplets, include_positives)
    absolute_margin = margin_of(absolute_margin, margin)
    prompts: Mapping[Kind, str | None] = {
        "query": prompt_of(model, "query", query_prompt, query_prompt_name),
        "document": prompt_of(model, "document", corpus_prompt, corpus_prompt_name),
    }
    say: Callable[[str], None] = print if verbose else _nobody
    progress: Progress = Terminal() if verbose else Silent()

    pairs = read_pairs(dataset, *names, corpus)
    on_gpus = use_faiss and has_gpus()
    settings = (absolute_margin, relative_margin, max_score, cross_encoder)
    ranks = Ranks.of(
        range_min,
        range_max,
        num_negatives,
        pairs.max_positives,
        filtered=any(setting is not None for setting in settings),
        on_gpus=on_gpus,
        say=say,
    )
    for line in repeats(pairs):
        say(line)
    config = rules_of(
        num_negatives=num_negatives,
        sampler=sampling_strategy,
        margin=absolute_margin,
        relative_margin=relative_margin,
        max_score=max_score,
        min_score=min_score,
    )
    encoding = Encoding(prompts, batch_size, use_multi_process, cache_folder, progress, say)
    with (
        retrieving(model, pairs, encoding, ranks.depth, on_gpus) as retriever,
        scoring(cross_encoder, batch_size, use_multi_process) as scorer,
    ):
        miner = Miner(pairs, retriever, scorer, config, ranks, include_positives, progress)
        found = miner.mine(faiss_batch_size)
    say("Negative candidates mined, preparing dataset...")
    groups = groups_of(pairs, found, to, num_negatives)
    result = to_dataset(groups, pairs, to, names, scores, num_negatives)
    for line in describe(pairs, found, to, config, ranks, len(result)):
        say(line)
    return result


def _nobody(line: str) -> None:
    """Says nothing."""


def _columns(dataset: Any) -> Sequence[str]:
    """Raises ArgumentError for what is no dataset of some rows."""
    if not hasattr(dataset, "with_format") or not isinstance(getattr(dataset, "column_names", None), list):
        raise ArgumentError(f"dataset: {type(dataset).__name__} is no datasets.Dataset; give one")
    if len(dataset) == 0:
        raise ArgumentError("The dataset is empty. Please provide a non-empty dataset.")
    names: Sequence[str] = dataset.column_names
    return names

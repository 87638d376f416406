"""RankLLM's training JSON: one array of conversations in which passages are ranked by their letters.

A conversation is `from` `system`, `human` and `gpt`, with a `value` each: the instruction, the passages
after their letters, and the ranking, `[B] > [A]`. Read in castorini/rank_llm, `training/utils/data_utils.py`
(`load_data`, `RankingDataset`, `GenerationDataset`) and, for the wording that its rerankers are asked with,
the package rank-llm 0.25.7, `rerank/prompt_templates/rank_zephyr_alpha_template.yaml` and
`rerank/inference_handler.py`, which also makes white space single spaces. Its ranking objectives take the
capital letters of the ranking as ranks, one letter a passage, so that there are 26 passages at most.

Positives rank first. They would teach their place where they also stood first in the prompt, so there
passages stand by the hash of their ids. `positives` (how many of the ranking's first are) is ours; `id`,
`docids` and `scores`, which RankLLM reads of data to evaluate on, are in the order of the letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

import numpy as np
import pyarrow as pa

from hardneg.errors import InputError
from hardneg.export.columns import constant, lists, objects, scores
from hardneg.export.examples import Examples
from hardneg.export.formats import Format
from hardneg.export.options import ExportOptions
from hardneg.records import Int64
from hardneg.texts import single_spaced, text_number

SYSTEM = (
    "You are RankLLM, an intelligent assistant that can rank passages based on their relevancy to the query"
)
BEFORE = (
    "I will provide you with {num} passages, each indicated by an alphabetical identifier []. Rank the "
    "passages based on their relevance to the search query: {query}.\n"
)
AFTER = (
    "Search Query: {query}.\nRank the {num} passages above based on their relevance to the search query. All "
    "the passages should be included and listed using identifiers, in descending order of relevance. The "
    "output format should be [] > [], e.g., [B] > [A], Answer concisely and directly and only respond with "
    "the ranking results, do not say any word or explain."
)


def rows(examples: Examples, options: ExportOptions) -> pa.Table:
    """A row a group; with scores, positives and negatives each rank by falling score."""
    _refuse_more_than_letters(examples)
    queries, query_ids = examples.query.to_pylist(), examples.query_id.to_pylist()
    texts, doc_ids = examples.text.to_pylist(), examples.doc_id.to_pylist()
    order = _ranking(examples) if options.scores else np.arange(len(texts))
    asked, answered, shown = [], [], []
    for group, query in enumerate(queries):
        ranked = order[examples.start[group] : examples.start[group + 1]]
        prompted = sorted(ranked.tolist(), key=lambda at: _place(query_ids[group], doc_ids[at]))
        letter = dict(zip(prompted, ascii_uppercase, strict=False))
        asked.append(_prompt(query, [texts[at] for at in prompted]))
        answered.append(" > ".join(f"[{letter[at]}]" for at in ranked.tolist()))
        shown.extend(prompted)
    columns = {"id": examples.query_id} if options.ids else {}
    columns["conversations"] = _conversations(asked, answered)
    if options.ids:
        columns["docids"] = lists(examples.doc_id.take(pa.array(shown)), examples.start)
    if options.scores:
        columns["scores"] = lists(scores(examples.score[shown]), examples.start)
    columns["positives"] = pa.array(examples.num_positives)
    return pa.table(columns)


def _ranking(examples: Examples) -> Int64:
    """int64 (entries,): each group's entries, positives first, each side by falling score."""
    order: Int64 = np.lexsort((-examples.score, ~examples.is_positive, examples.group))
    return order


def _place(query_id: str, doc_id: str) -> tuple[int, str]:
    return text_number(f"{query_id}\0{doc_id}"), doc_id


def _prompt(query: str, passages: Sequence[str]) -> str:
    said = {"num": len(passages), "query": single_spaced(query)}
    body = [
        f"[{letter}] {single_spaced(text)}\n" for letter, text in zip(ascii_uppercase, passages, strict=False)
    ]
    return BEFORE.format(**said) + "".join(body) + AFTER.format(**said)


def _conversations(asked: list[str], answered: list[str]) -> pa.ListArray:
    count = len(asked)
    turns = np.arange(3 * count)
    who = pa.DictionaryArray.from_arrays(
        pa.array(turns % 3, pa.int32()), pa.array(["system", "human", "gpt"], pa.large_string())
    )
    said = pa.concat_arrays(
        [
            constant(SYSTEM, count).cast(pa.large_string()),
            *(pa.array(s, pa.large_string()) for s in (asked, answered)),
        ]
    ).take(pa.array(turns % 3 * count + turns // 3))
    return lists(objects(**{"from": who, "value": said}), np.arange(count + 1) * 3)


def _refuse_more_than_letters(examples: Examples) -> None:
    length = np.diff(examples.start)
    if (length > len(ascii_uppercase)).any():
        group = int(np.argmax(length > len(ascii_uppercase)))
        raise InputError(
            f"has {length[group]} passages, and RankLLM has {len(ascii_uppercase)} letters for them; export "
            "with a smaller --num-negatives",
            row_id=examples.query_id[group].as_py(),
        )


FORMATS = {
    "rankllm": Format(
        rows=rows,
        kinds={".json": "json"},
        takes=frozenset({"scores", "ids"}),
        each=True,
        single_spaces=True,
    ),
}

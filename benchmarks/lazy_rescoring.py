"""How many pairs a scorer must see on SciFact, depth 100 and 4 negatives: all, and as far as is needed.

No cross-encoder is needed: three scorers of one's own stand in for it, words in common and a bi-encoder's
cosine. What share is needed hangs on how many candidates pass the margin, hence on the scorer; the table says
it for each. `least` is what someone who stops at each query's last negative must see, told from a run with
all scores: the positives, and the candidates up to that negative, all where there are too few. In a random
order it is what that comes to on average. `calls` are those to the scorer, of at most 1,024 pairs each.

    python benchmarks/lazy_rescoring.py [--depth N] [--num-negatives N]
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

import hardneg
from hardneg.config import DEFAULT_MODEL, EncodeConfig
from hardneg.encode import VectorStore, encode_texts, open_encoder, store_root
from hardneg.records import Collection, Float32
from hardneg.texts import document_texts
from measuring import print_table, shared_data, write_result

RULES = {"top": {"sampler": "top", "order_by": "bm25"}, "random": {"sampler": "random"}}
ALLOWED_SHARE = 0.15
PASSED = ("selected", "not_sampled")
FAILED = ("relative_margin",)

Pairs = Sequence[tuple[str, str]]


class StandIn:
    """A scorer that counts what it is asked."""

    def __init__(self, name: str, score: Callable[[Pairs], Float32]) -> None:
        self.name, self._score = name, score
        self.asked: list[int] = []

    def fingerprint(self) -> dict[str, str]:
        return {"scorer": self.name}

    def score(self, pairs: Pairs) -> Float32:
        self.asked.append(len(pairs))
        return self._score(pairs)


def stand_ins(data: Collection) -> list[StandIn]:
    documents = document_texts(data.corpus, True)
    count = Counter(word for text in documents.to_pylist() for word in words(text))
    rarity = {word: math.log(len(documents) / number) for word, number in count.items()}
    return [
        StandIn("shared_words", shared_words({}, 1.0)),
        StandIn("shared_rare_words", shared_words(rarity, math.log(len(documents)))),
        StandIn("minilm", cosine(data.queries["text"], documents)),
    ]


@cache
def words(text: str) -> frozenset[str]:
    return frozenset(text.casefold().split())


def shared_words(weight: dict[str, float], default: float) -> Callable[[Pairs], Float32]:
    """The cosine of two texts as sets of words, each word weighing as much as `weight` says."""

    def total(of: frozenset[str]) -> float:
        return math.fsum(weight.get(word, default) ** 2 for word in of)

    @cache
    def length(text: str) -> float:
        return math.sqrt(total(words(text)))

    def one(query: str, document: str) -> float:
        whole = length(query) * length(document)
        return total(words(query) & words(document)) / whole if whole else 0.0

    return lambda pairs: np.array([one(*pair) for pair in pairs], np.float32)


def cosine(queries: pa.ChunkedArray, documents: pa.ChunkedArray) -> Callable[[Pairs], Float32]:
    """Of the default model's vectors."""
    encoder, store = open_encoder(DEFAULT_MODEL, EncodeConfig()), VectorStore(store_root(None), "float16")
    query = encode_texts(encoder, queries, "query", store=store).vectors
    document = encode_texts(encoder, documents, "document", store=store).vectors
    query_row, document_row = (
        {text: row for row, text in enumerate(column.to_pylist())} for column in (queries, documents)
    )

    def score(pairs: Pairs) -> Float32:
        left = query.take(np.array([query_row[one] for one, _ in pairs], np.int32))
        right = document.take(np.array([document_row[other] for _, other in pairs], np.int32))
        return np.einsum("ij,ij->i", left, right)

    return score


def mined(data: Collection, scorer: StandIn, **settings: Any) -> hardneg.Mined:
    scorer.asked.clear()
    return hardneg.mine(data, retriever="bm25", cross_encoder=scorer, guard="off", **settings)


def row(data: Collection, scorer: StandIn, rule: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Both ways, which must choose the same."""
    whole = mined(data, scorer, rescore="all", **settings, **RULES[rule])
    calls_all = len(scorer.asked)
    lazy = mined(data, scorer, **settings, **RULES[rule])
    if not lazy.negatives.equals(whole.negatives) or not lazy.positives.equals(whole.positives):
        raise SystemExit(f"{scorer.name}, {rule}: other negatives than with all scores")
    every, scored = (lazy.summary["rescore"][key] for key in ("every", "scored"))
    least = data.qrels.num_rows + needed(whole, settings["num_negatives"], rule)
    return {
        "scorer": scorer.name,
        "rule": rule,
        "pairs": every,
        "fail_margin": round(whole.summary["reasons"]["relative_margin"] / every, 3),
        "scored": scored,
        "share": round(scored / every, 4),
        "least": round(least),
        "calls_all": calls_all,
        "calls_lazy": len(scorer.asked),
    }


def needed(whole: hardneg.Mined, wanted: int, rule: str) -> float:
    """Of all queries the candidates up to the last of the first `wanted` that pass; `random`: on average."""
    rank = {(one["query_id"], one["doc_id"]): one["rank"] for one in whole.candidates.to_pylist()}
    met = [one for one in whole.decisions.to_pylist() if one["reason"] in PASSED + FAILED]
    passes: dict[str, list[bool]] = {}
    for one in sorted(met, key=lambda one: rank[one["query_id"], one["doc_id"]]):
        passes.setdefault(one["query_id"], []).append(one["reason"] in PASSED)
    total = 0.0
    for those in passes.values():
        if sum(those) < wanted:
            total += len(those)
        elif rule == "random":
            total += wanted * (len(those) + 1) / (sum(those) + 1)
        else:
            total += int(np.flatnonzero(those)[wanted - 1]) + 1
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--num-negatives", type=int, default=4)
    arguments = parser.parse_args()
    data = hardneg.load(str(shared_data("scifact")))
    settings = {"depth": arguments.depth, "num_negatives": arguments.num_negatives}
    rows = [row(data, scorer, rule, settings) for scorer in stand_ins(data) for rule in RULES]
    print_table(rows)
    write_result("lazy_rescoring", rows, **settings, allowed_share=ALLOWED_SHARE)


if __name__ == "__main__":
    main()

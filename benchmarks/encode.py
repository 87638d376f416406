"""Encoding beside sentence-transformers' own `encode`, and how near both come to the machine's ceiling.

Operations of a text of L tokens: L x (2 x weights of the transformer's matrix products + 4 x L x d x layers).
Only real tokens count: padding is time, not work. The time is from texts to stored vectors, so tokenising,
pooling and writing are in it; loading and converting the model are not.

The ceiling is the best rate of numpy and torch for a matrix product of the model's own shapes in that
precision, measured just before and after each run; a run's share is taken against the mean of those two.

    python benchmarks/encode.py [--documents N] [--rounds N] [--model MODEL]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from hardneg.config import DEFAULT_MODEL, EncodeConfig
from hardneg.encode import DenseEncoder, VectorStore, encode_texts
from hardneg.encode.model_folder import find_model
from hardneg.errors import HardnegError
from measuring import print_table, shared_data, write_result

PEER_BATCHES = (8, 16, 32)
OURS = (("torch", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"))
CEILING_ROWS = (512, 2048)
CEILING_S = 0.15
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "int8": "bfloat16"}
"""The products beside which a precision is put; int8, which rounds as it goes, beside those of bfloat16."""

Shapes = set[tuple[int, int]]


@dataclass
class Contender:
    """One way to encode all texts; `run` gives float32 (texts, dimension)."""

    name: str
    precision: str
    run: Callable[[list[str]], Any]
    rates: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    vectors: Any = None


def texts_of(documents: int) -> list[str]:
    """That many of SciFact's documents, spread over all of them."""
    with (shared_data("scifact") / "corpus.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = [f"{row['title']} {row['text']}".strip() for row in rows]
    return texts[:: max(1, len(texts) // documents)][:documents]


def ours(model: str, backend: Any, precision: Any) -> Contender:
    encoder = DenseEncoder(
        model, EncodeConfig(backend=backend, precision=precision, cache_dir=tempfile.mkdtemp())
    )
    _ = encoder.dimension  # opens the model

    def run(texts: list[str]) -> Any:
        with tempfile.TemporaryDirectory() as scratch:
            done = encode_texts(encoder, texts, "document", store=VectorStore(scratch))
            return np.array(done.vectors.block(0, len(texts)))

    return Contender(f"hardneg {backend}", precision, run)


def peer(library: Any, batch_size: int) -> Contender:
    def run(texts: list[str]) -> Any:
        return library.encode_document(texts, batch_size=batch_size, show_progress_bar=False)

    return Contender(f"sentence-transformers, batch {batch_size}", "fp32", run)


def contenders(model: str, library: Any) -> Iterator[Contender | dict[str, Any]]:
    """Those that run here; for one that does not, its row with the reason."""
    yield from (peer(library, size) for size in PEER_BATCHES)
    for backend, precision in OURS:
        try:
            yield ours(model, backend, precision)
        except HardnegError as error:
            yield {"what": f"hardneg {backend}", "precision": precision, "why not": str(error)}


# -- operations and ceiling ------------------------------------------------------------------------------


def linear_layers(library: Any) -> list[Any]:
    """The matrix products that every token goes through: the pooler's is for one token of a text."""
    import torch

    return [
        module
        for name, module in library[0].model.named_modules()
        if isinstance(module, torch.nn.Linear) and "pooler" not in name
    ]


def operations(library: Any, texts: list[str]) -> tuple[float, int]:
    """Of all texts, and their tokens."""
    config = library[0].model.config
    weights = sum(layer.weight.numel() for layer in linear_layers(library))
    lengths = library.preprocess(texts)["attention_mask"].sum(dim=1).numpy().astype(np.float64)
    attention = 4.0 * config.hidden_size * config.num_hidden_layers * lengths
    return float((lengths * (2.0 * weights + attention)).sum()), int(lengths.sum())


def ceiling(shapes: Shapes, precision: str) -> float:
    """Operations a second of the best product: of any shape, by numpy or torch on all cores together, or by
    numpy on each core alone (as our lanes run: where others use the machine too, that loses less)."""
    import torch

    best = 0.0
    for rows in CEILING_ROWS:
        for wide, out in shapes:
            dtype = getattr(torch, DTYPES[precision])
            left, right = torch.rand(rows, wide).to(dtype), torch.rand(wide, out).to(dtype)
            rates = [_products_a_second(left, right, 1)]
            if precision == "fp32":
                arrays = left.numpy(), right.numpy()
                rates.append(_products_a_second(*arrays, 1))
                with threadpool_limits(1):
                    rates.append(_products_a_second(*arrays, os.cpu_count() or 1))
            best = max(best, 2.0 * rows * wide * out * max(rates))
    return best


def _products_a_second(left: Any, right: Any, threads: int) -> float:
    def work(thread: int) -> int:
        done = 0
        while time.perf_counter() < until:
            left @ right
            done += 1
        return done

    left @ right
    started = time.perf_counter()
    until = started + CEILING_S
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(work, range(threads)))
    return done / (time.perf_counter() - started)


# -- measuring -------------------------------------------------------------------------------------------


def measure(contender: Contender, texts: list[str], work: float, shapes: Shapes) -> None:
    before = ceiling(shapes, contender.precision)
    started = time.perf_counter()
    contender.vectors = contender.run(texts)
    seconds = time.perf_counter() - started
    after = ceiling(shapes, contender.precision)
    contender.seconds.append(seconds)
    contender.rates.append(work / seconds)
    contender.shares.append(work / seconds / ((before + after) / 2))


def least_cosine(left: Any, right: Any) -> float:
    left, right = np.asarray(left, np.float64), np.asarray(right, np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(((left * right).sum(axis=1) / lengths).min())


def row(one: Contender, best: Contender, tokens: int) -> dict[str, Any]:
    ratios = [theirs / own for theirs, own in zip(best.seconds, one.seconds, strict=True)]
    return {
        "what": one.name,
        "precision": one.precision,
        "share of ceiling": round(statistics.median(one.shares), 3),
        "lowest": round(min(one.shares), 3),
        "highest": round(max(one.shares), 3),
        "GFLOP/s": round(statistics.median(one.rates) / 1e9, 1),
        "tokens/s": round(tokens / statistics.median(one.seconds)),
        "times the best peer": round(statistics.median(ratios), 2),
        "least cosine to it": round(least_cosine(one.vectors, best.vectors), 7),
        "why not": "",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(str(find_model(arguments.model).path), device="cpu")
    texts = texts_of(arguments.documents)
    work, tokens = operations(library, texts)
    shapes = {(layer.in_features, layer.out_features) for layer in linear_layers(library)}
    found = list(contenders(arguments.model, library))
    running = [one for one in found if isinstance(one, Contender)]
    for one in running:
        one.run(texts[:32])
    for _ in range(arguments.rounds):
        for one in running:
            measure(one, texts, work, shapes)
    peers = [one for one in running if one.name.startswith("sentence")]
    best = min(peers, key=lambda one: statistics.median(one.seconds))
    rows = [row(one, best, tokens) if isinstance(one, Contender) else one for one in found]
    print_table([{**dict.fromkeys(rows[0], ""), **line} for line in rows])
    packages = {name: version(name) for name in ("torch", "sentence-transformers", "numpy", "openvino")}
    write_result(
        "encode",
        rows,
        model=arguments.model,
        documents=len(texts),
        tokens=tokens,
        operations=work,
        rounds=arguments.rounds,
        versions=packages,
    )


if __name__ == "__main__":
    main()

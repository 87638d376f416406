"""Encoding on a GPU beside sentence-transformers' own `encode`: texts to stored vectors, tokenising included.

SciFact's documents, several times over with a number before each, since equal texts are encoded once.

    python benchmarks/gpu_encode.py [--copies N] [--rounds N] [--model MODEL]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from encode import least_cosine, operations, texts_of
from hardneg.config import DEFAULT_MODEL, EncodeConfig
from hardneg.encode import DenseEncoder, VectorStore, encode_texts
from hardneg.encode.model_folder import find_model
from measuring import print_table, write_result

PEERS = (("fp32", 128), ("fp32", 512), ("bf16", 128), ("bf16", 512), ("bf16", 2048))
OURS = ("fp32", "bf16", "fp16")


def ours(model: str, precision: Any) -> Callable[[list[str]], Any]:
    config = EncodeConfig(device="cuda", precision=precision, cache_dir=tempfile.mkdtemp())
    encoder = DenseEncoder(model, config)

    def run(texts: list[str]) -> Any:
        with tempfile.TemporaryDirectory() as scratch:
            done = encode_texts(encoder, texts, "document", store=VectorStore(scratch))
            return np.array(done.vectors.block(0, len(texts)))

    return run


def peer(library: Any, batch_size: int) -> Callable[[list[str]], Any]:
    return lambda texts: library.encode_document(texts, batch_size=batch_size, show_progress_bar=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    import torch
    from sentence_transformers import SentenceTransformer

    path = str(find_model(arguments.model).path)
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16}
    libraries = {name: SentenceTransformer(path, device="cuda").to(kind) for name, kind in kinds.items()}
    texts = [f"{copy} {text}" for copy in range(arguments.copies) for text in texts_of(10_000)]
    work, tokens = operations(SentenceTransformer(path, device="cpu"), texts)
    runs = {
        f"sentence-transformers, {name}, batch {size}": peer(libraries[name], size) for name, size in PEERS
    }
    runs |= {f"hardneg, {precision}": ours(arguments.model, precision) for precision in OURS}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    vectors = {}
    for run in runs.values():
        run(texts[:2000])
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            vectors[name] = run(texts)
            seconds[name].append(time.perf_counter() - started)
    exact = vectors["sentence-transformers, fp32, batch 128"]
    rows = [
        {
            "what": name,
            "seconds": round(statistics.median(took), 2),
            "lowest": round(min(took), 2),
            "highest": round(max(took), 2),
            "texts/s": round(len(texts) / statistics.median(took)),
            "TFLOP/s": round(work / statistics.median(took) / 1e12, 2),
            "least cosine": round(least_cosine(vectors[name], exact), 6),
        }
        for name, took in seconds.items()
    ]
    print_table(rows)
    write_result(
        "gpu_encode",
        rows,
        gpu=torch.cuda.get_device_name(),
        model=arguments.model,
        texts=len(texts),
        tokens=tokens,
    )


if __name__ == "__main__":
    main()

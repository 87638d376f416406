"""Runs an open model over calls: tokenised ahead of it, in batches of texts of like length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardneg.encode.backends import Running
from hardneg.encode.batches import Tokens, batches, cut, cut_unpadded, runs
from hardneg.encode.fast_tokens import FastTokens
from hardneg.encode.lanes import ahead, started_ahead, threads
from hardneg.encode.room import Room
from hardneg.protocols import Kind
from hardneg.records import Float32, Int64

TOKENS_A_TEXT = {"cpu": 64}
TOKENS_A_TEXT_ELSEWHERE = 512
"""A batch holds at most `batch_size` times so many tokens: on a CPU, small batches stay in its cache."""

Call = tuple[Sequence[str], str]
"""Texts to encode together, and the prompt before each of them."""
Encoded = tuple[Float32, NDArray[np.int8]]
"""Vectors, and int8 (texts,): 1 where a text was truncated, 0 where not, -1 unknown."""
_Part = tuple[Int64, list[Any]]
"""Places among the texts of a call, and tensors that together hold their vectors."""


@dataclass
class CallRunner:
    """One open model, and what it has learnt of the device's memory."""

    running: Running
    room: Room = field(default_factory=Room)

    @cached_property
    def _fast_tokens(self) -> FastTokens:
        return FastTokens(self.running.model)

    @property
    def dimension(self) -> int:
        model = self.running.model
        ask = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        return int(ask())

    def encode(self, calls: Iterable[Call], kind: Kind, texts_a_batch: int) -> Iterator[Encoded]:
        """Vectors and truncation of each call's texts, in order."""
        with threads(self.running.lanes) as lanes:
            tokenised = ahead(partial(self._tokenised, kind), calls)
            start = partial(self._start, lanes, kind, texts_a_batch)
            for tokens, parts in started_ahead(start, tokenised):
                found = _in_order(parts) if len(tokens.texts) else np.zeros((0, self.dimension), np.float32)
                yield found, tokens.truncated

    def _tokenised(self, kind: Kind, call: Call) -> Tokens:
        texts, prompt = call
        model = self.running.model
        if not hasattr(model, "preprocess"):  # sentence-transformers 5
            return Tokens.of({}, texts, prompt)
        quick = self._fast_tokens(texts, kind, prompt)
        if quick is not None:
            return quick
        return Tokens.of(model.preprocess(list(texts), prompt=prompt, task=kind), texts, prompt)

    def _start(
        self, lanes: ThreadPoolExecutor, kind: Kind, texts_a_batch: int, tokens: Tokens
    ) -> list[Future[_Part]]:
        """Set the batches going, the longest texts first where they are padded."""
        if tokens.lengths is not None:
            device = self.running.choice.device.split(":")[0]
            budget = texts_a_batch * TOKENS_A_TEXT.get(device, TOKENS_A_TEXT_ELSEWHERE)
            cuts = batches(tokens.lengths, budget) if tokens.padded else runs(tokens.lengths, budget)
            return [lanes.submit(self._batch, tokens, places, kind) for places in cuts]
        if "offsets" in tokens.features:
            return [lanes.submit(self._bag, tokens, kind)]
        return [lanes.submit(self._as_library, tokens, kind, texts_a_batch)]

    def _batch(self, tokens: Tokens, places: Int64, kind: Kind) -> _Part:
        """Vectors of some texts, left on the device until the next call is under way."""
        import torch

        device = torch.device(self.running.choice.device)
        taken = cut if tokens.padded else cut_unpadded

        def run(part: Int64) -> Any:
            return self._vectors(taken(tokens.features, part, device), kind)

        with torch.inference_mode():
            return places, self.room.run(run, places, tokens.width(places))

    def _bag(self, tokens: Tokens, kind: Kind) -> _Part:
        """A static model's texts: it takes the tokens of all of them one after the other, without padding."""
        import torch

        device = self.running.model.device
        with torch.inference_mode():
            batch = {name: value.to(device) for name, value in tokens.features.items()}
            return np.arange(len(tokens.texts)), [self._vectors(batch, kind)]

    def _as_library(self, tokens: Tokens, kind: Kind, texts_a_batch: int) -> _Part:
        """For models whose input is none of these: the library's own loop."""
        import torch

        model = self.running.model
        encode = model.encode_query if kind == "query" else model.encode_document
        found = encode(
            list(tokens.texts), prompt=tokens.prompt, batch_size=texts_a_batch, show_progress_bar=False
        )
        return np.arange(len(tokens.texts)), [torch.from_numpy(np.asarray(found, np.float32))]

    def _vectors(self, batch: dict[str, Any], kind: Kind) -> Any:
        model = self.running.model
        vectors = model(batch, task=kind)["sentence_embedding"]
        return (vectors if model.truncate_dim is None else vectors[:, : model.truncate_dim]).float()


def _in_order(parts: list[_Part]) -> Float32:
    """float32 (texts, dimension) from the parts of a call."""
    import torch

    vectors = [torch.cat(tensors).cpu().numpy() for _, tensors in parts]
    out = np.empty((sum(map(len, vectors)), vectors[0].shape[1]), np.float32)
    for (places, _), part in zip(parts, vectors, strict=True):
        out[places] = part
    return out

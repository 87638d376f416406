"""Tokenised texts, and the batches they are run in: of like length, so that next to nothing is padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardneg.records import Int64

_BOUNDS = "cu_seq_lens_q"
"""Of inputs without padding: where each text's tokens begin and end."""


@dataclass(frozen=True)
class Tokens:
    """The texts of a call as the model takes them.

    features   the model's own inputs, by name; {} where the model does not give them
    lengths    int64 (texts,): tokens of each text; None where the input is neither kind of batch
    truncated  int8 (texts,): 1 where a text was cut to the model's longest, 0 where not, -1 unknown
    padded     whether texts are padded to the longest; else their tokens lie one text after the other
    """

    texts: Sequence[str]
    prompt: str
    features: Mapping[str, Any]
    lengths: Int64 | None
    truncated: NDArray[np.int8]
    padded: bool = True

    @classmethod
    def of(cls, features: Mapping[str, Any], texts: Sequence[str], prompt: str) -> Tokens:
        unknown = np.full(len(texts), -1, np.int8)
        mask, bounds = features.get("attention_mask"), features.get(_BOUNDS)
        if mask is not None and mask.ndim == 2 and len(mask) == len(texts):
            lengths = np.asarray(mask.sum(dim=1).numpy(), np.int64)
            truncated = _truncated(features, len(texts))
            return cls(texts, prompt, features if mask.shape[1] else _padded(features), lengths, truncated)
        if bounds is not None and len(bounds) == len(texts) + 1:
            lengths = np.asarray(bounds.diff().numpy(), np.int64)
            return cls(texts, prompt, features, lengths, unknown, padded=False)
        return cls(texts, prompt, features, None, unknown)

    def width(self, places: Int64) -> int:
        """Tokens of the longest of these texts."""
        return 0 if self.lengths is None else int(self.lengths[places].max())


def _padded(features: Mapping[str, Any]) -> dict[str, Any]:
    """A column of padding for texts that are all empty, where the tokenizer puts no marks around a text: no
    model takes rows without a token, while beside a longer text an empty one is such padding."""
    import torch

    return {
        name: torch.zeros((len(value), 1), dtype=torch.int64) if torch.is_tensor(value) else value
        for name, value in features.items()
    }


def _truncated(features: Any, texts: int) -> NDArray[np.int8]:
    """From what the tokenizer put aside while it cut; only fast tokenizers tell."""
    encodings = getattr(features, "encodings", None)
    if encodings is None or len(encodings) != texts:
        return np.full(texts, -1, np.int8)
    return np.fromiter((len(encoding.overflowing) > 0 for encoding in encodings), np.int8, texts)


def batches(lengths: Int64, tokens: int) -> Iterator[Int64]:
    """Places of the texts, longest first, in batches of at most `tokens` tokens, padding included.

    A text longer than that is a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + count]
        start += count


def runs(lengths: Int64, tokens: int) -> Iterator[Int64]:
    """As `batches` for texts that need no padding: each batch is a run of them, as they lie."""
    total = np.cumsum(lengths)
    start = 0
    while start < len(lengths):
        before = int(total[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + tokens, side="right")))
        yield np.arange(start, stop)
        start = stop


def cut(features: Mapping[str, Any], places: Int64, device: Any) -> dict[str, Any]:
    """The rows of one batch on the device, without the columns that are padding in all of them."""
    import torch

    rows = torch.from_numpy(places)
    mask = features["attention_mask"]
    used = torch.nonzero(mask[rows].any(dim=0)).flatten()
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    batch: dict[str, Any] = {}
    for name, value in features.items():
        if torch.is_tensor(value) and value.ndim >= 1 and len(value) == len(mask):
            value = value[rows]
            if value.ndim == 2 and value.shape[1] == mask.shape[1]:
                value = value[:, first:last]
            value = value.contiguous()
        batch[name] = _moved(value, device) if torch.is_tensor(value) else value
    return batch


def cut_unpadded(features: Mapping[str, Any], places: Int64, device: Any) -> dict[str, Any]:
    """The tokens of a run of texts on the device, laid out as by transformers' DataCollatorWithFlattening."""
    import torch

    bounds = features[_BOUNDS][int(places[0]) : int(places[-1]) + 2]
    first, last, all_tokens = int(bounds[0]), int(bounds[-1]), int(features[_BOUNDS][-1])
    batch: dict[str, Any] = {}
    for name, value in features.items():
        if name.startswith("cu_seq_lens"):
            value = bounds - bounds[0]
        elif name.startswith("max_length"):
            value = int(bounds.diff().max())
        elif torch.is_tensor(value) and value.ndim == 2 and value.shape[1] == all_tokens:
            value = value[:, first:last].contiguous()
        if name == "seq_idx":  # the number of each token's text, from 0
            value = value - value[:, :1]
        batch[name] = _moved(value, device) if torch.is_tensor(value) else value
    return batch


def _moved(tensor: Any, device: Any) -> Any:
    """On the device; to a GPU from pinned memory, so that the copy waits for no work under way there."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)

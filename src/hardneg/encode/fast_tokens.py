"""Tokenises many texts as the model itself does, without a Python object for each token.

transformers pads and joins its tokenizer's results as lists of numbers, in Python: that takes several times
as long as tokenising, and on a GPU as running the model. Here they go into arrays as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardneg.encode.batches import Tokens
from hardneg.protocols import Kind
from hardneg.records import Int64

FEW_TEXTS = 64
"""Fewer are left to the model: trying its results costs as much as is gained."""
_TRIED = ("", " Upper, LOWER  and\tspace \n", "Ünï – 漢字 🙂", "[SEP] </s> <mask> <|endoftext|>", "a b")
_TRIED_OF_A_CALL = 3
_INPUTS = {"input_ids": "ids", "token_type_ids": "type_ids", "attention_mask": "attention_mask"}


@dataclass
class FastTokens:
    """Stands in for `model.preprocess` where its own results for some texts show that it may."""

    model: Any
    _ways: dict[tuple[Kind, str], _Way | None] = field(default_factory=dict)

    def __call__(self, texts: Sequence[str], kind: Kind, prompt: str) -> Tokens | None:
        """The tokens of the texts; None where only the model itself can make them."""
        if len(texts) < FEW_TEXTS or not hasattr(self._tokenizer, "encode_batch_fast"):
            return None
        if (kind, prompt) not in self._ways:
            self._ways[kind, prompt] = self._try([*_TRIED, *texts[:_TRIED_OF_A_CALL]], kind, prompt)
        way = self._ways[kind, prompt]
        return None if way is None else way.tokens(texts)

    @property
    def _tokenizer(self) -> Any:
        return getattr(getattr(self.model, "tokenizer", None), "backend_tokenizer", None)

    def _try(self, texts: list[str], kind: Kind, prompt: str) -> _Way | None:
        """The way that gives what the model gives for these texts."""
        expected = dict(self.model.preprocess(texts, prompt=prompt, task=kind))
        shape = getattr(expected.get("attention_mask"), "shape", None)
        if "input_ids" not in expected or shape is None or len(shape) != 2:
            return None
        way = _Way.after(self._tokenizer, prompt, expected)
        found = way.tokens(texts).features
        return way if all(_same(found[name], value) for name, value in expected.items()) else None


@dataclass(frozen=True)
class _Way:
    """How the texts of one kind and prompt are tokenised.

    truncation  the tokenizer's setting, which another kind may change
    padding     what stands where a text has no token, by the name of the input
    on_left     whether that stands before the text
    beside      what the model takes besides: the same for all texts
    """

    tokenizer: Any
    prompt: str
    truncation: dict[str, Any] | None
    padding: dict[str, int]
    on_left: bool
    beside: dict[str, Any]

    @classmethod
    def after(cls, tokenizer: Any, prompt: str, features: dict[str, Any]) -> _Way:
        """From how a call of the model's own has left its tokenizer."""
        padding = tokenizer.padding or {}
        fill = {
            "input_ids": int(padding.get("pad_id", 0)),
            "token_type_ids": int(padding.get("pad_type_id", 0)),
        }
        return cls(
            tokenizer,
            prompt,
            tokenizer.truncation,
            {name: fill.get(name, 0) for name in features if name in _INPUTS},
            padding.get("direction") == "left",
            {name: value for name, value in features.items() if name not in _INPUTS},
        )

    def tokens(self, texts: Sequence[str]) -> Tokens:
        self.tokenizer.no_padding()
        if self.truncation is None:
            self.tokenizer.no_truncation()
        elif self.tokenizer.truncation != self.truncation:
            self.tokenizer.enable_truncation(**self.truncation)
        encodings = self.tokenizer.encode_batch_fast([self.prompt + text for text in texts])
        lengths = np.fromiter(map(len, encodings), np.int64, len(texts))
        places = np.arange(lengths.max(initial=0))
        if self.on_left:
            used = places >= (lengths.max(initial=0) - lengths)[:, np.newaxis]
        else:
            used = places < lengths[:, np.newaxis]
        features = {name: self._padded(name, encodings, lengths, used) for name in self.padding}
        return Tokens(texts, self.prompt, {**features, **self.beside}, lengths, self._cut(encodings, lengths))

    def _padded(self, name: str, encodings: list[Any], lengths: Int64, used: NDArray[np.bool_]) -> Any:
        import torch

        if name == "attention_mask":
            return torch.from_numpy(used.astype(np.int64))
        numbers = chain.from_iterable(getattr(encoding, _INPUTS[name]) for encoding in encodings)
        padded = np.full(used.shape, self.padding[name], np.int64)
        padded[used] = np.fromiter(numbers, np.int64, int(lengths.sum()))
        return torch.from_numpy(padded)

    def _cut(self, encodings: list[Any], lengths: Int64) -> NDArray[np.int8]:
        """1 where a text was cut to the longest that is allowed: only one of that length can have been."""
        cut = np.zeros(len(encodings), np.int8)
        if self.truncation is not None:
            for place in np.flatnonzero(lengths >= self.truncation["max_length"]).tolist():
                cut[place] = len(encodings[place].overflowing) > 0
        return cut


def _same(found: Any, expected: Any) -> bool:
    import torch

    if torch.is_tensor(expected):
        return bool(torch.is_tensor(found) and found.dtype == expected.dtype and torch.equal(found, expected))
    return bool(found == expected)

"""Students that fine-tune a bi-encoder with sentence-transformers' trainer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, cast, get_args

import numpy as np

from hardneg.errors import MissingExtraError, ModelError, UsageError
from hardneg.protocols import Kind, Ranker, Scorer, Studied
from hardneg.records import Budget, Float32, Int32, Lesson
from hardneg.trialing.fit import Examples, Texts, fit, takes_bf16
from hardneg.trialing.masked_loss import contrastive_loss, similarity_function
from hardneg.trialing.options import LossName
from hardneg.trialing.ranking import ranked
from hardneg.trialing.training_rows import TrainingRows, training_rows

TEXTS_A_BATCH = 64
"""When vectors are made, not learned."""
UNTAUGHT: tuple[LossName, ...] = ("cached-mnrl", "gist")
"""Losses that cannot take a teacher's scores."""
_VERSIONS = ("sentence-transformers", "transformers", "torch")


@dataclass
class FineTuned:
    """`protocols.Student`: all the weights of a bi-encoder are trained, each time from where they were.

    model                a SentenceTransformer, which is copied and stays as it is
    fingerprint_of_model its content, as the caller knows it
    loss                 mnrl         contrastive; documents of other queries that are known to answer a
                                      query do not count, and each negative counts as much as its weight;
                                      where the lesson has a teacher's scores, the divergence from those
                                      is added (`distillation`)
                         cached-mnrl  the library's CachedMultipleNegativesRankingLoss: batches of any size
                                      in little memory. It knows neither of known positives nor of weights
                         gist         the library's CachedGISTEmbedLoss (that of GISTEmbedLoss, for any number
                                      of negatives): what the untrained model finds closer than the positive
                                      does not count. It always compares by cosine, and knows of no weights
                         margin-mse   the library's MarginMSELoss: the teacher's score of the positive minus
                                      those of the negatives is learned; no temperature, no weights. The
                                      teacher is asked for those that the lesson has no score of
    device               cpu, cuda, mps, ...; default: the best there is
    teacher              of margin-mse

    A query with fewer negatives than others is filled up (`training_rows.filled`). Gradients are clipped at
    length 1, and AdamW decays no weights: the trainer's defaults. On a GPU that can, training (not ranking)
    computes in bfloat16.
    """

    model: Any
    fingerprint_of_model: str
    query_prompt: str = ""
    document_prompt: str = ""
    loss: LossName = "mnrl"
    device: str | None = None
    teacher: Scorer | None = None
    name: str = "full"
    at_once: int = 1
    _taught: dict[tuple[str, str], float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.loss not in get_args(LossName):
            raise UsageError(f"trial: no loss {self.loss!r}; there are {', '.join(get_args(LossName))}")
        if find_spec("accelerate") is None:
            raise MissingExtraError("the student full", "train")
        if self.loss == "margin-mse" and self.teacher is None:
            raise UsageError("trial: loss margin-mse needs a teacher; name a cross-encoder")

    def fingerprint(self) -> Mapping[str, Any]:
        teacher = None if self.teacher is None else dict(self.teacher.fingerprint())
        return {
            "student": self.name,
            "model": self.fingerprint_of_model,
            "prompts": [self.query_prompt, self.document_prompt],
            "loss": self.loss,
            "teacher": teacher,
            "precision": "bf16" if self._may_leave_cpu and takes_bf16() else "float32",
            "versions": {name: version(name) for name in _VERSIONS},
        }

    def untrained(self, data: Studied) -> Ranker:
        return self._ranker(data, self._untouched, "its weights are damaged")

    def train(self, data: Studied, lesson: Lesson, budget: Budget) -> Ranker:
        """Raises ModelError where the loss or a vector is NaN or infinite, UsageError for an unfit lesson."""
        if lesson.teacher is not None and self.loss in UNTAUGHT:
            raise UsageError(f"loss {self.loss} takes no teacher scores; mnrl does")
        rows = training_rows(lesson, budget)
        model = copy.deepcopy(self._untouched)
        label = self._label(data, rows)
        fit(
            model,
            self._loss(model, rows, lesson, budget),
            Examples(data, rows, label),
            (self.query_prompt, self.document_prompt),
            rows.batch,
            budget,
            on_cpu=not self._may_leave_cpu,
        )
        return self._ranker(data, model, f"try a learning rate below {budget.learning_rate:g}")

    # -- the model ------------------------------------------------------------------------------------

    @property
    def _may_leave_cpu(self) -> bool:
        return self.device is None or not self.device.startswith("cpu")

    @cached_property
    def _untouched(self) -> Any:
        own = copy.deepcopy(self.model).float().eval()
        return own if self.device is None else own.to(self.device)

    def _ranker(self, data: Studied, model: Any, advice: str) -> Ranker:
        def documents(rows: Int32) -> Float32:
            return self._encode(model, data.document_texts(rows), "document", advice)

        def rank(query: Int32, pool: Int32, depth: int) -> Int32:
            queries = self._encode(model, data.query_texts(query), "query", advice)
            return ranked(queries, documents, pool, depth)

        return rank

    def _encode(self, model: Any, texts: list[str], kind: Kind, advice: str) -> Float32:
        """float32 (texts, dimension), of length 1 where the model compares by cosine."""
        encode = model.encode_query if kind == "query" else model.encode_document
        prompt = self.query_prompt if kind == "query" else self.document_prompt
        found = encode(texts, prompt=prompt, batch_size=TEXTS_A_BATCH, show_progress_bar=False)
        vectors: Float32 = np.asarray(found, np.float32)
        if not np.isfinite(vectors).all():
            bad = int((~np.isfinite(vectors).all(axis=1)).sum())
            raise ModelError(
                f"trial: student {self.name!r} gave NaN or infinity for {bad} of {len(texts)} texts; {advice}"
            )
        if model.similarity_fn_name == "cosine":
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
        return vectors

    # -- the loss -------------------------------------------------------------------------------------

    def _loss(self, model: Any, rows: TrainingRows, lesson: Lesson, budget: Budget) -> Any:
        if self.loss == "mnrl":
            return contrastive_loss(model, rows, lesson.known, 1 / budget.temperature)
        try:
            return self._library_loss(model, budget.temperature)
        except ValueError as error:
            raise UsageError(
                f"trial: student {self.name!r} cannot be trained with loss {self.loss} ({error}); try mnrl"
            ) from error

    def _library_loss(self, model: Any, temperature: float) -> Any:
        from sentence_transformers.sentence_transformer import losses

        if self.loss == "cached-mnrl":
            similarity = similarity_function(model)
            return losses.CachedMultipleNegativesRankingLoss(model, 1 / temperature, similarity)
        if self.loss == "gist":
            return losses.CachedGISTEmbedLoss(model, copy.deepcopy(self._untouched), temperature)
        return losses.MarginMSELoss(model)

    def _label(self, data: Studied, rows: TrainingRows) -> Callable[[int], Any] | None:
        if self.loss == "mnrl":
            return int
        if self.loss != "margin-mse":
            return None
        margins = self._margins(data, rows)
        return lambda number: margins[number].tolist()

    def _margins(self, data: Studied, rows: TrainingRows) -> Float32:
        """The teacher's score of each row's target minus those of its negatives: (rows, negatives).

        The teacher is asked for what the rows have no score of.
        """
        if rows.doc.shape[1] == 1:
            raise UsageError("trial: loss margin-mse learns from negatives, and this lesson has none")
        scores = np.full(rows.doc.shape, np.nan, np.float32) if rows.score is None else rows.score.copy()
        row, column = np.nonzero(np.isnan(scores))
        query, doc = rows.query[row], rows.doc[row, column]
        queries, documents = Texts.of(query, data.query_texts), Texts.of(doc, data.document_texts)
        pairs = [
            (queries[one], documents[other]) for one, other in zip(query.tolist(), doc.tolist(), strict=True)
        ]
        self._teach(pairs)
        scores[row, column] = [self._taught[pair] for pair in pairs]
        margins: Float32 = scores[:, :1] - scores[:, 1:]
        return margins

    def _teach(self, pairs: list[tuple[str, str]]) -> None:
        """Score the pairs that no training before asked for."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._taught]
        if new:
            scores = cast("Scorer", self.teacher).score(new)
            self._taught.update(zip(new, scores.tolist(), strict=True))

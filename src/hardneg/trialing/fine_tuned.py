"""The student that is a model: fine-tuned with sentence-transformers' own trainer, then asked to encode.

`mnrl` is the cross-entropy of MultipleNegativesRankingLoss with the masks and weights of `steps`. The other
losses are the library's classes as they are; they know of neither, and want as many negatives of each query.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hardneg.errors import ModelError, UsageError
from hardneg.protocols import Ranker, Scorer, Studied
from hardneg.records import NO_DOC, Budget, Float32, Int32, Lesson
from hardneg.trialing.batches import batches
from hardneg.trialing.ranking import ranked
from hardneg.trialing.steps import Steps

Loss = Literal["mnrl", "cached-mnrl", "gist", "margin-mse"]
WARM_UP = 0.1
MINI_BATCH = 32
"""cached-mnrl: texts encoded at once."""


@dataclass(frozen=True)
class FineTuned:
    """`protocols.Student` on sentence-transformers.

    make       gives an untrained SentenceTransformer, another one each time
    mark       decides that model
    teacher    for `margin-mse`: scores pairs of texts
    unit       vectors are compared by their direction
    """

    make: Callable[[], Any]
    mark: Mapping[str, Any]
    unit: bool
    query_prompt: str = ""
    document_prompt: str = ""
    loss: Loss = "mnrl"
    teacher: Scorer | None = field(default=None, repr=False)
    batch_size: int = 32
    name: str = "full"
    at_once: int = 1

    def fingerprint(self) -> Mapping[str, Any]:
        teacher = None if self.teacher is None else dict(self.teacher.fingerprint())
        prompts = [self.query_prompt, self.document_prompt]
        return {
            "student": self.name,
            "model": dict(self.mark),
            "prompts": prompts,
            "loss": self.loss,
            "teacher": teacher,
            "version": 1,
        }

    def untrained(self, data: Studied) -> Ranker:
        return self._ranker(self.make().eval(), data, "untrained")

    def train(self, data: Studied, lesson: Lesson, budget: Budget) -> Ranker:
        """Raises ModelError where the model comes to give NaN or infinity, UsageError for `margin-mse`
        without a teacher."""
        import torch

        torch.manual_seed(budget.seed)
        model = self.make()
        rows = _Rows.of(lesson, budget, ragged=self.loss == "mnrl")
        loss = self._loss(model, lesson, budget, rows.negatives.shape[1])
        labels = rows.number if self.loss == "mnrl" else None
        if self.loss == "margin-mse":
            labels = self._margins(data, rows)
        self._fit(model, loss, self._dataset(data, rows, labels), budget, rows.batch)
        return self._ranker(model.eval(), data, f"at learning rate {budget.learning_rate:g}")

    # -- training -------------------------------------------------------------------------------------

    def _loss(self, model: Any, lesson: Lesson, budget: Budget, negatives: int) -> Any:
        from sentence_transformers.sentence_transformer import losses

        scale = 1 / budget.temperature
        if self.loss == "mnrl":
            return _masked_loss(model, Steps(lesson, budget), budget.temperature, self.unit)
        if self.loss == "cached-mnrl":
            return losses.CachedMultipleNegativesRankingLoss(model, scale=scale, mini_batch_size=MINI_BATCH)
        if self.loss == "gist":
            return losses.GISTEmbedLoss(model, self.make().eval(), temperature=budget.temperature)
        if self.teacher is None or not negatives:
            raise UsageError(
                "the loss margin-mse learns from the scores of a teacher for negatives: mine with "
                "--cross-encoder, and compare selections that have some"
            )
        return losses.MarginMSELoss(model)

    def _dataset(self, data: Studied, rows: _Rows, labels: Any) -> Any:
        from datasets import Dataset

        texts = {
            "anchor": data.query_texts(rows.query),
            "positive": _texts(data, rows.positive),
            **{
                f"negative_{place + 1}": _texts(data, rows.negatives[:, place])
                for place in range(rows.negatives.shape[1])
            },
        }
        return Dataset.from_dict(texts if labels is None else {**texts, "label": labels.tolist()})

    def _margins(self, data: Studied, rows: _Rows) -> Float32:
        """The teacher's score of the positive less that of each negative: float32 (rows, negatives)."""
        assert self.teacher is not None  # noqa: S101  # `_loss` has refused that
        query = data.query_texts(rows.query)
        columns = [rows.positive, *rows.negatives.T]
        scores = [
            self.teacher.score(list(zip(query, _texts(data, column), strict=True))) for column in columns
        ]
        found: Float32 = scores[0][:, None] - np.stack(scores[1:], axis=1)
        return found

    def _fit(self, model: Any, loss: Any, dataset: Any, budget: Budget, batch: int) -> None:
        from sentence_transformers import SentenceTransformerTrainingArguments
        from transformers.trainer_callback import PrinterCallback

        prompts = {
            name: self.query_prompt if name == "anchor" else self.document_prompt
            for name in dataset.column_names
            if name != "label"
        }
        with tempfile.TemporaryDirectory(prefix="hardneg-") as folder:
            arguments = SentenceTransformerTrainingArguments(
                output_dir=folder,
                max_steps=budget.steps,
                per_device_train_batch_size=batch,
                learning_rate=budget.learning_rate,
                warmup_steps=max(1, round(WARM_UP * budget.steps)),
                seed=budget.seed,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                bf16=_bfloat16(model.device),
                use_cpu=model.device.type == "cpu",
                batch_sampler=_in_order,
                prompts=prompts if any(prompts.values()) else None,
            )
            trainer = _trainer_class()(model=model, args=arguments, train_dataset=dataset, loss=loss)
            trainer.remove_callback(PrinterCallback)
            trainer.train()

    # -- ranking --------------------------------------------------------------------------------------

    def _ranker(self, model: Any, data: Studied, when: str) -> Ranker:
        def encoded(texts: Sequence[str], prompt: str) -> Float32:
            vectors = model.encode(
                list(texts),
                prompt=prompt or None,
                batch_size=self.batch_size,
                normalize_embeddings=self.unit,
                show_progress_bar=False,
            )
            found = np.asarray(vectors, np.float32)
            if not np.isfinite(found).all():
                raise ModelError(f"the student {self.name!r} gives NaN or infinity {when}; take a lower one")
            return found

        def documents(rows: Int32) -> Float32:
            return encoded(data.document_texts(rows), self.document_prompt)

        def rank(query: Int32, pool: Int32, depth: int) -> Int32:
            return ranked(encoded(data.query_texts(query), self.query_prompt), documents, pool, depth)

        return rank


# -- what is learned from, row by row ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """The rows of the training table in the order of training, `batch` of them a step.

    query      int32 (rows,), rows of the trial's queries; positive likewise, of the corpus
    negatives  int32 (rows, negatives): NO_DOC where there is none
    """

    query: Int32
    positive: Int32
    negatives: Int32
    batch: int

    @classmethod
    def of(cls, lesson: Lesson, budget: Budget, ragged: bool) -> _Rows:
        """ragged: queries may have fewer negatives than others; else they are filled up."""
        place, positive = batches(lesson, budget.steps, budget.batch_size, budget.seed)
        negatives = lesson.negatives if ragged else filled(lesson, budget.seed)
        row = place.ravel()
        return cls(lesson.query[row], positive.ravel(), negatives[row], place.shape[1])

    @property
    def number(self) -> Any:
        return np.arange(len(self.query))


def filled(lesson: Lesson, seed: int) -> Int32:
    """The negatives, filled up with random documents of the lesson: never a positive of the query.

    What a query is filled with depends on the seed, its row and the lesson's documents.
    """
    out, documents = lesson.negatives.copy(), lesson.documents
    for row in np.flatnonzero((out == NO_DOC).any(axis=1)):
        query = int(lesson.query[row])
        known = lesson.known.doc[lesson.known.start[query] : lesson.known.start[query + 1]]
        others = np.setdiff1d(documents, np.concatenate([known, lesson.positives[row], out[row]]))
        if not len(others):
            raise UsageError("too few documents to give every query the same number of negatives; take mnrl")
        draws = np.random.Generator(np.random.Philox(key=np.array([seed, query], np.uint64)))
        gap = np.flatnonzero(out[row] == NO_DOC)
        out[row, gap] = draws.choice(others, len(gap), replace=len(others) < len(gap))
    return out


def _texts(data: Studied, rows: Int32) -> list[str]:
    """ "" where there is no document; what stands there is masked."""
    there = rows != NO_DOC
    found = iter(data.document_texts(rows[there]))
    return [next(found) if one else "" for one in there.tolist()]


def _bfloat16(device: Any) -> bool:
    import torch

    return bool(device.type == "cuda" and torch.cuda.is_bf16_supported())


def _trainer_class() -> Any:
    """The library's, without what it works out for a model card that nobody will see."""
    from sentence_transformers import SentenceTransformerTrainer

    class Trainer(SentenceTransformerTrainer):  # type: ignore[misc]  # the library has no types
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            pass

    return Trainer


def _in_order(dataset: Any, batch_size: int, drop_last: bool, **others: Any) -> Any:
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from torch.utils.data import SequentialSampler

    return DefaultBatchSampler(
        SequentialSampler(dataset), batch_size=batch_size, drop_last=drop_last, **others
    )


def _masked_loss(model: Any, steps: Steps, temperature: float, unit: bool) -> Any:
    """The loss of `mnrl` as a torch module; a batch's label is the number of its rows."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    class MaskedLoss(torch.nn.Module):  # type: ignore[misc]  # torch is not looked into
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, features: Sequence[Any], labels: Any) -> Any:
            vectors = [self.model(one)["sentence_embedding"] for one in features]
            if unit:
                vectors = [normalize(one, dim=1) for one in vectors]
            query, positive, *negatives = vectors
            count = len(query)
            documents = [positive]
            if negatives:
                documents.append(torch.stack(negatives, dim=1).flatten(0, 1))
            bias = torch.from_numpy(steps[int(labels[0]) // count].bias).to(query.device)
            logits = query @ torch.cat(documents).T / temperature + bias
            return cross_entropy(logits, torch.arange(count, device=query.device))

    return MaskedLoss()

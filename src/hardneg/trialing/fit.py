"""One training by sentence-transformers' own trainer: given rows in a given order, and nothing kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardneg.errors import ModelError
from hardneg.leftovers import scratch_folder
from hardneg.protocols import Studied
from hardneg.records import Budget, Int32
from hardneg.trialing.contrastive import WARM_UP
from hardneg.trialing.training_rows import TrainingRows


@dataclass(frozen=True)
class Texts:
    """The texts of some rows, each fetched once. row: ascending, as long as text."""

    row: Int32
    text: Sequence[str]

    @classmethod
    def of(cls, rows: Int32, fetch: Callable[[Int32], list[str]]) -> Texts:
        distinct = np.unique(rows)
        return cls(distinct, fetch(distinct))

    def __getitem__(self, row: int) -> str:
        return self.text[int(np.searchsorted(self.row, row))]


class Examples:
    """The rows of a training as the library's losses take them: named columns of texts, and a label.

    `label` gives that of a row by its number; None where the loss takes none.
    """

    def __init__(self, data: Studied, rows: TrainingRows, label: Callable[[int], Any] | None) -> None:
        self._rows = rows
        self._queries = Texts.of(rows.query, data.query_texts)
        self._documents = Texts.of(rows.doc, data.document_texts)
        self._label = label
        negatives = rows.doc.shape[1] - 1
        self.documents = ("positive", *(f"negative_{place}" for place in range(1, negatives + 1)))

    def __getitem__(self, number: int) -> Mapping[str, Any]:
        texts = [self._documents[row] for row in self._rows.doc[number].tolist()]
        example = {"anchor": self._queries[int(self._rows.query[number])]}
        example |= dict(zip(self.documents, texts, strict=True))
        return example if self._label is None else {**example, "label": self._label(number)}

    def by_column(self, query: str, document: str) -> dict[str, str]:
        """What belongs to each column, by its kind."""
        return {"anchor": query} | dict.fromkeys(self.documents, document)


class _Collator:
    """The trainer's own collator, given the texts of rows whose numbers are all that the dataset holds."""

    def __init__(self, inner: Any, examples: Examples) -> None:
        self._inner = inner
        self._examples = examples
        self.valid_label_columns = inner.valid_label_columns

    def __call__(self, features: Sequence[Mapping[str, int]]) -> Any:
        return self._inner([self._examples[feature["row"]] for feature in features])


def fit(
    model: Any,
    loss: Any,
    examples: Examples,
    prompts: tuple[str, str],
    batch_size: int,
    budget: Budget,
    on_cpu: bool,
) -> None:
    """Train the model where it stands, for `budget.steps` batches of `batch_size` rows in their order.

    prompts  of queries and of documents
    on_cpu   stay on the CPU; else the trainer takes an accelerator where there is one

    The learning rate rises over the first tenth and falls to nothing, both on a straight line. Python's,
    numpy's and torch's own generators are seeded. Raises ModelError where the loss is no finite number.
    """
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer
    from transformers.trainer_callback import PrinterCallback

    # Examples for the card of a model that is never saved; making them draws a progress bar.
    model.model_card_data.widget = [{"text": ""}]
    with scratch_folder() as folder:
        trainer = SentenceTransformerTrainer(
            model=model,
            args=_arguments(str(folder), examples, prompts, batch_size, budget, on_cpu),
            train_dataset=Dataset.from_dict({"row": list(range(budget.steps * batch_size))}),
            loss=loss,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.data_collator = _Collator(trainer.data_collator, examples)
        trained = _run(trainer)
    if not math.isfinite(trained.training_loss):
        raise ModelError(_diverged(budget.learning_rate))
    model.eval()


def _arguments(
    folder: str,
    examples: Examples,
    prompts: tuple[str, str],
    batch_size: int,
    budget: Budget,
    on_cpu: bool,
) -> Any:
    from sentence_transformers import SentenceTransformerTrainingArguments

    arguments = SentenceTransformerTrainingArguments(
        output_dir=folder,
        max_steps=budget.steps,
        per_device_train_batch_size=batch_size,
        learning_rate=budget.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(WARM_UP * budget.steps),
        seed=budget.seed % (1 << 32),
        bf16=not on_cpu and takes_bf16(),
        use_cpu=on_cpu,
        dataloader_pin_memory=_has_gpu() and not on_cpu,
        prompts=examples.by_column(*prompts),
        router_mapping=examples.by_column("query", "document"),
        batch_sampler=_in_order,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        # Else a loss that is NaN is replaced by the mean before anyone sees it.
        logging_nan_inf_filter=False,
    )
    # On several GPUs the trainer would make the batch as many times as large.
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def _in_order(
    dataset: Any,
    batch_size: int,
    drop_last: bool,
    valid_label_columns: list[str] | None = None,
    generator: Any = None,
    seed: int = 0,
) -> Any:
    """The trainer's batch sampler: the rows as they stand."""
    from torch.utils.data import BatchSampler, SequentialSampler

    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def _run(trainer: Any) -> Any:
    try:
        return trainer.train()
    except (RuntimeError, IndexError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"trial: training failed ({lines[0]}); try a smaller batch size or max_length"
        ) from error


def _diverged(learning_rate: float) -> str:
    return (
        f"trial: training at a learning rate of {learning_rate:g} gave a loss that is NaN or infinite; "
        "try a lower one"
    )


def takes_bf16() -> bool:
    """Whether there is a GPU that computes in bfloat16 by itself."""
    import torch

    return _has_gpu() and bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())

"""The loss is the library's where nothing is shifted, and its formula, written out, where something is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hardneg.records import Float32, Pairs
from hardneg.trialing.masked_loss import contrastive_loss
from hardneg.trialing.training_rows import TrainingRows

QUERY = np.array([7, 2, 5], np.int32)
DOC = np.array([[10, 20, 21], [11, 10, 22], [10, 23, 20]], np.int32)  # targets 10, 11, 10
SCALE = 20.0


def pairs(*known: tuple[int, int]) -> Pairs:
    array = np.array(known, np.int32).reshape(-1, 2)
    return Pairs.from_rows(array[:, 0], array[:, 1], 9)


def rows_of(doc: Any = DOC, weight: Float32 | None = None) -> TrainingRows:
    ones = np.ones(doc.shape, np.float32)
    return TrainingRows(QUERY, doc, ones if weight is None else weight, len(QUERY))


def embeddings(columns: int) -> list[Any]:
    """Of the queries, then of each column of documents: torch (3, 8), the same at every call."""
    import torch

    draw = torch.Generator().manual_seed(0)
    return [torch.randn(3, 8, generator=draw, requires_grad=True) for _ in range(1 + columns)]


def loss_of(rows: TrainingRows, known: Pairs, similarity: str = "cosine") -> tuple[float, list[Any]]:
    """The loss of a batch of all three rows, and its gradients."""
    import torch

    model = torch.nn.Identity()
    model.similarity_fn_name = similarity
    vectors = embeddings(rows.doc.shape[1])
    loss = contrastive_loss(model, rows, known, SCALE).compute_loss_from_embeddings(
        vectors, torch.tensor([0, 1, 2])
    )
    loss.backward()
    return loss.item(), [vector.grad for vector in vectors]


def by_hand(rows: TrainingRows, known: set[tuple[int, int]]) -> float:
    """- log(w e^(target) / sum of w e^(document)) in float64, one document after the other."""
    vectors = [vector.detach().double().numpy() for vector in embeddings(rows.doc.shape[1])]
    queries, *documents = [vector / np.linalg.norm(vector, axis=1, keepdims=True) for vector in vectors]
    losses = []
    for i, query in enumerate(rows.query.tolist()):
        target = np.exp(SCALE * queries[i] @ documents[0][i])
        others = 0.0
        for column, of_column in enumerate(documents):
            for j in range(len(rows.query)):
                itself = column == 0 and j == i
                if not itself and (query, int(rows.doc[j, column])) not in known:
                    weight = float(rows.weight[i, column]) if j == i else 1.0
                    others += weight * np.exp(SCALE * queries[i] @ of_column[j])
        losses.append(-np.log(target / (target + others)))
    return float(np.mean(losses))


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("columns", [1, 2, 3])
def test_with_nothing_known_and_weights_of_one_it_is_the_librarys(similarity: str, columns: int) -> None:
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import cos_sim, dot_score

    compare = {"cosine": cos_sim, "dot": dot_score}[similarity]
    library = MultipleNegativesRankingLoss(torch.nn.Identity(), SCALE, compare)
    vectors = embeddings(columns)
    wanted = library.compute_loss_from_embeddings(vectors, None)
    wanted.backward()
    loss, gradients = loss_of(rows_of(DOC[:, :columns]), pairs(), similarity)
    assert loss == pytest.approx(wanted.item(), rel=1e-6)
    for gradient, vector in zip(gradients, vectors, strict=True):
        assert torch.allclose(gradient, vector.grad, rtol=1e-4, atol=1e-6)


KNOWN = {(7, 10), (7, 22), (2, 11), (2, 20), (5, 10), (1, 23)}


def test_known_answers_do_not_count_and_negatives_count_as_their_weights() -> None:
    weight = np.array([[1, 0.25, 0.5], [1, 1, 0.125], [1, 0.75, 1]], np.float32)
    rows = rows_of(weight=weight)
    loss, _ = loss_of(rows, pairs(*KNOWN))
    assert loss == pytest.approx(by_hand(rows, KNOWN), rel=1e-5)
    assert loss != pytest.approx(loss_of(rows_of(), pairs(*KNOWN))[0], rel=1e-3)
    assert loss != pytest.approx(loss_of(rows, pairs())[0], rel=1e-3)


def test_what_does_not_count_is_not_pushed_away() -> None:
    everything = {(int(query), int(doc)) for query in QUERY for doc in DOC.ravel()} - {(2, 22)}
    _, gradients = loss_of(rows_of(), pairs(*everything))
    moved = [gradient.abs().sum(dim=1).gt(0).tolist() for gradient in gradients]
    assert moved == [[False, True, False], [False, True, False], [False] * 3, [False, True, False]]


def test_labels_say_which_rows_the_batch_holds() -> None:
    """Rows 3 to 5 of a training of six, whose weights are other than those of the first three."""
    import torch

    weight = np.concatenate([np.ones(DOC.shape), np.full(DOC.shape, 0.5)]).astype(np.float32)
    rows = TrainingRows(np.tile(QUERY, 2), np.tile(DOC, (2, 1)), weight, 3)
    loss = contrastive_loss(_cosine(), rows, pairs(), SCALE)
    second = loss.compute_loss_from_embeddings(embeddings(3), torch.tensor([3, 4, 5])).item()
    assert second == pytest.approx(by_hand(rows_of(weight=weight[3:]), set()), rel=1e-5)


def test_in_bfloat16_similarities_are_still_multiplied_in_float32() -> None:
    import torch

    loss = contrastive_loss(_cosine(), rows_of(), pairs(), SCALE)
    labels = torch.tensor([0, 1, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = loss.compute_loss_from_embeddings(embeddings(3), labels).item()
    assert mixed == loss.compute_loss_from_embeddings(embeddings(3), labels).item()


def _cosine() -> Any:
    import torch

    model = torch.nn.Identity()
    model.similarity_fn_name = "cosine"
    return model


def test_the_model_is_run_once_over_queries_and_once_over_documents() -> None:
    import torch

    seen: list[int] = []

    class Model(torch.nn.Module):
        similarity_fn_name = "cosine"

        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            seen.append(len(features["input_ids"]))
            return {"sentence_embedding": features["input_ids"].float()}

    loss: Callable[..., Any] = contrastive_loss(Model(), rows_of(), pairs(), SCALE)
    loss([{"input_ids": torch.randint(1, 9, (3, 4))} for _ in range(4)], torch.tensor([0, 1, 2]))
    assert seen == [3, 9]

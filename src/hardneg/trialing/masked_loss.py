"""The contrastive loss of a batch in which some documents answer more than one of its queries."""

from __future__ import annotations

from typing import Any

import numpy as np

from hardneg.records import Float32, Int32, Int64, Pairs
from hardneg.trialing.training_rows import TrainingRows


def known_keys(known: Pairs) -> Int64:
    """Every pair as one number, query · 2³² + document, ascending."""
    keys: Int64 = known.query.astype(np.int64) << 32 | known.doc
    return keys


def shifts(query: Int32, doc: Int32, weight: Float32, known: Int64) -> Float32:
    """What is added to the logits of a batch: float32 (queries, columns · queries).

    query   int32 (queries,)
    doc     int32 (queries, columns): each query's target, then its negatives
    weight  float32 like doc
    known   as `known_keys` gives it

    Document c of query j stands in column c · queries + j. A document known to answer query i is taken out
    (-inf) unless it is its target; a negative of query i's own gets the logarithm of its weight, which is as
    if it came so many times; all else stays as it is.
    """
    size, columns = doc.shape
    own = np.arange(size)
    shift = np.zeros((size, columns, size), np.float32)
    with np.errstate(divide="ignore"):
        shift[own, :, own] = np.log(weight)
    shift[_are_known(query, doc, known)] = -np.inf
    shift[own, 0, own] = 0
    return shift.reshape(size, columns * size)


def _are_known(query: Int32, doc: Int32, known: Int64) -> Any:
    """bool (queries, columns, queries): whether document c of query j is known to answer query i."""
    keys = query.astype(np.int64)[:, None, None] << 32 | doc.T.astype(np.int64)[None, :, :]
    if len(known) == 0:
        return np.zeros(keys.shape, np.bool_)
    return known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys


def contrastive_loss(model: Any, rows: TrainingRows, known: Pairs, scale: float) -> Any:
    """sentence-transformers' MultipleNegativesRankingLoss, its logits shifted as `shifts` says.

    The labels of a batch are the numbers of its rows in `rows`.
    """
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    keys = known_keys(known)

    class ContrastiveLoss(MultipleNegativesRankingLoss):  # type: ignore[misc]  # the library has no types
        def compute_loss_from_embeddings(self, embeddings: list[Any], labels: Any) -> Any:
            number = labels.cpu().numpy()
            shift = shifts(rows.query[number], rows.doc[number], rows.weight[number], keys)
            queries, documents = embeddings[0], torch.cat(embeddings[1:])
            # In bf16 a similarity of 0.8 is known to 0.004, which the scale would make 0.2 of a logit.
            with torch.autocast(queries.device.type, enabled=False):
                logits = self.similarity_fct(queries.float(), documents.float()) * self.scale
            logits = logits + torch.from_numpy(shift).to(logits.device)
            return torch.nn.functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))

    return ContrastiveLoss(model, scale=scale, similarity_fct=similarity_function(model))


def similarity_function(model: Any) -> Any:
    """How the model compares vectors, as the library's losses take it."""
    from sentence_transformers import util

    return util.dot_score if model.similarity_fn_name == "dot" else util.cos_sim

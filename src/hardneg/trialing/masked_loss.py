"""The contrastive loss of a batch in which some documents answer more than one of its queries."""

from __future__ import annotations

from typing import Any

import numpy as np

from hardneg.records import Pairs
from hardneg.trialing.distillation import divergence, targets
from hardneg.trialing.masks import shifts
from hardneg.trialing.training_rows import TrainingRows


def contrastive_loss(model: Any, rows: TrainingRows, known: Pairs, scale: float) -> Any:
    """sentence-transformers' MultipleNegativesRankingLoss, its logits shifted as `shifts` says; and where the
    rows have a teacher's scores the divergence from those (`distillation`).

    The labels of a batch are the numbers of its rows in `rows`.
    """
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    class ContrastiveLoss(MultipleNegativesRankingLoss):  # type: ignore[misc]  # the library has no types
        def compute_loss_from_embeddings(self, embeddings: list[Any], labels: Any) -> Any:
            number = labels.cpu().numpy()
            shift = shifts(rows.query[number], rows.doc[number], rows.weight[number], known)
            queries, documents = embeddings[0], torch.cat(embeddings[1:])
            # In bf16 a similarity of 0.8 is known to 0.004, which the scale would make 0.2 of a logit.
            with torch.autocast(queries.device.type, enabled=False):
                similar = self.similarity_fct(queries.float(), documents.float()) * self.scale
            # Here document c of query j stands in column c · queries + j.
            in_columns = shift.transpose(0, 2, 1).reshape(similar.shape)
            logits = similar + torch.from_numpy(in_columns).to(similar.device)
            answers = torch.arange(len(logits), device=logits.device)
            loss = torch.nn.functional.cross_entropy(logits, answers)
            if rows.score is None:
                return loss
            own = similar.reshape(len(number), -1, len(number)).diagonal(dim1=0, dim2=2).T
            counts = np.isfinite(shift[np.arange(len(number)), np.arange(len(number))])
            return loss + divergence(own, targets(rows.score[number], counts))

    return ContrastiveLoss(model, scale=scale, similarity_fct=similarity_function(model))


def similarity_function(model: Any) -> Any:
    """How the model compares vectors, as the library's losses take it."""
    from sentence_transformers import util

    return util.dot_score if model.similarity_fn_name == "dot" else util.cos_sim

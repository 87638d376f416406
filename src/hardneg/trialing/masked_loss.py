"""The contrastive loss of a batch in which some documents answer more than one of its queries."""

from __future__ import annotations

from typing import Any

from hardneg.records import Pairs
from hardneg.trialing.masks import shifts
from hardneg.trialing.training_rows import TrainingRows


def contrastive_loss(model: Any, rows: TrainingRows, known: Pairs, scale: float) -> Any:
    """sentence-transformers' MultipleNegativesRankingLoss, its logits shifted as `shifts` says.

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
                logits = self.similarity_fct(queries.float(), documents.float()) * self.scale
            # Here document c of query j stands in column c · queries + j.
            in_columns = shift.transpose(0, 2, 1).reshape(logits.shape)
            logits = logits + torch.from_numpy(in_columns).to(logits.device)
            return torch.nn.functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))

    return ContrastiveLoss(model, scale=scale, similarity_fct=similarity_function(model))


def similarity_function(model: Any) -> Any:
    """How the model compares vectors, as the library's losses take it."""
    from sentence_transformers import util

    return util.dot_score if model.similarity_fn_name == "dot" else util.cos_sim

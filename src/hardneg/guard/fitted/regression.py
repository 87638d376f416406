"""Logistic regression by Newton's method, pulled towards weights that are believed beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardneg.records import Float32, Float64

ROUNDS = 25
CHUNK = 8192


@dataclass(frozen=True)
class Weights:
    """Log-odds = intercept + Σ weight (value - mean) / scale, over named columns; float64 (columns,) each."""

    columns: tuple[str, ...]
    mean: Float64
    scale: Float64
    weight: Float64
    intercept: float

    def log_odds(self, values: Float32) -> Float64:
        """float32 (..., columns) → float64 (...). Added column by column, so no shape changes a bit."""
        out = np.full(values.shape[:-1], self.intercept, np.float64)
        for number in range(len(self.columns)):
            out += (values[..., number] - self.mean[number]) * (self.weight[number] / self.scale[number])
        return out

    def as_dict(self) -> dict[str, Any]:
        parts = {"mean": self.mean, "scale": self.scale, "weight": self.weight}
        numbers = {name: [float(f"{value:.6g}") for value in part] for name, part in parts.items()}
        return {"columns": list(self.columns), "intercept": float(f"{self.intercept:.6g}"), **numbers}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Weights:
        mean, scale, weight = (np.array(found[name], np.float64) for name in ("mean", "scale", "weight"))
        return cls(tuple(found["columns"]), mean, scale, weight, float(found["intercept"]))


def fit(
    values: Float32,
    label: Float64,
    share: Float64,
    columns: Sequence[str],
    *,
    prior: Weights | None = None,
    strength: float = 1.0,
) -> Weights:
    """The weights that are likeliest given the rows and a normal prior (maximum a posteriori).

    values    float32 (rows, columns)
    label     float64 (rows,), 0 or 1
    share     float64 (rows,), how much each row counts
    prior     centre of the prior; without one, 0. Its mean and scale are used for standardising
    strength  precision of the prior on standardised columns: about as many rows as it is worth
    """
    if prior is None:
        total = share.sum()
        mean = (share @ values) / total
        scale = np.sqrt((share @ (values - mean) ** 2) / total)
        prior = Weights(tuple(columns), mean, np.where(scale > 1e-6, scale, 1.0), np.zeros(len(columns)), 0.0)
    centre = np.append(prior.weight, 0.0)
    pull = np.append(np.full(len(columns), strength), 0.0)
    weight = centre.copy()
    rate = float((share @ label) / share.sum())
    weight[-1] = np.log(max(rate, 1e-9) / max(1 - rate, 1e-9))
    for _ in range(ROUNDS):
        gradient, curvature = _derivatives(values, label, share, weight, prior)
        gradient -= pull * (weight - centre)
        step = np.linalg.solve(curvature + np.diag(pull + 1e-9), gradient)
        weight += step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return Weights(tuple(columns), prior.mean, prior.scale, weight[:-1], float(weight[-1]))


def _derivatives(
    values: Float32, label: Float64, share: Float64, weight: Float64, prior: Weights
) -> tuple[Float64, Float64]:
    """Gradient and negative Hessian of the log-likelihood, a chunk of rows at a time."""
    size = len(weight)
    gradient, curvature = np.zeros(size), np.zeros((size, size))
    for start in range(0, len(label), CHUNK):
        part = slice(start, start + CHUNK)
        rows = np.ones((len(label[part]), size))
        rows[:, :-1] = (values[part] - prior.mean) / prior.scale
        chance = 1 / (1 + np.exp(-np.clip(rows @ weight, -40, 40)))
        gradient += rows.T @ (share[part] * (label[part] - chance))
        curvature += rows.T @ (rows * (share[part] * chance * (1 - chance))[:, None])
    return gradient, curvature

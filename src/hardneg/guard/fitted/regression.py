"""Logistic regression by Newton's method, pulled towards weights that are believed beforehand.

Rows without a label may be positives too. With `ratio` such ones for each labelled one, and odds e^z of a
labelled positive against a negative, a row is labelled with probability e^z / (1 + (1 + ratio) e^z)
(presence-only data: Ward et al. 2009, equation 8; with ratio 0 the usual logistic regression).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardneg.records import Float32, Float64

ROUNDS = 25
HALVINGS = 12
SMALLEST = 0.25
"""Standard deviation that a column counts as having at least: one that hardly varies gets no great weight."""
CHUNK = 8192
PARTLY = 0.9
"""Of the curvature that is lost because rows without a label may be either, so much is taken off."""
CLOSE = 1e-7
"""A step that gains less than this share of the height is the last."""


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
    ratio: float = 0.0,
    start: Weights | None = None,
) -> tuple[Weights, float]:
    """The weights that are likeliest given the rows and a normal prior (maximum a posteriori), and the
    logarithm of their posterior, but for a constant.

    values    float32 (rows, columns)
    label     float64 (rows,), 0 or 1
    share     float64 (rows,), how much each row counts
    prior     centre of the prior; without one, 0
    strength  precision of the prior, on columns standardised by these rows
    ratio     positives among the rows labelled 0 for each row labelled 1
    start     weights to begin with: saves rounds, changes nothing else
    """
    total = share.sum()
    mean = (share @ values) / total
    scale = np.sqrt((share @ (values - mean) ** 2) / total)
    scale = np.maximum(scale, SMALLEST)
    own = Weights(tuple(columns), mean, scale, np.zeros(len(columns)), 0.0)
    centre = np.zeros(len(columns) + 1)
    if prior is not None:
        centre[:-1] = prior.weight / prior.scale * scale
    pull = np.append(np.full(len(columns), strength), 0.0)
    rows = _Rows(values, label, share, own, ratio)
    weight = _beginning(rows, start)
    height = rows.height(weight, centre, pull)
    for _ in range(ROUNDS):
        gradient, curvature = rows.derivatives(weight)
        gradient -= pull * (weight - centre)
        step = np.linalg.solve(curvature + np.diag(pull + 1e-9), gradient)
        for _ in range(HALVINGS):
            higher = rows.height(weight + step, centre, pull)
            if higher >= height - 1e-9 * abs(height):
                break
            step = step / 2
        gained = higher - height
        weight, height = weight + step, higher
        if gained < CLOSE * abs(height):
            break
    return Weights(tuple(columns), mean, scale, weight[:-1], float(weight[-1])), height


def _beginning(rows: _Rows, start: Weights | None) -> Float64:
    """Weights and intercept to begin with: those of `start` for these rows' scale, or 0 and the rate."""
    weight = np.zeros(len(rows.own.columns) + 1)
    if start is None:
        rate = float((rows.share @ rows.label) / rows.share.sum())
        weight[-1] = np.log(max(rate, 1e-9) / max(1 - rate, 1e-9))
        return weight
    slope = start.weight / start.scale
    weight[:-1] = slope * rows.own.scale
    weight[-1] = start.intercept + slope @ (rows.own.mean - start.mean)
    return weight


@dataclass(frozen=True)
class _Rows:
    """Labelled rows, looked at a chunk at a time, standardised by `own`."""

    values: Float32
    label: Float64
    share: Float64
    own: Weights
    ratio: float

    def _chunks(self) -> Iterator[tuple[slice, Float64]]:
        for start in range(0, len(self.label), CHUNK):
            part = slice(start, start + CHUNK)
            rows = np.ones((len(self.label[part]), len(self.own.columns) + 1))
            rows[:, :-1] = (self.values[part] - self.own.mean) / self.own.scale
            yield part, rows

    def height(self, weight: Float64, centre: Float64, pull: Float64) -> float:
        """The logarithm of the posterior, but for a constant."""
        total = 0.0
        for part, rows in self._chunks():
            odds, label = rows @ weight, self.label[part]
            unlabelled = np.logaddexp(0.0, odds + self._log_ratio)
            either = np.logaddexp(0.0, odds + np.log1p(self.ratio))
            total += float(self.share[part] @ (label * odds + (1 - label) * unlabelled - either))
        return total - float(pull @ (weight - centre) ** 2) / 2

    def derivatives(self, weight: Float64) -> tuple[Float64, Float64]:
        """Gradient of the log-likelihood, and a bound of its negative Hessian: what that would be were all
        known of the rows without a label (the steps of EM), less most of what is not, which is faster."""
        size = len(weight)
        gradient, curvature = np.zeros(size), np.zeros((size, size))
        for part, rows in self._chunks():
            odds, label = rows @ weight, self.label[part]
            unlabelled = _sigmoid(odds + self._log_ratio)
            either = _sigmoid(odds + np.log1p(self.ratio))
            gradient += rows.T @ (self.share[part] * (label + (1 - label) * unlabelled - either))
            known = (1 - label) * unlabelled * (1 - unlabelled) * PARTLY
            bend = np.maximum(either * (1 - either) - known, 1e-4 * either * (1 - either))
            curvature += rows.T @ (rows * (self.share[part] * bend)[:, None])
        return gradient, curvature

    @property
    def _log_ratio(self) -> float:
        return float(np.log(self.ratio)) if self.ratio > 0 else -np.inf


def _sigmoid(odds: Float64) -> Float64:
    chance: Float64 = 1 / (1 + np.exp(-np.clip(odds, -40, 40)))
    return chance

"""Logistic regression by Newton's method, pulled towards weights that are believed beforehand.

Rows without a label may be positives too. With `ratio` such ones for each labelled one, and odds e^z of a
labelled positive against a negative, a row is labelled with probability e^z / (1 + (1 + ratio) e^z)
(presence-only data: Ward et al. 2009, equation 8; with ratio 0 the usual logistic regression).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hardneg.records import Float32, Float64

ROUNDS = 25
HALVINGS = 12
SMALLEST = 0.25
"""Standard deviation that a column counts as having at least: one that hardly varies gets no great weight."""
CHUNK = 8192
"""Rows at once: what is worked out of them stays in the processor's cache."""
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


class Likelihood:
    """Of weights, given labelled rows; the rows are standardised once.

    values  float32 (rows, columns)
    label   float64 (rows,), 0 or 1
    share   float64 (rows,), how much each row counts
    """

    def __init__(self, values: Float32, label: Float64, share: Float64, columns: Sequence[str]) -> None:
        total = share.sum()
        self._columns, self._label, self._share = tuple(columns), label, share
        self._mean: Float64 = (share @ values) / total
        deviation = np.sqrt((share @ (values - self._mean) ** 2) / total)
        self._scale: Float64 = np.maximum(deviation, SMALLEST)
        self._rows = np.ones((len(label), len(self._columns) + 1))
        self._rows[:, :-1] = (values - self._mean) / self._scale

    def likeliest(
        self,
        *,
        prior: Weights | None = None,
        strength: float = 1.0,
        ratio: float = 0.0,
        start: Weights | None = None,
    ) -> tuple[Weights, float]:
        """The weights that are likeliest given the rows and a normal prior (maximum a posteriori), and the
        logarithm of their posterior, but for a constant.

        prior     centre of the prior; without one, 0
        strength  precision of the prior, on columns standardised by these rows
        ratio     positives among the rows labelled 0 for each row labelled 1
        start     weights to begin with, not far from the likeliest: saves rounds
        """
        centre = np.zeros(len(self._columns) + 1)
        if prior is not None:
            centre[:-1] = prior.weight / prior.scale * self._scale
        pull = np.append(np.full(len(self._columns), strength), 0.0)
        weight = self._beginning(start)
        height, gradient, curvature = self._at(weight, ratio)
        height -= float(pull @ (weight - centre) ** 2) / 2
        for _ in range(ROUNDS):
            gradient -= pull * (weight - centre)
            step = _uphill(curvature + np.diag(pull + 1e-9), gradient)
            for _ in range(HALVINGS):
                higher, gradient, curvature = self._at(weight + step, ratio)
                higher -= float(pull @ (weight + step - centre) ** 2) / 2
                if higher >= height - 1e-9 * abs(height):
                    break
                step = step / 2
            gained = higher - height
            weight, height = weight + step, higher
            if gained < CLOSE * abs(height):
                break
        return Weights(self._columns, self._mean, self._scale, weight[:-1], float(weight[-1])), height

    def _beginning(self, start: Weights | None) -> Float64:
        """Weights and intercept to begin with: those of `start` for these rows' scale, or 0 and the rate."""
        weight = np.zeros(len(self._columns) + 1)
        if start is None:
            rate = float((self._share @ self._label) / self._share.sum())
            weight[-1] = np.log(max(rate, 1e-9) / max(1 - rate, 1e-9))
            return weight
        slope = start.weight / start.scale
        weight[:-1] = slope * self._scale
        weight[-1] = start.intercept + slope @ (self._mean - start.mean)
        return weight

    def _at(self, weight: Float64, ratio: float) -> tuple[float, Float64, Float64]:
        """The log-likelihood, its gradient, its negative Hessian."""
        size, total = len(weight), 0.0
        gradient, curvature = np.zeros(size), np.zeros((size, size))
        log_ratio = np.log(ratio) if ratio > 0 else -np.inf
        for start in range(0, len(self._label), CHUNK):
            part = slice(start, start + CHUNK)
            rows, label, share = self._rows[part], self._label[part], self._share[part]
            odds = rows @ weight
            unlabelled, unlabelled_chance = _softplus(odds + log_ratio)
            either, either_chance = _softplus(odds + np.log1p(ratio))
            total += float(share @ (label * odds + (1 - label) * unlabelled - either))
            gradient += rows.T @ (share * (label + (1 - label) * unlabelled_chance - either_chance))
            bend = either_chance * (1 - either_chance)
            bend -= (1 - label) * unlabelled_chance * (1 - unlabelled_chance)
            curvature += rows.T @ (rows * (share * bend)[:, None])
        return total, gradient, curvature


def _uphill(curvature: Float64, gradient: Float64) -> Float64:
    """Newton's step; along an axis that bends up it goes as far as if that bent down as much (saddle-free
    Newton, Dauphin et al. 2014)."""
    bend, axes = np.linalg.eigh(curvature)
    step: Float64 = axes @ ((axes.T @ gradient) / np.maximum(np.abs(bend), 1e-3 * np.abs(bend).max()))
    return step


def _softplus(odds: Float64) -> tuple[Float64, Float64]:
    """log(1 + e^odds), and its derivative."""
    small = np.exp(-np.abs(odds))
    chance = np.where(odds >= 0, 1.0, small) / (1 + small)
    return np.maximum(odds, 0.0) + np.log1p(small), chance

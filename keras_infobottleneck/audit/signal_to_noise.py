"""How far the weights stand above their noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.estimators import FisherInformation, WeightInformation

__all__ = ["SignalToNoise", "signal_to_noise_of_code"]

NUM_QUANTILES = 201


@dataclasses.dataclass(frozen=True)
class SignalToNoise:
    """Of every weight with noise, `|mean| / standard deviation`.

    Attributes:
        above_noise: share of the weights whose ratio exceeds 1.
        quantiles: `[201]`, from the smallest ratio to the largest.
        num_weights: how many weights.
    """

    above_noise: float
    quantiles: np.ndarray
    num_weights: int

    @classmethod
    def of(cls, ratios: Iterable[np.ndarray]) -> SignalToNoise:
        """From arrays of ratios."""
        flat = np.concatenate([np.asarray(part, np.float64).reshape(-1) for part in ratios])
        steps = np.linspace(0, 1, NUM_QUANTILES)
        return cls(float(np.mean(flat > 1)), np.quantile(flat, steps), len(flat))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON."""
        return {**dataclasses.asdict(self), "quantiles": self.quantiles.tolist()}


def signal_to_noise_of_code(
    weights: list[keras.Variable], fisher: FisherInformation, code: WeightInformation
) -> SignalToNoise:
    """Of the Gaussian code of a minimum, whose variance is `beta / (f + beta / prior_scale^2)`."""
    shift = code.beta / code.prior_scale**2
    return SignalToNoise.of(
        np.abs(variable.numpy()) * np.sqrt((diagonal + shift) / code.beta)
        for variable, diagonal in zip(weights, fisher.diagonal(), strict=True)
    )

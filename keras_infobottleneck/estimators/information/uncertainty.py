"""The uncertainty of predictions: noise in the data, and uncertainty about the weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_numbers, refusal
from keras_infobottleneck.results.result import Result

__all__ = ["Uncertainty", "decompose_uncertainty"]

# Tolerance for the sum of a row of probabilities. Types of two bytes round logarithms of about 16
# nats before they are exponentiated: 16 times their machine epsilon.
TOLERANCE = 1e-3
TOLERANCE_OF_HALVES = {"float16": 2.0**-6, "bfloat16": 2.0**-3}


@dataclass(frozen=True, repr=False)
class Uncertainty(Result):
    """Uncertainty of predictions, one number per example: ``total = aleatoric + epistemic``.

    Attributes:
        total: Total uncertainty, ``[batch]``, or ``[batch, ...]`` for a regression.
        aleatoric: Noise in the data, which more data do not remove, in the same shape.
        epistemic: Uncertainty about the weights, in the same shape.
        unit: "nats" (entropies of classes) or "squared units of the target" (variances).

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        probabilities = np.array([[[0.9, 0.1]], [[0.5, 0.5]]])  # [networks, examples, classes]
        doubt = kib.decompose_uncertainty(probabilities)
        print(np.allclose(doubt.total, doubt.aleatoric + doubt.epistemic), doubt.unit)
        ```

        ```text
        True nats
        ```
    """

    total: np.ndarray
    aleatoric: np.ndarray
    epistemic: np.ndarray
    unit: str = "nats"

    _points = ("total", "aleatoric", "epistemic")

    def numbers(self) -> dict[str, float]:
        """Means over the examples, and the number of examples."""
        means = {name: float(getattr(self, name).mean()) for name in self._points}
        return {**means, "num_examples": float(len(self.total))}


def decompose_uncertainty(
    probabilities: ArrayLike | None = None,
    *,
    mean: ArrayLike | None = None,
    scale: ArrayLike | None = None,
) -> Uncertainty:
    """Splits the uncertainty of predictions into noise in the data and uncertainty about weights.

    For classes, from drawn probabilities: ``total = H(mean p)``, ``aleatoric = mean H(p)``,
    ``epistemic = total - aleatoric``, the mutual information between the label and the draw of the
    weights, in nats. For a regression, from drawn means and the scale of the noise that the network
    predicts, by the law of total variance: ``aleatoric = mean scale^2``, ``epistemic`` the variance
    of the means over the draws, ``total`` their sum. Exact for the given draws; for finitely many
    draws the epistemic part is biased low for classes, and unbiased for a regression.

    For a classifier, use ``decompose_uncertainty(keras.ops.softmax(model.predict_samples(x,
    50)))``; for a regression, ``decompose_uncertainty(mean=model.predict_samples(x, 50),
    scale=0.1)``.

    Args:
        probabilities: Array ``[samples, batch, classes]``, whose rows add up to one.
        mean: For a regression, ``[samples, batch]`` or ``[samples, batch, ...]``, with at least two
            samples, instead of `probabilities`.
        scale: Standard deviation of the noise, in the shape of `mean` or one that broadcasts to it;
            0 by default, so that only the epistemic part is above zero.

    Returns:
        An `Uncertainty`.

    Raises:
        TypeError: Neither `probabilities` nor `mean` is given, or both are.
        ValueError: A shape is wrong, rows are not probabilities, or values are not finite.

    References:
        Depeweg et al. (2018), arXiv 1710.07283.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        networks_disagree = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])  # [networks, examples, classes]
        doubt = kib.decompose_uncertainty(networks_disagree)
        print(doubt.total.round(3), doubt.aleatoric.round(3), doubt.epistemic.round(3))
        ```

        ```text
        [0.693] [0.] [0.693]
        ```
    """
    if (probabilities is None) == (mean is None):
        raise TypeError(
            "Either `probabilities` or `mean` must be given. Received: "
            f"{'neither' if mean is None else 'both'}"
        )
    if mean is not None:
        return _of_regression(mean, scale)
    if scale is not None:
        raise TypeError("`scale` is for a regression, beside `mean`. Received: probabilities")
    shape = "[samples, batch, classes]"
    given = check_numbers("probabilities", probabilities, shape, dtype=None)
    p = given.astype("float64")
    sums = p.sum(-1)
    tolerance = TOLERANCE_OF_HALVES.get(str(given.dtype), TOLERANCE)
    if p.min() < 0 or np.abs(sums - 1.0).max() > tolerance:
        raise ValueError(
            "`probabilities` must be non-negative with rows that sum to one (apply a softmax to "
            f"logits). Received: probabilities from {p.min()} to {p.max()}"
        )
    p /= sums[..., None]
    total = _entropy(p.mean(0))
    aleatoric = _entropy(p).mean(0)
    return Uncertainty(total, aleatoric, total - aleatoric)


def _of_regression(mean: ArrayLike, scale: ArrayLike | None) -> Uncertainty:
    """Uncertainty of a regression, by the law of total variance."""
    given, mean = mean, check_numbers("mean", mean, "[samples, batch, ...]")
    if len(mean) < 2:
        raise refusal(ValueError, "mean", "be of at least two samples", given)
    scale = check_numbers("scale", 0.0 if scale is None else scale, None, 0)
    try:
        scale = np.broadcast_to(scale, mean.shape)
    except ValueError:
        expected = f"broadcast to the shape of `mean`, {mean.shape}"
        raise refusal(ValueError, "scale", expected, scale) from None
    aleatoric = np.mean(scale**2, axis=0)
    epistemic = np.var(mean, axis=0, ddof=1)
    return Uncertainty(
        aleatoric + epistemic, aleatoric, epistemic, unit="squared units of the target"
    )


def _entropy(p: np.ndarray) -> np.ndarray:
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), -1)

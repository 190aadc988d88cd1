"""The four terms of a cross-entropy in "Emergence", for discrete variables."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_numbers
from keras_infobottleneck.results.result import Result

__all__ = ["CrossEntropyDecomposition", "cross_entropy_decomposition"]

TOLERANCE = 1e-8  # for sums of probabilities


@dataclasses.dataclass(frozen=True)
class CrossEntropyDecomposition(Result):
    """Terms of a cross-entropy, in nats.

    `cross_entropy = intrinsic + sufficiency + efficiency - overfitting`.

    Attributes:
        intrinsic: `H(y | x, theta)`, the entropy of the labels that cannot be predicted.
        sufficiency: `I(theta; y | x, w)`, information about the source that the weights lack.
        efficiency: `E KL(p(y|x,w) || q(y|x,w))`, information in the weights that the model does not
            use.
        overfitting: `I(y; w | x, theta)`, information of the weights about the labels beyond their
            source. It has a minus sign: memorisation lowers the loss.
        cross_entropy: `-E log q(y|x,w)`, computed separately.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        joint = np.full((2, 2, 2, 2), 1 / 16)  # p(theta, x, y, w), all independent
        found = kib.estimators.cross_entropy_decomposition(joint, np.full((2, 2, 2), 0.5))
        print(round(found.intrinsic, 3), round(found.overfitting, 3))
        ```

        ```text
        0.693 0.0
        ```
    """

    intrinsic: float
    sufficiency: float
    efficiency: float
    overfitting: float
    cross_entropy: float

    def numbers(self) -> dict[str, float]:
        """The cross-entropy in nats, followed by its terms."""
        return {"cross_entropy": self.cross_entropy, **super().numbers()}

    def __repr__(self) -> str:
        return (
            f"CrossEntropyDecomposition({self.cross_entropy:.6g} nats = {self.intrinsic:.4g} "
            f"intrinsic + {self.sufficiency:.4g} sufficiency + {self.efficiency:.4g} efficiency "
            f"- {self.overfitting:.4g} overfitting)"
        )


def cross_entropy_decomposition(joint: ArrayLike, q: ArrayLike) -> CrossEntropyDecomposition:
    """The four terms of the cross-entropy of a model `q(y|x,w)` under a joint distribution, nats.

        H_{p,q}(y|x,w) = H(y|x,theta) + I(theta;y|x,w)
                         + E_{x,w} KL(p(y|x,w) || q(y|x,w)) - I(y;w|x,theta)

    Exact, in float64, for any joint distribution of the training inputs x and labels y as a whole,
    the weights w, and the parameter theta of the source of the data. Outcomes of probability zero
    do not count. If q is zero where p is not, `efficiency` and `cross_entropy` are infinite.

    Args:
        joint: Probabilities `[theta, x, y, w]`.
        q: The model's probabilities `[x, y, w]` of y given x and w; ignored where x and w do not
            occur together.

    Raises:
        ValueError: A shape is wrong, numbers are negative or not finite, or probabilities do not
            add up to one.

    References:
        Achille & Soatto, 2018, JMLR 19(50), arXiv 1706.01350, equation 8.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        joint = np.random.default_rng(0).dirichlet(np.ones(16)).reshape(2, 2, 2, 2)
        found = kib.estimators.cross_entropy_decomposition(joint, np.full((2, 2, 2), 0.5))
        terms = found.intrinsic + found.sufficiency + found.efficiency - found.overfitting
        print(np.isclose(terms, found.cross_entropy), round(found.cross_entropy, 3))  # log 2 nats
        ```

        ```text
        True 0.693
        ```
    """
    p, q = _checked(joint, q)
    p_xyw = p.sum(0)
    label = _conditional(p_xyw, 1)
    label_of_source = _conditional(p.sum(3), 2)[..., None]
    label_of_both = _conditional(p, 2)
    return CrossEntropyDecomposition(
        intrinsic=_mean_log(p, 1.0, label_of_source),
        sufficiency=_mean_log(p, label_of_both, label),
        efficiency=_mean_log(p_xyw, label, q),
        overfitting=_mean_log(p, label_of_both, label_of_source),
        cross_entropy=_mean_log(p_xyw, 1.0, q),
    )


def _conditional(p: np.ndarray, axis: int) -> np.ndarray:
    """Probabilities given all variables except the axis; zero for impossible conditions."""
    total = p.sum(axis, keepdims=True)
    return np.divide(p, total, out=np.zeros_like(p), where=total > 0)


def _mean_log(p: np.ndarray, above: np.ndarray | float, below: np.ndarray) -> float:
    """Expectation of `log(above / below)` under p, in nats, over outcomes of positive p."""
    above, below = np.broadcast_to(above, p.shape), np.broadcast_to(below, p.shape)
    occurs = p > 0
    with np.errstate(divide="ignore"):
        logs = np.log(above[occurs]) - np.log(below[occurs])
    return float(np.sum(p[occurs] * logs))


def _checked(joint: ArrayLike, q: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The joint and the model's probabilities in float64, after checking their sums."""
    joint = check_numbers("joint", joint, "[theta, x, y, w]", 0, booleans=True)
    q = check_numbers("q", q, str(list(joint.shape[1:])), 0, booleans=True)
    if abs(joint.sum() - 1.0) > TOLERANCE:
        raise ValueError(f"`joint` must add up to one. Received: a sum of {joint.sum()}")
    off = np.abs(q.sum(1) - 1.0)[joint.sum((0, 2)) > 0]
    if np.any(off > TOLERANCE):
        raise ValueError(
            "`q` must add up to one over y for every x and w that occur. "
            f"Received: a sum that is {off.max():.3g} off"
        )
    return joint, q

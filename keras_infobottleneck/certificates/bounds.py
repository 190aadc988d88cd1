"""Bounds: on the risk on new data, rounded to the safe side, and on what a flat minimum holds.

The formulas of the risk stand in `keras_infobottleneck.pac_bayes`, where training uses them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_infobottleneck import pac_bayes
from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_flag,
    check_instance,
    check_integers,
    check_numbers,
    check_positive,
    described,
)

__all__ = [
    "check_broadcast",
    "failure_probability",
    "flat_minimum_bound",
    "monte_carlo_bound",
    "pac_bayes_bound",
    "rounded_down",
    "rounded_up",
]

KINDS = ("kl", "mcallester", "quadratic", "linear")


def pac_bayes_bound(
    risk: ArrayLike,
    kl: ArrayLike,
    num_examples: ArrayLike,
    delta: ArrayLike,
    *,
    kind: Literal["kl", "mcallester", "quadratic", "linear"] = "kl",
    beta: float | None = None,
) -> Any:
    """Upper bound on the true risk of a randomised predictor, from its risk on `num_examples`.

    With probability at least ``1 - delta`` over the examples, for all posteriors at once.
    With ``c = KL + log(2 sqrt(N) / delta)``:
    ``"kl"``: the largest r with ``kl(risk || r) <= c / N`` (Maurer), the tightest of three;
    ``"mcallester"``: ``risk + sqrt(c / 2N)``;
    ``"quadratic"``: ``(sqrt(risk + c / 2N) + sqrt(c / 2N))^2``;
    ``"linear"``: ``[risk + beta (KL + log(1 / delta)) / N] / (1 - 1 / (2 beta))``.

    Exact to 1e-9 and rounded up, never below `risk`, never above 1. The arguments broadcast.

    Args:
        risk: mean loss over the examples and over draws from the posterior, in [0, 1]. The loss
            itself must be in [0, 1], and the risk exact: see `monte_carlo_bound`.
        kl: divergence of the posterior from the prior, total nats.
        num_examples: number of independent examples, on none of which the prior depends.
        delta: probability with which the bound may fail.
        kind: which bound.
        beta: of ``"linear"`` only: above 1/2, chosen before the examples are seen.

    Returns:
        A float, or an array where an argument is one.

    Raises:
        ValueError: a number out of its range, or `beta` missing or out of place.

    References:
        Maurer (2004), arXiv cs/0411099, Theorem 5 (`2 sqrt(N)` holds from N = 1). Perez-Ortiz et
        al. (2021), arXiv 2007.12911. Achille, Paolini & Soatto (2020), arXiv 1905.12213,
        Theorem 2.2.

    Example:
        ```python
        import keras_infobottleneck as kib

        bound = kib.estimators.pac_bayes_bound(0.015, kl=7.0, num_examples=30_000, delta=0.025)
        print(f"with probability 97.5 % the true error is at most {bound:.4f}")
        ```

        ```text
        with probability 97.5 % the true error is at most 0.0194
        ```
    """
    check_choice("kind", kind, KINDS)
    if (kind == "linear") != (beta is not None):
        raise ValueError(
            "`beta` belongs to kind='linear', which needs it. "
            f"Received: kind={kind!r}, beta={beta!r}"
        )
    given = {
        "risk": check_numbers("risk", risk, None, 0, 1),
        "kl": check_numbers("kl", kl, None, 0, finite=False),
        "num_examples": check_integers("num_examples", num_examples, None, 1).astype(np.float64),
        "delta": failure_probability("delta", delta),
    }
    if kind == "linear":
        given["beta"] = check_numbers("beta", beta, None, 0.5, open_below=True)
    check_broadcast(given)
    arguments = [tf.constant(array) for array in given.values()]
    if kind == "linear":
        bound = pac_bayes.linear_bound(*arguments)
    elif kind == "kl":
        bound = pac_bayes.kl_bound(*arguments)
    elif kind == "quadratic":
        bound = pac_bayes.quadratic_bound(*arguments)
    else:
        bound = pac_bayes.mcallester_bound(*arguments)
    return rounded_up(bound.numpy(), given["risk"])


def monte_carlo_bound(mean: ArrayLike, num_trials: ArrayLike, delta: ArrayLike) -> Any:
    """Upper bound on the expected mean of independent trials in [0, 1], from the mean observed.

    The largest r with ``kl(mean || r) <= log(1 / delta) / num_trials``: Hoeffding's inequality,
    which asks that trials are independent, not that they are identically distributed.
    It holds with probability at least ``1 - delta`` over the trials; exact to 1e-9, rounded up.

    Args:
        mean: mean of the trials, in [0, 1].
        num_trials: how many there were.
        delta: probability with which the bound may fail.

    Returns:
        A float, or an array where an argument is one.

    Raises:
        ValueError: a number out of its range.

    References:
        Hoeffding (1963), "Probability inequalities for sums of bounded random variables",
        Theorem 1. Langford & Caruana (2001), "(Not) bounding the true error".

    Example:
        ```python
        import keras_infobottleneck as kib

        print(f"{kib.estimators.monte_carlo_bound(0.02, num_trials=10_000, delta=0.01):.4f}")
        ```

        ```text
        0.0245
        ```
    """
    mean = check_numbers("mean", mean, None, 0, 1)
    num_trials = check_integers("num_trials", num_trials, None, 1)
    delta = failure_probability("delta", delta)
    check_broadcast({"mean": mean, "num_trials": num_trials, "delta": delta})
    nats = tf.constant(-np.log(delta) / num_trials)
    return rounded_up(pac_bayes.kl_inverse(tf.constant(mean), nats).numpy(), mean)


def flat_minimum_bound(
    weights: Sequence[np.ndarray] | np.ndarray,
    nuclear_norm: float,
    *,
    num_examples: int,
    weight_beta: float = 1.0,
    paper_form: bool = False,
) -> float:
    """Upper bound on the information in the weights at a minimum of the loss, in nats.

    With the multiplicative noise that is best for a quadratic loss,
    `I = 1/2 sum_i log(H_ii w_i^2 / beta)
    <= (K/2) [log |w|^2 + log |H|_* - log(K^2 beta)]`, with H the Hessian of the loss summed over
    examples and K the number of weights; Jensen's inequality twice, and `|H|_* >= tr H`. The
    information is up to the constant of the log-uniform prior, so the bound may be negative.

    Args:
        weights: the weights at the minimum, one array or one per variable.
        nuclear_norm: `|H|_*` of the *mean* loss, such as `hessian(...).nuclear_norm()`.
        num_examples: N, by which the mean loss is multiplied.
        weight_beta: weight of the information against the summed loss; 1 is the negative ELBO.
        paper_form: the printed `log(K^2 beta / 2)`, larger by `(K/2) log 2`: the paper drops the
            one half of the Taylor expansion. The bound stays valid and is looser.

    Returns:
        Nats.

    Raises:
        ValueError: no weights, all of them zero, or a number that is not positive.

    References:
        Achille & Soatto, 2018, JMLR 19(50), arXiv 1706.01350, Proposition 4.3.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        weights = [np.ones(10)]
        flat = kib.estimators.flat_minimum_bound(weights, nuclear_norm=1.0, num_examples=1000)
        sharp = kib.estimators.flat_minimum_bound(weights, nuclear_norm=10.0, num_examples=1000)
        print(f"{flat:.1f} nats, {sharp:.1f} nats")
        ```

        ```text
        23.0 nats, 34.5 nats
        ```
    """
    nuclear_norm = check_positive("nuclear_norm", nuclear_norm)
    num_examples = check_count("num_examples", num_examples)
    weight_beta = check_positive("weight_beta", weight_beta)
    check_flag("paper_form", paper_form)
    arrays = [weights] if isinstance(weights, np.ndarray) else weights
    check_instance("weights", arrays, Sequence, "an array or a sequence of arrays")
    parts = [check_numbers(f"weights[{i}]", array).ravel() for i, array in enumerate(arrays)]
    flat = np.concatenate([np.zeros(0), *parts])
    squared_norm = float(flat @ flat)
    if not (np.isfinite(squared_norm) and squared_norm > 0):
        raise ValueError(
            "`weights` must not be all zero, nor so large that their square overflows. "
            f"Received: weights={described(weights)}, of squared norm {squared_norm}"
        )
    size = flat.size
    beta = weight_beta / 2 if paper_form else weight_beta
    log_curvature = np.log(nuclear_norm) + np.log(num_examples)
    return float(size / 2 * (np.log(squared_norm) + log_curvature - np.log(size**2 * beta)))


SAFETY = 1e-11  # added in full and in proportion: far above float64 rounding, below 1e-9

SMALLEST = float(np.finfo("float64").tiny)  # probability: its reciprocal is finite


def failure_probability(name: str, value: Any) -> np.ndarray:
    """A probability with which something may fail, or an array of such."""
    return check_numbers(name, value, None, SMALLEST, 1, open_above=True)


def check_broadcast(arguments: dict[str, np.ndarray]) -> None:
    """Refuses arrays of shapes that do not go together."""
    shapes = {name: array.shape for name, array in arguments.items() if array.ndim}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        names = " and ".join(f"`{name}`" for name in shapes)
        raise ValueError(f"{names} must broadcast. Received: shapes {shapes}") from None


def rounded_up(bound: Any, risk: Any) -> Any:
    """Never below the risk, never above 1, never below the exact bound by rounding."""
    bound = np.minimum(np.maximum(bound * (1.0 + SAFETY) + SAFETY, risk), 1.0)
    return bound if bound.ndim else float(bound)


def rounded_down(bound: Any, risk: Any) -> Any:
    """The same for a lower bound: never above the risk, never below 0."""
    bound = np.maximum(np.minimum(bound * (1.0 - SAFETY) - SAFETY, risk), 0.0)
    return bound if bound.ndim else float(bound)

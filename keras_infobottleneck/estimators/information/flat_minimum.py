"""Bound on the information in the weights at a flat minimum, from the Hessian."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_infobottleneck.arguments import (
    check_count,
    check_flag,
    check_instance,
    check_numbers,
    check_positive,
    described,
)

__all__ = ["flat_minimum_bound"]


def flat_minimum_bound(
    weights: Sequence[np.ndarray] | np.ndarray,
    nuclear_norm: float,
    *,
    num_examples: int,
    weight_beta: float = 1.0,
    paper_form: bool = False,
) -> float:
    """Upper bound on the information in the weights at a minimum of the loss, in nats.

    With the multiplicative noise that is optimal for a quadratic loss,
    `I = 1/2 sum_i log(H_ii w_i^2 / beta)
    <= (K/2) [log |w|^2 + log |H|_* - log(K^2 beta)]`, with H the Hessian of the loss summed over
    examples and K the number of weights, by Jensen's inequality (twice) and `|H|_* >= tr H`. The
    information is defined up to the constant of the log-uniform prior, so the bound may be
    negative.

    Args:
        weights: The weights at the minimum, one array or one per variable.
        nuclear_norm: `|H|_*` of the *mean* loss, such as `hessian(...).nuclear_norm()`.
        num_examples: N, by which the mean loss is multiplied.
        weight_beta: Price of the information relative to the summed loss; 1 gives the negative
            ELBO.
        paper_form: The printed `log(K^2 beta / 2)`, which makes the bound larger by `(K/2) log 2`:
            the paper drops the factor one half of the Taylor expansion. Valid, but looser.

    Returns:
        Nats.

    Raises:
        ValueError: There are no weights, all are zero, or a number is not positive.

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

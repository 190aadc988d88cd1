"""Bounds by a reference: what the drawn network errs more than another one, and that one's error.

Where two networks mostly agree, their difference has little variance, and a bound on it is tighter
than the difference of two bounds. The loss of each is 0 or 1, so the difference takes few values,
and each of them is bounded by itself, by the kl inequality.

Letters: ``worse`` is the share of examples and draws where the drawn network is wrong and the
reference right, ``better`` where it is the reverse, ``error`` where the drawn network is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_infobottleneck.arguments import check_integers, check_numbers
from keras_infobottleneck.certificates.bounds import (
    check_broadcast,
    failure_probability,
    pac_bayes_bound,
)

__all__ = ["excess_loss_bound", "recursive_bound"]


def excess_loss_bound(worse: Any, better: Any, kl: Any, num_examples: Any, delta: Any) -> Any:
    """Upper bound on how much more a randomised network errs on new data than a reference network.

    The PAC-Bayes-split-kl inequality. With ``c = (KL + log(4 sqrt(N) / delta)) / N`` it is
    ``kl+(worse, c) - kl-(better, c)``, where ``kl+(r, c)`` is the largest and ``kl-(r, c)`` the
    smallest s with ``kl(r || s) <= c``. It holds with probability at least ``1 - delta`` over the
    examples, for all posteriors at once. The reference must not depend on the examples; with a
    bound on its own error, such as `test_set_bound`, the sum bounds the randomised network's.

    Args:
        worse: share of examples and draws where the drawn network is wrong and the reference
            right, in [0, 1].
        better: where the drawn network is right and the reference wrong.
        kl: divergence of the posterior from the prior, total nats.
        num_examples: number of independent examples.
        delta: probability with which the bound may fail.

    Returns:
        A float between -1 and 1, or an array where an argument is one. To 1e-9, rounded up.

    Raises:
        TypeError: not numbers.
        ValueError: a number out of its range.

    References:
        Wu & Seldin (2022), "Split-kl and PAC-Bayes-split-kl inequalities for ternary random
        variables", arXiv 2206.00706, Theorem 9.

    Example:
        ```python
        import keras_infobottleneck as kib

        excess = kib.estimators.excess_loss_bound(0.001, 0.006, 40.0, 30_000, 0.025)
        print(f"{excess:.4f} more than the reference")
        ```

        ```text
        0.0015 more than the reference
        ```
    """
    worse, better, kl, num_examples, delta = _checked(worse, better, kl, num_examples, delta)
    above = pac_bayes_bound(worse, kl, num_examples, delta / 2.0)
    below = 1.0 - np.asarray(pac_bayes_bound(1.0 - better, kl, num_examples, delta / 2.0))
    return _plain(above - below)


def recursive_bound(
    previous: Any,
    error: Any,
    worse: Any,
    better: Any,
    kl: Any,
    num_examples: Any,
    delta: Any,
    *,
    gamma: float = 0.5,
) -> Any:
    """Upper bound on the error of a randomised network, from a bound on that of its prior.

    ``B = gamma * previous + E``, where E bounds the mean of ``F = loss(w) - gamma loss(w')``, with
    w drawn from the posterior and w' from the prior. F takes the values ``-gamma, 0, 1 - gamma,
    1``; each step is bounded by the kl inequality with ``c = (KL + log(6 sqrt(N) / delta)) / N``:
    ``E = gamma [kl+(worse) - kl-(better)] + (1 - gamma) kl+(error)``. It holds with probability at
    least ``1 - delta`` less what `previous` may fail, over examples that the prior has not seen;
    w' is drawn once for each example. `previous` may be such a bound itself, with the data in more
    parts.

    Args:
        previous: bound on the error of networks drawn from the prior.
        error: share of examples and draws where the drawn network is wrong, in [0, 1].
        worse, better: as of `excess_loss_bound`, with w' for the reference.
        kl: divergence of the posterior from the prior, total nats.
        num_examples: number of independent examples that the prior has not seen.
        delta: probability with which the bound may fail, besides that of `previous`.
        gamma: between 0, the plain bound, and 1, excess loss; chosen before the examples.

    Returns:
        A float, or an array where an argument is one. To 1e-9, rounded up, at most 1.

    Raises:
        TypeError: not numbers.
        ValueError: a number out of its range.

    References:
        Wu, Zhang, Chérief-Abdellatif & Seldin (2024), "Recursive PAC-Bayes: A frequentist approach
        to sequential prior updates with no information loss", arXiv 2405.14681, Theorem 5.

    Example:
        ```python
        import keras_infobottleneck as kib

        prior = kib.estimators.test_set_bound(1500, num_examples=30_000, delta=0.0125)
        bound = kib.estimators.recursive_bound(
            prior, 0.045, worse=0.001, better=0.006, kl=40.0, num_examples=30_000, delta=0.0125
        )
        print(f"{bound:.4f}")
        ```

        ```text
        0.0565
        ```
    """
    previous = check_numbers("previous", previous, None, 0, 1)
    error = check_numbers("error", error, None, 0, 1)
    gamma = check_numbers("gamma", gamma, None, 0, 1)
    more = {"previous": previous, "error": error, "gamma": gamma}
    worse, better, kl, num_examples, delta = _checked(
        worse, better, kl, num_examples, delta, **more
    )
    wrong = pac_bayes_bound(error, kl, num_examples, delta / 3.0)
    above = pac_bayes_bound(worse, kl, num_examples, delta / 3.0)
    below = 1.0 - np.asarray(pac_bayes_bound(1.0 - better, kl, num_examples, delta / 3.0))
    excess = gamma * (above - below) + (1.0 - gamma) * wrong
    return _plain(np.minimum(excess + gamma * previous, 1.0))


def _checked(worse, better, kl, num_examples, delta, **others) -> tuple[np.ndarray, ...]:
    """The arguments of both, as arrays that broadcast."""
    shares = {
        "worse": check_numbers("worse", worse, None, 0, 1),
        "better": check_numbers("better", better, None, 0, 1),
        "kl": check_numbers("kl", kl, None, 0, finite=False),
        "num_examples": check_integers("num_examples", num_examples, None, 1),
        "delta": failure_probability("delta", delta),
    }
    check_broadcast({**shares, **others})
    return tuple(shares.values())


def _plain(bound: Any) -> Any:
    """A float where there is one number."""
    bound = np.asarray(bound)
    return bound if bound.ndim else float(bound)

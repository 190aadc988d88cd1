"""Bounds by deterministic networks: on their own error, and as references for randomised ones.

Such a network is fixed before the examples are seen, or is described by few bits. If it mostly
agrees with a drawn network, their difference has little variance, and a bound on it is tighter than
the difference of two bounds. The loss of each is 0 or 1, so the difference takes few values, and
each of them is bounded by itself with the kl inequality.

Notation: ``worse`` is the share of examples and draws for which the drawn network is wrong and the
reference right, ``better`` the share with the reverse, ``error`` that with the drawn network wrong.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_choice, check_integers, check_numbers
from keras_infobottleneck.pac_bayes import (
    check_broadcast,
    failure_probability,
    inverse_of_arrays,
    pac_bayes_bound,
    rounded_up,
)

__all__ = [
    "excess_loss_bound",
    "occam_bound",
    "recursive_bound",
    "test_set_bound",
]

KINDS = ("binomial", "kl")
# Halvings of an interval shorter than 1, down to float64 rounding.
NUM_HALVINGS = 60
# Number of examples up to which TensorFlow's incomplete beta function is accurate.
MOST_EXAMPLES = 10_000_000


def test_set_bound(
    errors: Any, num_examples: Any, delta: Any, *, kind: Literal["binomial", "kl"] = "binomial"
) -> Any:
    """Upper bound on the error on new data of one network, from examples that it never saw.

    The simple alternative to a PAC-Bayes certificate. It holds with probability at least
    ``1 - delta`` over the examples, for a network that does not depend on them in any way.

    ``"binomial"``: the largest error rate at which at most this many errors still have probability
    `delta`, ``sum_{k <= errors} binomial(N, k) r^k (1 - r)^(N - k) = delta``. Exact: no smaller
    bound holds with this confidence.
    ``"kl"``: for losses in [0, 1] other than 0 or 1, the largest r with
    ``kl(errors / N || r) <= log(1 / delta) / N``. Looser.

    Args:
        errors: Number of wrong predictions, an integer; for ``kind="kl"`` the sum of the losses,
            any number from 0 to `num_examples`.
        num_examples: Number of examples, all independent draws from the distribution of new data.
        delta: Probability with which the bound may fail.
        kind: Which bound to compute.

    Returns:
        A float, or an array if an argument is one, accurate to 1e-9 and rounded up; above 10
        million examples the binomial bound is that of ``"kl"``, at most 4e-5 larger.

    Raises:
        TypeError: An argument is not a number, or for ``"binomial"`` the errors are not integers.
        ValueError: A number is out of range, or there are more errors than examples.

    References:
        Clopper & Pearson (1934), "The use of confidence or fiducial limits illustrated in the case
        of the binomial". Langford (2005), "Tutorial on practical prediction theory for
        classification", Theorem 3.3. Hoeffding (1963), Theorem 1, for ``"kl"``.

    Example:
        ```python
        import keras_infobottleneck as kib

        bound = kib.estimators.test_set_bound(errors=428, num_examples=30_000, delta=0.035)
        print(f"with probability 96.5 % the true error is at most {bound:.4f}")
        ```

        ```text
        with probability 96.5 % the true error is at most 0.0156
        ```
    """
    check_choice("kind", kind, KINDS)
    of_errors = check_integers if kind == "binomial" else check_numbers
    errors = of_errors("errors", errors, None, 0).astype(np.float64)
    num_examples = check_integers("num_examples", num_examples, None, 1).astype(np.float64)
    delta = failure_probability("delta", delta)
    risk = _risk(errors, num_examples, delta=delta)
    upper = inverse_of_arrays(risk, -np.log(delta) / num_examples)
    if kind == "binomial":
        upper = _binomial_limit(errors, num_examples, delta, upper)
    return rounded_up(upper, risk)


def occam_bound(bits: Any, errors: Any, num_examples: Any, delta: Any) -> Any:
    """Upper bound on the error on new data of a network that is described by a file of `bits` bits.

    The largest r with ``kl(errors / N || r) <= (bits log 2 + log(1 / delta)) / N``. It holds with
    probability at least ``1 - delta`` over the examples, for all files of a code at once, however
    the file was chosen: the examples may have been used for training, and no draws are needed. The
    code must be fixed before the examples and prefix-free (no file is the beginning of another), so
    that the weights ``2^-bits`` of all files sum to at most one; everything that selects the
    decoder, including the length of the file itself, must be part of the file.

    Args:
        bits: Length of the file in bits, at least 0.
        errors: Number of wrong predictions, or sum of losses in [0, 1].
        num_examples: Number of examples.
        delta: Probability with which the bound may fail.

    Returns:
        A float, or an array if an argument is one, accurate to 1e-9 and rounded up.

    Raises:
        TypeError: An argument is not a number.
        ValueError: A number is out of range, or there are more errors than examples.

    References:
        Blumer, Ehrenfeucht, Haussler & Warmuth (1987), "Occam's razor". Langford (2005), "Tutorial
        on practical prediction theory for classification", Theorem 4.1, in its Chernoff form.

    Example:
        ```python
        import keras_infobottleneck as kib

        bound = kib.estimators.occam_bound(8 * 1500, errors=600, num_examples=60_000, delta=0.05)
        print(f"1.5 kB that err on 1 % of 60,000 images: at most {bound:.3f} on new ones")
        ```

        ```text
        1.5 kB that err on 1 % of 60,000 images: at most 0.163 on new ones
        ```
    """
    bits = check_numbers("bits", bits, None, 0)
    errors = check_numbers("errors", errors, None, 0)
    num_examples = check_integers("num_examples", num_examples, None, 1).astype(np.float64)
    delta = failure_probability("delta", delta)
    risk = _risk(errors, num_examples, bits=bits, delta=delta)
    nats = (bits * np.log(2.0) - np.log(delta)) / num_examples
    return rounded_up(inverse_of_arrays(risk, nats), risk)


def _risk(errors: np.ndarray, num_examples: np.ndarray, **others: np.ndarray) -> np.ndarray:
    """Mean loss; raises if there are more errors than examples."""
    check_broadcast({"errors": errors, "num_examples": num_examples, **others})
    if np.any(errors > num_examples):
        raise ValueError(
            "`errors` must not be more than `num_examples`. "
            f"Received: {np.max(errors):g} errors of {np.min(num_examples):g} examples"
        )
    return errors / num_examples


def _binomial_limit(
    errors: np.ndarray, num_examples: np.ndarray, delta: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """The rate at which at most this many errors have probability `delta`; `upper` is above it.

    Bisection: the probability falls as the rate grows, and every upper end is a valid bound.
    """
    errors, num_examples, delta, upper = np.broadcast_arrays(errors, num_examples, delta, upper)
    with tf.device("CPU"):
        arguments = (errors, num_examples, delta, errors / num_examples, upper)
        high = _bisected(*(tf.constant(array) for array in arguments)).numpy()
    high = np.where(num_examples <= MOST_EXAMPLES, high, upper)
    return np.where(errors < num_examples, high, 1.0)


@tf.function(input_signature=[tf.TensorSpec(None, tf.float64)] * 5, autograph=False)
def _bisected(
    errors: tf.Tensor, num_examples: tf.Tensor, delta: tf.Tensor, low: tf.Tensor, high: tf.Tensor
) -> tf.Tensor:
    """The upper end of the last interval."""
    right = tf.maximum(num_examples - errors, 1.0)  # if all are wrong, the limit is 1

    def halved(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = 0.5 * (low + high)
        # P(errors or fewer) at this rate is a regularised incomplete beta function.
        is_above = tf.math.betainc(right, errors + 1.0, 1.0 - middle) <= delta
        return tf.where(is_above, low, middle), tf.where(is_above, middle, high)

    _, high = tf.while_loop(lambda *_: True, halved, (low, high), maximum_iterations=NUM_HALVINGS)
    return high


def excess_loss_bound(worse: Any, better: Any, kl: Any, num_examples: Any, delta: Any) -> Any:
    """Upper bound on the error of a randomised network minus that of a reference network.

    The PAC-Bayes-split-kl inequality. With ``c = (KL + log(4 sqrt(N) / delta)) / N`` it is
    ``kl+(worse, c) - kl-(better, c)``, where ``kl+(r, c)`` is the largest and ``kl-(r, c)`` the
    smallest s with ``kl(r || s) <= c``. It holds with probability at least ``1 - delta`` over the
    examples, for all posteriors at once. The reference must not depend on the examples. The sum
    with a bound on the reference's own error, such as `test_set_bound`, bounds the randomised
    network's.

    Args:
        worse: Share of examples and draws for which the drawn network is wrong and the reference
            right, in [0, 1].
        better: Share for which the drawn network is right and the reference wrong.
        kl: Divergence of the posterior from the prior, total nats.
        num_examples: Number of independent examples.
        delta: Probability with which the bound may fail.

    Returns:
        A float between -1 and 1, or an array if an argument is one; to 1e-9, rounded up.

    Raises:
        TypeError: An argument is not a number.
        ValueError: A number is out of range.

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
    least ``1 - delta`` minus the failure probability of `previous`, over examples that the prior
    has not seen; w' is drawn once for each example. `previous` may be such a bound itself, with the
    data split into more parts.

    Args:
        previous: Bound on the error of networks drawn from the prior.
        error: Share of examples and draws for which the drawn network is wrong, in [0, 1].
        worse, better: As in `excess_loss_bound`, with w' as the reference.
        kl: Divergence of the posterior from the prior, total nats.
        num_examples: Number of independent examples that the prior has not seen.
        delta: Probability with which the bound may fail, in addition to that of `previous`.
        gamma: Between 0 (the plain bound) and 1 (excess loss); chosen before the examples are seen.

    Returns:
        A float, or an array if an argument is one; to 1e-9, rounded up, at most 1.

    Raises:
        TypeError: An argument is not a number.
        ValueError: A number is out of range.

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


def _checked(
    worse: Any, better: Any, kl: Any, num_examples: Any, delta: Any, **others: np.ndarray
) -> tuple[np.ndarray, ...]:
    """The arguments of both bounds, as arrays that broadcast."""
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
    """The bound as a float if it is one number."""
    bound = np.asarray(bound)
    return bound if bound.ndim else float(bound)

"""PAC-Bayes bounds, as differentiable formulas, and as statements that are rounded up.

Let the weights of a network be drawn from a posterior q, and let the prior p not depend on the N
examples. With probability ``1 - delta`` over the examples, the true risk is below the bound for
all q at once. Training minimises the formulas; certificates evaluate them in float64.

Letters: ``risk`` is the mean loss of the drawn network, in [0, 1]; ``kl`` is ``KL(q || p)`` in
nats; ``nats = (KL + log(2 sqrt(N) / delta)) / N``; ``kl(r || s)`` is the divergence of Bernoulli
variables with means r and s. The formulas map tensors to tensors of the same floating dtype.

References:
    Maurer (2004), arXiv cs/0411099. McAllester (1999), "PAC-Bayesian model averaging".
    Perez-Ortiz, Rivasplata, Shawe-Taylor & Szepesvari (2021), "Tighter risk certificates for
    neural networks", arXiv 2007.12911.
"""

from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_infobottleneck.arguments import check_choice, check_integers, check_numbers

__all__ = [
    "binary_kl",
    "bounded_crossentropy",
    "check_broadcast",
    "classes",
    "failure_probability",
    "inverse_of_arrays",
    "kl_bound",
    "kl_inverse",
    "linear_bound",
    "mcallester_bound",
    "monte_carlo_bound",
    "pac_bayes_bound",
    "quadratic_bound",
    "rounded_down",
    "rounded_up",
]

Numbers = Any  # a tensor of a floating dtype, or a number that is combined with one
KINDS = ("kl", "mcallester", "quadratic", "linear")

NUM_NEWTON_STEPS = 16  # 12 were enough for float64 precision in all cases tried
MIN_RISK = 1e-7  # floor in the gradient, which is infinite at risk zero
SAFETY = 1e-11  # added absolutely and relatively: far above float64 rounding, below 1e-9
SMALLEST = float(np.finfo("float64").tiny)  # smallest probability with a finite reciprocal


def kl_bound(risk: Numbers, kl: Numbers, num_examples: Numbers, delta: Numbers) -> tf.Tensor:
    """Largest r with ``kl(risk || r) <= nats``: the tightest of these bounds."""
    return kl_inverse(risk, _nats(kl, num_examples, delta))


def mcallester_bound(
    risk: Numbers, kl: Numbers, num_examples: Numbers, delta: Numbers
) -> tf.Tensor:
    """``risk + sqrt(nats / 2)``."""
    return risk + tf.sqrt(_nats(kl, num_examples, delta) / 2.0)


def quadratic_bound(risk: Numbers, kl: Numbers, num_examples: Numbers, delta: Numbers) -> tf.Tensor:
    """``(sqrt(risk + nats / 2) + sqrt(nats / 2))^2``: tighter than McAllester's for risk < 1/4."""
    half = _nats(kl, num_examples, delta) / 2.0
    return tf.square(tf.sqrt(risk + half) + tf.sqrt(half))


def linear_bound(
    risk: Numbers, kl: Numbers, num_examples: Numbers, delta: Numbers, beta: Numbers
) -> tf.Tensor:
    """``[risk + beta (KL + log(1 / delta)) / N] / (1 - 1 / (2 beta))``, with beta fixed in advance.

    "Where is the Information in a Deep Neural Network?" (arXiv 1905.12213), Theorem 2.2.
    """
    price = beta * (kl - tf.math.log(delta)) / num_examples
    return (risk + price) / (1.0 - 0.5 / beta)


def _nats(kl: Numbers, num_examples: Numbers, delta: Numbers) -> tf.Tensor:
    """Complexity per example: ``(KL + log(2 sqrt(N) / delta)) / N``."""
    confidence = tf.math.log(2.0 / delta) + 0.5 * tf.math.log(num_examples)
    return (kl + confidence) / num_examples


def binary_kl(risk: Numbers, r: Numbers) -> tf.Tensor:
    """``kl(risk || r)`` for ``risk <= r < 1``, precise also if the two are close."""
    distance = r - risk
    return -tf.math.xlog1py(risk, distance / tf.where(risk > 0.0, risk, 1.0)) - tf.math.xlog1py(
        1.0 - risk, -distance / tf.where(risk < 1.0, 1.0 - risk, 1.0)
    )


@tf.custom_gradient
def kl_inverse(risk: Numbers, nats: Numbers) -> tf.Tensor:
    """Largest r in [risk, 1] with ``kl(risk || r) <= nats``.

    Uses Newton's method from above: the divergence is convex in r, so every iterate, and with it
    the result, is an upper bound up to rounding.
    """

    def nearer(r: tf.Tensor) -> tuple[tf.Tensor]:
        inside = (r > risk) & (r < 1.0)
        safe = tf.where(inside, r, 0.5 * (1.0 + risk))
        step = (binary_kl(risk, safe) - nats) / _slope(risk, safe)
        return (tf.where(inside, tf.clip_by_value(safe - step, risk, 1.0), r),)

    start = _upper_start(risk, nats)
    steps = {"maximum_iterations": NUM_NEWTON_STEPS, "parallel_iterations": 1}
    (r,) = tf.while_loop(lambda _: True, nearer, (start,), **steps)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        q = tf.maximum(risk, MIN_RISK)
        inside = (r > q) & (r < 1.0)
        safe = tf.where(inside, r, 0.5 * (1.0 + q))
        by_risk = tf.math.log(q / safe) - tf.math.log1p(-q) + tf.math.log1p(-safe)
        by_nats = upstream * tf.where(inside, 1.0 / _slope(q, safe), 0.0)
        return -by_nats * by_risk, by_nats

    return r, gradient


# Its hundreds of operations take a hundred times as long one by one.
_compiled_inverse = tf.function(
    kl_inverse, input_signature=[tf.TensorSpec(None, tf.float64)] * 2, autograph=False
)


def inverse_of_arrays(risk: np.ndarray, nats: np.ndarray) -> np.ndarray:
    """`kl_inverse` of arrays of float64, for statements."""
    with tf.device("CPU"):
        return _compiled_inverse(tf.constant(risk), tf.constant(nats)).numpy()


def _slope(risk: Numbers, r: Numbers) -> tf.Tensor:
    """Derivative of ``kl(risk || r)`` with respect to r."""
    return (r - risk) / (r * (1.0 - r))


def _upper_start(risk: Numbers, nats: Numbers) -> tf.Tensor:
    """The least of three upper bounds on the inverse, each tight in another region."""
    refined = risk + tf.sqrt(2.0 * risk * nats) + 2.0 * nats
    pinsker = risk + tf.sqrt(0.5 * nats)
    entropy = -tf.math.xlogy(risk, risk) - tf.math.xlog1py(1.0 - risk, -risk)
    near_one = -tf.math.expm1(-(nats + entropy) / tf.where(risk < 1.0, 1.0 - risk, 1.0))
    near_one = tf.where(risk < 1.0, near_one, 1.0)
    least = tf.minimum(tf.minimum(refined, pinsker), near_one)
    # With infinite nats and risk zero, two of the three are NaN.
    return tf.clip_by_value(tf.where(tf.math.is_finite(nats), least, 1.0), risk, 1.0)


def classes(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Classes ``[batch]``, int32, of labels ``[batch]``, ``[batch, 1]`` or one-hot rows."""
    one_hot = labels.shape.rank == 2 and labels.shape[-1] == num_classes > 1
    labels = tf.argmax(labels, -1) if one_hot else tf.reshape(labels, [-1])
    return tf.cast(labels, tf.int32)


def bounded_crossentropy(
    labels: tf.Tensor, scores: tf.Tensor, *, from_logits: bool, min_probability: float
) -> tf.Tensor:
    """Cross-entropy of every example, scaled to [0, 1].

    ``-log max(p(label), min_probability) / log(1 / min_probability)``: probabilities below
    `min_probability` cost no more than `min_probability` itself.

    Args:
        labels: Classes ``[batch]``, integers.
        scores: Logits or probabilities ``[batch, classes]``.
        from_logits: Whether the scores are logits.
        min_probability: The floor, between 0 and 1.
    """
    if from_logits:
        log_p = tf.nn.log_softmax(scores)
    else:  # floored before the logarithm, whose gradient at zero is infinite
        log_p = tf.math.log(tf.maximum(scores, min_probability))
    worst = -tf.math.log(tf.constant(min_probability, log_p.dtype))
    return tf.minimum(-tf.gather(log_p, labels, batch_dims=1), worst) / worst


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
    ``"kl"``: the largest r with ``kl(risk || r) <= c / N`` (Maurer), the tightest of the first
    three;
    ``"mcallester"``: ``risk + sqrt(c / 2N)``;
    ``"quadratic"``: ``(sqrt(risk + c / 2N) + sqrt(c / 2N))^2``;
    ``"linear"``: ``[risk + beta (KL + log(1 / delta)) / N] / (1 - 1 / (2 beta))``.

    The bound is exact to 1e-9 and rounded up, at least `risk` and at most 1. Arguments broadcast.

    Args:
        risk: Mean loss over the examples and over draws from the posterior, in [0, 1]. The loss
            itself must be in [0, 1], and the risk exact; see `monte_carlo_bound`.
        kl: Divergence of the posterior from the prior, total nats.
        num_examples: Number of independent examples; the prior must not depend on any of them.
        delta: Probability with which the bound may fail.
        kind: Which bound to compute.
        beta: Only for ``"linear"``: a number above 1/2, chosen before the examples are seen.

    Returns:
        A float, or an array if an argument is an array.

    Raises:
        ValueError: A number is out of its range, or `beta` is missing or not allowed.

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
    if kind == "kl":
        risk, *of_nats = given.values()
        return rounded_up(inverse_of_arrays(risk, _nats(*of_nats).numpy()), risk)
    formulas = {"mcallester": mcallester_bound, "quadratic": quadratic_bound}
    formula = formulas.get(kind, linear_bound)
    bound = formula(*(tf.constant(array) for array in given.values()))
    return rounded_up(bound.numpy(), given["risk"])


def monte_carlo_bound(mean: ArrayLike, num_trials: ArrayLike, delta: ArrayLike) -> Any:
    """Upper bound on the expected mean of independent trials in [0, 1], from their observed mean.

    The largest r with ``kl(mean || r) <= log(1 / delta) / num_trials``, by Hoeffding's inequality,
    which requires independent trials, but not identically distributed ones.
    It holds with probability at least ``1 - delta`` over the trials; exact to 1e-9, rounded up.

    Args:
        mean: Mean of the trials, in [0, 1].
        num_trials: Number of trials.
        delta: Probability with which the bound may fail.

    Returns:
        A float, or an array if an argument is an array.

    Raises:
        ValueError: A number is out of its range.

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
    return rounded_up(inverse_of_arrays(mean, -np.log(delta) / num_trials), mean)


def failure_probability(name: str, value: Any) -> np.ndarray:
    """Checks a probability of failure, or an array of them."""
    return check_numbers(name, value, None, SMALLEST, 1, open_above=True)


def check_broadcast(arguments: dict[str, np.ndarray]) -> None:
    """Refuses arrays whose shapes do not broadcast."""
    shapes = {name: array.shape for name, array in arguments.items() if array.ndim}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        names = " and ".join(f"`{name}`" for name in shapes)
        raise ValueError(f"{names} must broadcast. Received: shapes {shapes}") from None


def rounded_up(bound: Any, risk: Any) -> Any:
    """The bound rounded up, at least the risk and at most 1."""
    bound = np.minimum(np.maximum(bound * (1.0 + SAFETY) + SAFETY, risk), 1.0)
    return bound if bound.ndim else float(bound)


def rounded_down(bound: Any, risk: Any) -> Any:
    """The lower bound rounded down, at most the risk and at least 0."""
    bound = np.maximum(np.minimum(bound * (1.0 - SAFETY) - SAFETY, risk), 0.0)
    return bound if bound.ndim else float(bound)

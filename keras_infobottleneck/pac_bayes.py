"""PAC-Bayes bounds as differentiable formulas, and the cross-entropy that is bounded for them.

A network whose weights are drawn from a posterior q, with a prior p that knows nothing of the N
examples, has with probability ``1 - delta`` over these examples a true risk under the bound, for
every q at once. Training minimises these formulas, certificates evaluate them.

Letters: ``risk`` is the mean loss of the drawn network, in [0, 1]; ``kl`` is ``KL(q || p)`` in
nats; ``nats = (KL + log(2 sqrt(N) / delta)) / N``; ``kl(r || s)`` is the divergence of Bernoulli
variables of means r and s. All take and give tensors of one floating dtype.

References:
    Maurer (2004), arXiv cs/0411099. McAllester (1999), "PAC-Bayesian model averaging".
    Perez-Ortiz, Rivasplata, Shawe-Taylor & Szepesvari (2021), "Tighter risk certificates for
    neural networks", arXiv 2007.12911.
"""

from typing import Any

import tensorflow as tf

__all__ = [
    "binary_kl",
    "bounded_crossentropy",
    "classes",
    "kl_bound",
    "kl_inverse",
    "linear_bound",
    "mcallester_bound",
    "quadratic_bound",
]

Numbers = Any  # a tensor of a floating dtype, or a number beside one

NUM_NEWTON_STEPS = 16  # 12 reach float64 rounding for every risk and divergence tried
MIN_RISK = 1e-7  # in the gradient, which is infinite where the risk is zero


def kl_bound(risk: Numbers, kl: Numbers, num_examples: Numbers, delta: Numbers) -> tf.Tensor:
    """Largest r with ``kl(risk || r) <= nats``: the tightest of the bounds here."""
    return kl_inverse(risk, _nats(kl, num_examples, delta))


def mcallester_bound(
    risk: Numbers, kl: Numbers, num_examples: Numbers, delta: Numbers
) -> tf.Tensor:
    """``risk + sqrt(nats / 2)``."""
    return risk + tf.sqrt(_nats(kl, num_examples, delta) / 2.0)


def quadratic_bound(risk: Numbers, kl: Numbers, num_examples: Numbers, delta: Numbers) -> tf.Tensor:
    """``(sqrt(risk + nats / 2) + sqrt(nats / 2))^2``: tighter where the risk is under 1/4."""
    half = _nats(kl, num_examples, delta) / 2.0
    return tf.square(tf.sqrt(risk + half) + tf.sqrt(half))


def linear_bound(
    risk: Numbers, kl: Numbers, num_examples: Numbers, delta: Numbers, beta: Numbers
) -> tf.Tensor:
    """``[risk + beta (KL + log(1 / delta)) / N] / (1 - 1 / (2 beta))``, beta chosen beforehand.

    "Where is the Information in a Deep Neural Network?" (arXiv 1905.12213), Theorem 2.2.
    """
    price = beta * (kl - tf.math.log(delta)) / num_examples
    return (risk + price) / (1.0 - 0.5 / beta)


def _nats(kl: Numbers, num_examples: Numbers, delta: Numbers) -> tf.Tensor:
    """What the bounds have per example: ``(KL + log(2 sqrt(N) / delta)) / N``."""
    confidence = tf.math.log(2.0 / delta) + 0.5 * tf.math.log(num_examples)
    return (kl + confidence) / num_examples


def binary_kl(risk: Numbers, r: Numbers) -> tf.Tensor:
    """``kl(risk || r)`` for ``risk <= r < 1``; no digits are lost where the two are close."""
    distance = r - risk
    return -tf.math.xlog1py(risk, distance / tf.where(risk > 0.0, risk, 1.0)) - tf.math.xlog1py(
        1.0 - risk, -distance / tf.where(risk < 1.0, 1.0 - risk, 1.0)
    )


@tf.custom_gradient
def kl_inverse(risk: Numbers, nats: Numbers) -> tf.Tensor:
    """Largest r in [risk, 1] with ``kl(risk || r) <= nats``.

    Newton's method from above: the divergence is convex in r, so that every step, and with it the
    result, is an upper bound up to rounding.
    """
    r = _upper_start(risk, nats)
    for _ in range(NUM_NEWTON_STEPS):
        inside = (r > risk) & (r < 1.0)
        safe = tf.where(inside, r, 0.5 * (1.0 + risk))
        step = (binary_kl(risk, safe) - nats) / _slope(risk, safe)
        r = tf.where(inside, tf.clip_by_value(safe - step, risk, 1.0), r)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        q = tf.maximum(risk, MIN_RISK)
        inside = (r > q) & (r < 1.0)
        safe = tf.where(inside, r, 0.5 * (1.0 + q))
        by_risk = tf.math.log(q / safe) - tf.math.log1p(-q) + tf.math.log1p(-safe)
        by_nats = upstream * tf.where(inside, 1.0 / _slope(q, safe), 0.0)
        return -by_nats * by_risk, by_nats

    return r, gradient


def _slope(risk: Numbers, r: Numbers) -> tf.Tensor:
    """Derivative of ``kl(risk || r)`` by r."""
    return (r - risk) / (r * (1.0 - r))


def _upper_start(risk: Numbers, nats: Numbers) -> tf.Tensor:
    """The least of three upper bounds on the inverse, each close somewhere."""
    refined = risk + tf.sqrt(2.0 * risk * nats) + 2.0 * nats
    pinsker = risk + tf.sqrt(0.5 * nats)
    entropy = -tf.math.xlogy(risk, risk) - tf.math.xlog1py(1.0 - risk, -risk)
    near_one = -tf.math.expm1(-(nats + entropy) / tf.where(risk < 1.0, 1.0 - risk, 1.0))
    near_one = tf.where(risk < 1.0, near_one, 1.0)
    least = tf.minimum(tf.minimum(refined, pinsker), near_one)
    # Infinite nats at risk zero are not a number in two of the three.
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

    ``-log max(p(label), min_probability) / log(1 / min_probability)``; nothing is charged beyond
    the loss of a probability of `min_probability`.

    Args:
        labels: classes ``[batch]``, integers.
        scores: logits or probabilities ``[batch, classes]``.
        from_logits: which of the two.
        min_probability: the floor, between 0 and 1.
    """
    if from_logits:
        log_p = tf.nn.log_softmax(scores)
    else:  # the floor before the logarithm, whose gradient at zero is infinite
        log_p = tf.math.log(tf.maximum(scores, min_probability))
    worst = -tf.math.log(tf.constant(min_probability, log_p.dtype))
    return tf.minimum(-tf.gather(log_p, labels, batch_dims=1), worst) / worst

"""A certificate: a bound on the error on new data that holds with a stated probability."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_infobottleneck import pac_bayes
from keras_infobottleneck.estimators.batches import Batches
from keras_infobottleneck.estimators.pac_bayes_bound import monte_carlo_bound, pac_bayes_bound
from keras_infobottleneck.estimators.passes import compiled, summed
from keras_infobottleneck.layers.anchoring_data import fingerprints
from keras_infobottleneck.layers.independent_draws import IndependentDraws

__all__ = ["Certificate", "certify"]

TOLERANCE = 1e-3  # by which probabilities may miss a sum of one


@dataclass(frozen=True)
class Certificate:
    """What `certify` found; errors are shares of examples, cross-entropies nats per example.

    Attributes:
        error_bound: bound on the error of the randomised network on new data.
        cross_entropy_bound: bound on its clamped cross-entropy on new data.
        randomized_error, randomized_cross_entropy: as observed, over examples and draws.
        mean_error: of the network with posterior means, which no bound covers.
        ensemble_error: of the average probability over draws, which no bound covers.
        kl: divergence of the posterior from the prior, total nats.
        num_examples: N of the bounds, counted from the data.
        delta: probability with which the PAC-Bayes bound may fail.
        delta_monte_carlo: probability with which the Monte Carlo may mislead.
        num_samples: draws for every example.
        num_trials: independent trials of the Monte Carlo.
        method: how they were drawn.
        min_probability: floor of the clamped cross-entropy.
        num_anchoring_examples: examples on which the prior depends.
    """

    error_bound: float
    cross_entropy_bound: float
    randomized_error: float
    randomized_cross_entropy: float
    mean_error: float
    ensemble_error: float
    kl: float
    num_examples: int
    delta: float
    delta_monte_carlo: float
    num_samples: int
    num_trials: int
    method: str
    min_probability: float
    num_anchoring_examples: int

    @property
    def confidence(self) -> float:
        """Probability with which each bound by itself holds, at least."""
        return 1.0 - self.delta - self.delta_monte_carlo

    @property
    def kl_per_example(self) -> float:
        """Nats in the weights per example of the certificate."""
        return self.kl / self.num_examples

    def to_dict(self) -> dict:
        """All fields and properties by name."""
        return {
            **asdict(self),
            "confidence": self.confidence,
            "kl_per_example": self.kl_per_example,
        }

    def __repr__(self) -> str:
        return (
            f"Certificate: error on new data at most {self.error_bound:.3%} with probability "
            f"{self.confidence:.1%} (randomised network; observed {self.randomized_error:.3%} on "
            f"{self.num_examples:,} examples, mean weights {self.mean_error:.3%}, ensemble "
            f"{self.ensemble_error:.3%}); cross-entropy at most {self.cross_entropy_bound:.4f} "
            f"nats; {self.kl:,.1f} nats in the weights, {self.kl_per_example:.2e} per example; "
            f"{self.num_trials:,} independent trials: {self.method}"
        )


def certify(
    model: keras.Model,
    data,
    *,
    delta: float = 0.025,
    num_samples: int = 10,
    delta_monte_carlo: float = 0.01,
    examples_per_draw: int = 1,
    min_probability: float = 1e-4,
    from_logits: bool | None = None,
    allow_repeats: bool = False,
    batch_size: int | None = None,
    seed: int | None = None,
    verbose: int = 0,
) -> Certificate:
    """Bound the error on new data of a network whose weights are drawn from their posterior.

    ``kl(kl(error, log(1 / delta_monte_carlo) / trials), (KL + log(2 sqrt(N) / delta)) / N)``, where
    ``kl(r, c)`` is the largest s with ``kl(r || s) <= c``: the outer one is `pac_bayes_bound`, the
    inner one, `monte_carlo_bound`, makes up for estimating the error from draws. A bound: it fails
    with probability ``delta + delta_monte_carlo`` at most, over the examples and the draws, if they
    are independent draws of what new data come from. It concerns the network that draws its weights
    anew for each prediction; the same for the cross-entropy, clamped at ``-log min_probability``.

    The trials of the Monte Carlo are independent, which is what the bound asks of them. Where all
    variational layers are dense with ``estimator="local"``, fed a vector for each example and used
    once, every example of every pass has noise of its own: ``num_samples * N`` trials, each pass
    the cost of a prediction. Layers of any other kind have their weights drawn anew for every
    `examples_per_draw` examples, and the trials are such groups: with 1 there are as many, at the
    cost of one draw of these weights per example.

    Every weight must come from the posterior, or be unchanged since `anchor_prior`: what others
    learned of the data would be in no divergence. ``make_variational(..., variational_bias=True)``
    leaves none; normalisation must be frozen before anchoring.

    Args:
        model: an `InformationBottleneckModel` with Gaussian posteriors whose prior is fixed: by
            `anchor_prior`, on other examples, or by a `prior_scale` chosen without the data.
        data: ``(x, y)`` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`; classes or
            one-hot rows. They may have trained the posterior, not the prior, and chosen nothing
            that the prior depends on. In the form in which the anchoring data were given.
        delta: probability with which the PAC-Bayes bound may fail.
        num_samples: draws for every example.
        delta_monte_carlo: probability with which the Monte Carlo may mislead.
        examples_per_draw: examples that share drawn weights, where weights must be drawn.
        min_probability: floor of the probability in the clamped cross-entropy.
        from_logits: whether the network ends in logits; by default as the compiled loss says.
        allow_repeats: whether equal examples are independent draws that happen to agree, as in
            data of few distinct values, rather than copies, which count once.
        batch_size: examples in a batch, for arrays.
        seed: of the noise.
        verbose: 1 shows a progress bar.

    Returns:
        A `Certificate`.

    Raises:
        TypeError: a model or data of another kind.
        ValueError: whatever would make the statement untrue, or an argument out of its range.

    References:
        Perez-Ortiz, Rivasplata, Shawe-Taylor & Szepesvari (2021), "Tighter risk certificates for
        neural networks", arXiv 2007.12911. Langford & Caruana (2001). Kingma, Salimans & Welling
        (2015), arXiv 1506.02557.
    """
    _check_numbers(delta, delta_monte_carlo, num_samples, examples_per_draw, min_probability)
    _check_model(model)
    from_logits = _ends_in_logits(model, from_logits)
    batches = Batches(data, batch_size)
    _check_examples(model, data, allow_repeats)
    _check_outputs(model, batches, from_logits)

    def make(reference):
        x = _two_examples(batches)
        draws = IndependentDraws(
            reference().network, reference().variational_layers, x, examples_per_draw
        )
        return draws, _pass_over(reference, draws, num_samples, from_logits, min_probability)

    key = ("certify", num_samples, examples_per_draw, from_logits, min_probability)
    draws, of_batch = compiled(model, key, make)
    base_seed = tf.cast(keras.random.SeedGenerator(seed).state, tf.int32)
    sums = summed(lambda batch: of_batch(batch, base_seed), batches, verbose=verbose)
    sums = {name: float(value) for name, value in sums.items()}

    num_examples = batches.num_examples
    num_trials = int(sums["groups"]) * num_samples
    # Groups that are not full count the missing examples as right, and the bound makes up for it.
    filled = sums["groups"] * draws.group_size / num_examples
    kl = _total_kl(model.variational_layers)
    worst = float(-np.log(min_probability))

    def bound(risk):
        upper = filled * monte_carlo_bound(risk / filled, num_trials, delta_monte_carlo)
        return pac_bayes_bound(min(upper, 1.0), kl, num_examples, delta)

    error = sums["errors"] / (num_samples * num_examples)
    cross_entropy = sums["cross_entropy"] / (num_samples * num_examples)
    return Certificate(
        error_bound=bound(error),
        cross_entropy_bound=worst * bound(cross_entropy),
        randomized_error=error,
        randomized_cross_entropy=worst * cross_entropy,
        mean_error=sums["mean_errors"] / num_examples,
        ensemble_error=sums["ensemble_errors"] / num_examples,
        kl=kl,
        num_examples=num_examples,
        delta=delta,
        delta_monte_carlo=delta_monte_carlo,
        num_samples=num_samples,
        num_trials=num_trials,
        method=_method(draws),
        min_probability=min_probability,
        num_anchoring_examples=len(model.anchoring_fingerprints),
    )


def _pass_over(reference, draws, num_samples, from_logits, min_probability):
    """The compiled function from a batch to sums over its examples and draws."""

    @tf.function
    def of_batch(batch, base_seed):
        weights = tf.cast(batch.weights, tf.float64)
        mean_scores = tf.cast(reference()(batch.x, training=False), tf.float32)
        labels = pac_bayes.classes(tf.convert_to_tensor(batch.y), mean_scores.shape[-1])
        seed = tf.random.experimental.stateless_fold_in(base_seed, batch.first)
        missing = -weights.shape[0] % draws.group_size
        x = tf.nest.map_structure(
            lambda a: tf.concat([a, tf.repeat(a[:1], missing, axis=0)], 0), batch.x
        )
        groups = tf.reshape(tf.pad(weights, [[0, missing]]), [-1, draws.group_size])

        def total(values):
            return tf.reduce_sum(weights * tf.cast(values, tf.float64))

        def wrong(scores):
            return total(tf.argmax(scores, -1, tf.int32) != labels)

        def add_sample(index, errors, cross_entropy, probabilities):
            draw_seed = tf.random.experimental.stateless_fold_in(seed, index)
            scores = tf.cast(draws(x, draw_seed), tf.float32)[: weights.shape[0]]
            losses = pac_bayes.bounded_crossentropy(
                labels, scores, from_logits=from_logits, min_probability=min_probability
            )
            probabilities += tf.nn.softmax(scores) if from_logits else scores
            return index + 1, errors + wrong(scores), cross_entropy + total(losses), probabilities

        zero = tf.zeros([], tf.float64)
        _, errors, cross_entropy, probabilities = tf.while_loop(
            lambda index, *_: index < num_samples,
            add_sample,
            (0, zero, zero, tf.zeros_like(mean_scores)),
            parallel_iterations=1,
        )
        return {
            "errors": errors,
            "cross_entropy": cross_entropy,
            "mean_errors": wrong(mean_scores),
            "ensemble_errors": wrong(probabilities),
            "groups": tf.reduce_sum(tf.reduce_max(groups, -1)),
        }

    return of_batch


def _total_kl(layers) -> float:
    """Divergence of the posteriors from the priors in float64, where small ones keep digits."""
    normal = tfp.distributions.Normal
    total = 0.0
    for layer in layers:
        for q, p in zip(layer.posterior().values(), layer.prior().values(), strict=True):
            q, p = (normal(*(tf.cast(a, tf.float64) for a in (d.loc, d.scale))) for d in (q, p))
            total += float(tf.reduce_sum(tfp.distributions.kl_divergence(q, p)))
    return total


def _method(draws) -> str:
    """How the trials were drawn, in words."""
    local = ", ".join(layer.name for layer in draws.local)
    if not draws.shared:
        return f"noise of its own for every example on the pre-activations of {local}"
    shared = ", ".join(layer.name for layer in draws.shared)
    group = "example" if draws.group_size == 1 else f"{draws.group_size} examples"
    method = f"weights of {shared} drawn anew for every {group}"
    return (
        f"{method}; noise for every example on the pre-activations of {local}" if local else method
    )


def _two_examples(batches):
    """The first example, twice: enough to tell rows that are examples from others."""
    return tf.nest.map_structure(lambda a: tf.concat([a, a], 0), batches.first_inputs())


def _check_numbers(delta, delta_monte_carlo, num_samples, examples_per_draw, min_probability):
    for name, value in (("delta", delta), ("delta_monte_carlo", delta_monte_carlo)):
        if not _is_number(value) or not 0 < value < 1:
            raise ValueError(f"`{name}` must be above 0 and below 1. Received: {name}={value!r}")
    if delta + delta_monte_carlo >= 1:
        raise ValueError(
            "`delta` and `delta_monte_carlo` must leave some confidence, their sum under 1. "
            f"Received: delta={delta}, delta_monte_carlo={delta_monte_carlo}"
        )
    for name, value in (("num_samples", num_samples), ("examples_per_draw", examples_per_draw)):
        if not _is_number(value, int | np.integer) or value < 1:
            raise ValueError(f"`{name}` must be an integer, 1 or more. Received: {name}={value!r}")
    if not _is_number(min_probability) or not 0 < min_probability < 1:
        raise ValueError(
            "`min_probability` must be above 0 and below 1: a loss without a bound has no "
            f"certificate. Received: min_probability={min_probability!r}"
        )


def _is_number(value, kind=int | float | np.number) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _check_model(model):
    """Raise where the divergence would not hold all that the network knows of the data."""
    layers = getattr(model, "variational_layers", None)
    if not isinstance(model, keras.Model) or layers is None:
        raise TypeError(f"`model` must be an InformationBottleneckModel. Received: model={model!r}")
    if not layers:
        raise ValueError(
            f"`model` has no VariationalWeights to certify. Received: model={model.name!r}"
        )
    for layer in layers:
        if not layer.built:
            raise ValueError(
                "`model` has no weights before it is built: call it on a batch first. "
                f"Received: layer={layer.name!r}, not built"
            )
        if layer.posterior_name != "gaussian":
            raise ValueError(
                "Only Gaussian posteriors can be certified: the others have no prior that is "
                "fixed before the data. "
                f"Received: layer={layer.name!r}, posterior={layer.posterior_name!r}"
            )
        if not layer.prior_is_fixed:
            raise ValueError(
                "The prior follows the posterior, and with it the data; call `model.anchor_prior` "
                f"or give a `prior_scale`. Received: layer={layer.name!r}, prior_scale=None"
            )
        if layer.anchored and not len(model.anchoring_fingerprints):
            raise ValueError(
                "The data on which the prior depends are not known; anchor it by "
                f"`model.anchor_prior`. Received: layer={layer.name!r}, anchored by itself"
            )
    if model.unanchored_weights:
        raise ValueError(
            "Weights without a distribution must be as they were when the prior was anchored; use "
            "`variational_bias=True`, and freeze normalisation before. "
            f"Received: {', '.join(model.unanchored_weights)}"
        )


def _ends_in_logits(model, from_logits) -> bool:
    """What was said, or what the compiled loss says."""
    if from_logits is None:
        loss = getattr(model, "loss", None)
        if isinstance(loss, str):
            loss = keras.losses.get(loss)
        config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
        from_logits = config.get("from_logits")
    if not isinstance(from_logits, bool):
        raise ValueError(
            "`from_logits` must be True or False where the compiled loss does not say. "
            f"Received: from_logits={from_logits!r}"
        )
    return from_logits


def _check_examples(model, data, allow_repeats):
    """Raise on examples that the prior has seen, or that are counted twice."""
    values = fingerprints(data)
    seen = np.isin(values, model.anchoring_fingerprints).sum()
    if seen:
        raise ValueError(
            "`data` must hold no example that the prior depends on. "
            f"Received: {seen} of {len(values)} examples among those of `anchor_prior`"
        )
    repeats = len(values) - len(np.unique(values))
    if repeats and not allow_repeats:
        raise ValueError(
            "`data` must hold every example once; if equal ones are independent draws, say "
            f"allow_repeats=True. Received: {repeats} repeats among {len(values)} examples"
        )


def _check_outputs(model, batches, from_logits):
    """Raise unless the outputs are one row of class scores for each label."""
    outputs = model(_two_examples(batches), training=False)
    if not tf.is_tensor(outputs) or outputs.shape.rank != 2 or outputs.shape[-1] < 2:
        shapes = tf.nest.map_structure(lambda a: tuple(a.shape), outputs)
        raise ValueError(
            "`model` must have one output of shape [batch, classes], two classes or more. "
            f"Received: {shapes}"
        )
    sums = tf.reduce_sum(outputs, -1).numpy()
    if not from_logits and (np.min(outputs) < 0 or np.abs(sums - 1.0).max() > TOLERANCE):
        raise ValueError(
            "The outputs must be probabilities where `from_logits` is False. "
            f"Received: a row that sums to {sums[0]:.4g}"
        )
    num_classes = outputs.shape[-1]
    for batch in batches:
        y = np.asarray(batch.y)
        one_hot = y.ndim == 2 and y.shape[-1] == num_classes
        if one_hot:
            valid = np.all((y == 0) | (y == 1)) and np.all(y.sum(-1) == 1)
        else:
            valid = y.size == len(y) and np.all((y >= 0) & (y < num_classes) & (y == np.floor(y)))
        if not valid:
            raise ValueError(
                f"The labels must be classes from 0 to {num_classes - 1}, or one-hot rows. "
                f"Received: shape={y.shape}, values from {y.min()} to {y.max()}"
            )

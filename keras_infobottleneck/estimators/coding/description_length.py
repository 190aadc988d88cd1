"""The bits-back code: labels given drawn weights, the weights themselves, and their scales."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck import pac_bayes
from keras_infobottleneck.arguments import check_count, check_flag, check_verbose, seed_or_fresh
from keras_infobottleneck.certificates.conditions import (
    CheckedBatches,
    certified_layers,
    check_outputs,
    ends_in_logits,
    two_examples,
)
from keras_infobottleneck.certificates.trials import IndependentDraws, class_scores
from keras_infobottleneck.data.batches import Batch
from keras_infobottleneck.estimators.coding.code_length import CodeLength
from keras_infobottleneck.introspection.compiled_passes import CompiledSum, compiled, sum_over
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.models.anchoring.anchoring import Anchoring
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["DescriptionLength", "description_length"]


@dataclass(frozen=True, repr=False)
class DescriptionLength(CodeLength):
    """Length of a code for labels in which the weights of the network are part of the message.

    Attributes:
        nats: Total length, `data_nats + weight_nats + scale_nats`, with its standard error over
            draws.
        data_nats: Nats of the labels, given weights that are drawn from the posterior.
        weight_nats: Nats of the weights: divergence of the posterior from the prior.
        scale_nats: Nats of the prior's scales, if they are on a grid; 0 if they were fixed.
        uniform_nats: Length for the same labels without a network: `N log C`.
        num_examples: N, the number of labels.
        num_classes: C.
        num_draws: Number of draws of the weights for each batch.
        seed: Seed of the draws.

    Example:
        ```python
        import keras_infobottleneck as kib

        length = kib.estimators.DescriptionLength(
            nats=kib.estimators.Estimate(700.0, 2.0),
            data_nats=kib.estimators.Estimate(500.0, 2.0),
            weight_nats=180.0,
            scale_nats=20.0,
            uniform_nats=2302.6,
            num_examples=1000,
            num_classes=10,
            num_draws=8,
        )
        print(f"{length.kbit:.2f} kbit, {length.ratio:.2f} of {length.uniform_kbit:.2f}")
        ```

        ```text
        1.01 kbit, 0.30 of 3.32
        ```
    """

    nats: Estimate
    data_nats: Estimate
    weight_nats: float
    scale_nats: float
    uniform_nats: float
    num_examples: int
    num_classes: int
    num_draws: int
    seed: int | None = None

    def __repr__(self) -> str:
        return (
            f"DescriptionLength: {self.kbit:,.2f} kbit for {self.num_examples:,} labels, "
            f"{self.ratio:.3f} of the {self.uniform_kbit:,.2f} kbit without a network "
            f"({self.nats!r} nats: {self.data_nats!r} of the labels, {self.weight_nats:,.1f} of "
            f"the weights, {self.scale_nats:,.1f} of their prior's scales)"
        )


@on_replicas
def description_length(
    model: keras.Model,
    data: Any,
    *,
    num_draws: int = 8,
    from_logits: bool | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
    verbose: int = 0,
) -> DescriptionLength:
    """Length in nats of the bits-back code for the labels of `data`, with the weights.

    ``L = sum_i E_q[-log p(y_i | x_i, w)] + KL(q || p) + nats of the prior's scales``. A real code,
    "bits back", has this length in expectation: weights drawn from the posterior q are transmitted
    at the price of their divergence from the prior p, then the labels by the predictions of the
    drawn network. Training with ``weight_beta=1`` minimises it. What the network memorises is paid
    for in the weights, so for random labels the length is at least `N log C`, the length without a
    network, up to chance.

    Unbiased over the draws, with a standard error. The weights are drawn `num_draws` times for each
    batch, as one set for all of its examples, or for each example if that gives every output the
    same distribution. Cost: this number of predictions.

    Scales that were fitted, ``prior_scale=None``, are moved to the grid ``10 exp(-j / 16)`` and
    cost ``2 log(j + 1) + log(pi^2 / 6)`` nats each, as for ``prior_scale="grid"``. All other
    weights must have a distribution or be unchanged since `anchor_prior`: otherwise a learned
    weight would be transmitted without being paid for.

    Args:
        model: An `InformationBottleneckModel` with Gaussian posteriors.
        data: ``(x, y)`` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset`; classes or
            one-hot rows. Usually the training data of the posterior; none that an anchored prior
            depends on.
        num_draws: Number of draws of the weights for each batch, at least 2.
        from_logits: Whether the network ends in logits; by default as in the compiled loss.
        batch_size: Number of examples in a batch, for arrays.
        seed: Seed of the draws.
        strategy: Strategy on whose replicas it runs; by default that of the current scope.
        verbose: 1 shows a progress bar.

    Returns:
        A `DescriptionLength`.

    Raises:
        TypeError: The model or the data are of another kind.
        ValueError: Learned weights are not paid for, labels are not classes, or an argument is out
            of its range.

    References:
        Hinton & van Camp (1993), "Keeping the neural networks simple by minimizing the description
        length of the weights". Blier & Ollivier (2018), arXiv 1802.07044, section 3.3.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        x = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
        y = (x[:, 0] > 0).astype(int)
        plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
        plain.layers[0].kernel.assign([[-2.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
        model = kib.make_variational(plain, num_examples=200, prior_scale="grid", verbose=0)
        length = kib.estimators.description_length(model, (x, y), from_logits=True, seed=0)
        print(f"{length.kbit:.2f} kbit, without a network {length.uniform_kbit:.2f}")
        ```

        ```text
        0.08 kbit, without a network 0.20
        ```
    """
    check_count("num_draws", num_draws, 2, 2**31 - 1)  # the limit of a TensorFlow loop
    check_flag("from_logits", from_logits, optional=True)
    check_count("batch_size", batch_size, optional=True)
    seed = seed_or_fresh("seed", seed)
    check_verbose("verbose", verbose)
    anchoring = Anchoring(model)
    layers = certified_layers(model, anchoring, fitted_scales=True)
    from_logits = ends_in_logits(model, from_logits)
    batches = batches_for(model, data, batch_size)
    x = two_examples(batches)
    num_classes = check_outputs(model.network, x, from_logits, anchoring.pricing_weights)
    rows = batches.size

    def make(reference: Callable[[], keras.Model]) -> CompiledSum:
        layers = Anchoring(reference()).noisy_layers
        draws = IndependentDraws(reference().network, layers, x, rows)
        return CompiledSum(_sums_of_batch(draws, num_draws, from_logits))

    total = compiled(model, ("description_length", num_draws, from_logits, rows), make)
    checked = CheckedBatches(batches, num_classes, anchoring.fingerprints, allow_repeats=True)
    start = tf.cast(keras.random.SeedGenerator(seed).state, tf.int32)
    sums = {k: float(v) for k, v in total.over(checked, start, verbose=verbose).items()}
    if not math.isfinite(sums["nats"]):
        raise ValueError(
            "Every label must have a probability above zero; let the network end in logits, or "
            f"look for NaN in the data or the weights. Received: {sums['nats']} nats"
        )
    lengths = [tuple(map(float, layer.code_length("float64"))) for layer in layers]
    weight_nats, scale_nats = (sum(part) for part in zip(*lengths, strict=True))
    error = math.sqrt(max(sums["variance"], 0.0))
    num_examples = batches.num_examples
    return DescriptionLength(
        nats=Estimate(sums["nats"] + weight_nats + scale_nats, error),
        data_nats=Estimate(sums["nats"], error),
        weight_nats=weight_nats,
        scale_nats=scale_nats,
        uniform_nats=num_examples * math.log(num_classes),
        num_examples=num_examples,
        num_classes=num_classes,
        num_draws=num_draws,
        seed=seed,
    )


def _sums_of_batch(
    draws: IndependentDraws, num_draws: int, from_logits: bool
) -> Callable[[Batch, tf.Tensor], dict[str, tf.Tensor]]:
    """Function from a batch and a seed to the labels' mean nats over draws, and their variance."""

    def of_batch(batch: Batch, base_seed: tf.Tensor) -> dict[str, tf.Tensor]:
        seed = tf.random.experimental.stateless_fold_in(base_seed, batch.first)
        weights = tf.cast(batch.weights, tf.float64)

        def of_draw(index: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            draw_seed = tf.random.experimental.stateless_fold_in(seed, index)
            scores = class_scores(draws(batch.x, draw_seed), from_logits)
            labels = pac_bayes.classes(tf.convert_to_tensor(batch.y), scores.shape[-1])
            log_p = tf.nn.log_softmax(scores) if from_logits else tf.math.log(scores)
            log_p = tf.gather(log_p, labels, batch_dims=1)
            # Rows that only fill up the batch do not count, even if their nats are infinite.
            nats = tf.reduce_sum(tf.where(weights > 0, -tf.cast(log_p, tf.float64), 0.0))
            return nats, tf.square(nats)

        zero = tf.zeros([], tf.float64)
        nats, squares = sum_over(num_draws, of_draw, (zero, zero))
        mean = nats / num_draws
        # Variance of the mean over draws; batches draw independently of each other.
        variance = (squares / num_draws - tf.square(mean)) / (num_draws - 1)
        return {"nats": mean, "variance": variance}

    return of_batch

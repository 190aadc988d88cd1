"""Priors of Gaussian posteriors: fixed, kept from before, fitted, or fitted on a grid and paid."""

import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

__all__ = [
    "GRIDS",
    "AnchoredPrior",
    "GaussianPrior",
    "ScaleChoice",
    "chosen_scales",
    "gaussian_priors",
    "nats_of",
    "nats_of_rank",
]

LARGEST = 10.0  # c: wider than the weights of most networks, and a choice made before any data
STEPS_PER_NAT = 16.0  # b: rounding to it costs 1 / 3,072 nats for each weight on average
NUM_SCALES = 512  # as far as anybody looks, down to 1.3e-13; those below are never chosen
LARGEST_OFFSET = 64  # of a unit from its tensor: four nats of scale either way


class ScaleChoice(NamedTuple):
    """Scales of the prior of one weight tensor, and what it costs to have chosen them.

    Attributes:
        log_scale: a scalar, or one for each entry of the last axis.
        index: in the same shape, int32: j of the grid.
        nats: a scalar, the price of the choice.
    """

    log_scale: tf.Tensor
    index: tf.Tensor
    nats: tf.Tensor


def nats_of_rank(rank) -> tf.Tensor:
    """``2 log(rank + 1) + log(pi^2 / 6)``: a code for whole numbers from 0 on."""
    return 2.0 * tf.math.log1p(tf.cast(rank, tf.float32)) + math.log(math.pi**2 / 6.0)


def chosen_scales(loc, spread, per_unit: bool) -> ScaleChoice:
    """The scales for which divergence and price together are least, exactly.

    The prior is ``N(0, s^2)`` for a whole tensor; or, per unit, for each entry of the last axis:
    then the price is that of the tensor's own scale, and for every unit that of the steps from
    there, whose ranks are 0, +1, -1, +2, ... No gradient passes: the choice is one of finitely
    many.

    Args:
        loc, spread: means and log-scales of the posterior.
        per_unit: whether every unit has a scale, where the tensor has two axes at least.
    """
    energy = tf.stop_gradient(tf.exp(2.0 * spread) + tf.square(loc))
    index = tf.range(NUM_SCALES)
    costs = _divergence(tf.reduce_sum(energy), energy.shape.num_elements(), index)
    costs += nats_of_rank(index)
    best = tf.argmin(costs, output_type=tf.int32)
    if not per_unit or energy.shape.rank < 2:
        return ScaleChoice(_log_scale(best), best, nats_of_rank(best))

    units = energy.shape[-1]
    steps = tf.range(-LARGEST_OFFSET, LARGEST_OFFSET + 1)
    prices = nats_of_rank(2 * tf.abs(steps) - tf.cast(steps > 0, tf.int32))
    around = best + steps
    of_unit = tf.reduce_sum(tf.reshape(energy, [-1, units]), 0)
    costs = _divergence(of_unit[:, None], energy.shape.num_elements() // units, around) + prices
    is_there = (around >= 0) & (around < NUM_SCALES)
    step = tf.argmin(tf.where(is_there, costs, math.inf), -1, output_type=tf.int32)
    index = tf.gather(around, step)
    nats = nats_of_rank(best) + tf.reduce_sum(tf.gather(prices, step))
    return ScaleChoice(_log_scale(index), index, nats)


def _log_scale(index) -> tf.Tensor:
    """``log s_j``."""
    return math.log(LARGEST) - tf.cast(index, tf.float32) / STEPS_PER_NAT


def _divergence(energy, size: int, index) -> tf.Tensor:
    """``size log s + energy / (2 s^2)``: the divergence but for what no scale changes."""
    log_scale = _log_scale(index)
    return size * log_scale + 0.5 * energy * tf.exp(-2.0 * log_scale)


class AnchoredPrior(keras.layers.Layer):
    """Location and log-scale of a frozen Gaussian prior for each of several weight tensors.

    It has no variables until it is built, which anchoring or loading an anchored layer does.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Without variables there is nothing to build: Keras would trace a model that has unbuilt
        # layers once more at every `fit`.
        self.built = True

    def build(self, shapes):
        """Create the two tensors for every shape in `shapes`, a tuple of tuples."""
        self.loc: list[keras.Variable] = []
        self.spread: list[keras.Variable] = []
        for index, shape in enumerate(shapes):
            for name, variables in (("loc", self.loc), ("log_scale", self.spread)):
                variables.append(
                    self.add_weight(
                        shape=shape,
                        initializer="zeros",
                        name=f"{name}_{index}",
                        dtype="float32",
                        autocast=False,
                        trainable=False,
                    )
                )

    def load_own_variables(self, store):
        """Load the prior, if there is one on either side or on neither."""
        num_saved = len(store.keys())
        if num_saved != len(self.weights):
            raise ValueError(
                "The prior must be anchored both in the file and in the layer, or in neither: "
                "anchor as it was before the weights were saved. "
                f"Received: a file with {num_saved} variables of it, a layer with "
                f"{len(self.weights)}"
            )
        super().load_own_variables(store)

    def values_of(self, variables) -> list:
        """Pairs of the weights, then their log-scales, with the values that are kept of them."""
        kept = [*self.loc, *self.spread]
        return [(v, tf.cast(k.value, v.dtype)) for v, k in zip(variables, kept, strict=True)]

    def assign(self, index: int, loc, spread):
        """Freeze the prior of weight tensor `index`."""
        self.loc[index].assign(loc)
        self.spread[index].assign(spread + 0.0 * loc)


GRIDS = ("grid", "grid_per_unit")


class GaussianPrior(NamedTuple):
    """The prior of one weight tensor.

    Attributes:
        loc, log_scale: float32, scalars or of shapes that broadcast to the weight's.
        nats: what it costs to have chosen this scale after seeing the data.
    """

    loc: tf.Tensor
    log_scale: tf.Tensor
    nats: tf.Tensor


def gaussian_priors(parameters, prior_scale, anchor=None) -> list[GaussianPrior | None]:
    """A prior for each weight tensor; None where it is the best one, and free.

    Args:
        parameters: pairs of mean and log-scale of the posterior.
        prior_scale: a number, None, or one of `GRIDS`.
        anchor: the `AnchoredPrior` that is kept, if there is one.
    """
    zero = tf.zeros([])
    if anchor is not None:
        return [
            GaussianPrior(tf.convert_to_tensor(loc), tf.convert_to_tensor(spread), zero)
            for loc, spread in zip(anchor.loc, anchor.spread, strict=True)
        ]
    if prior_scale is None:
        return [None for _ in parameters]
    if prior_scale in GRIDS:
        per_unit = prior_scale == "grid_per_unit"
        choices = [chosen_scales(loc, spread, per_unit) for loc, spread in parameters]
        return [GaussianPrior(zero, choice.log_scale, choice.nats) for choice in choices]
    return [GaussianPrior(zero, tf.constant(np.log(prior_scale), tf.float32), zero)] * len(
        parameters
    )


def nats_of(law, parameters, priors, dtype) -> tuple[tf.Tensor, tf.Tensor]:
    """Total nats of the weights given the prior's scales, and those of the scales.

    Args:
        law: the posterior, as of `posterior_of`.
        parameters: pairs of mean and spread of each weight tensor.
        priors: their priors; None where it is the best one, and free.
        dtype: of the sums.
    """
    zero = tf.zeros([], dtype)
    weights, scales = [zero], [zero]
    for (loc, spread), prior in zip(parameters, priors, strict=True):
        pair = None
        if prior is not None:
            pair = tf.cast(prior.loc, dtype), tf.cast(prior.log_scale, dtype)
            scales.append(tf.cast(prior.nats, dtype))
        weights.append(law.kl_divergence(tf.cast(loc, dtype), tf.cast(spread, dtype), pair))
    return tf.add_n(weights), tf.add_n(scales)

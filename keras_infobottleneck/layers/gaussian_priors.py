"""Priors of Gaussian posteriors: fixed, kept from before, fitted, or fitted on a grid and paid."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_infobottleneck.layers.scale_grid import chosen_scales

__all__ = ["GRIDS", "GaussianPrior", "gaussian_priors", "nats_of"]

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

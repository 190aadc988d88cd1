"""Scales of a Gaussian prior on a grid: the best ones are chosen, and the choice is priced."""

import math
from typing import NamedTuple

import tensorflow as tf

__all__ = ["GRIDS", "ScaleChoice", "chosen_scales", "nats_of_rank"]

GRIDS = ("grid", "grid_per_unit")  # one scale per tensor, or one per output unit
LARGEST = 10.0  # c: wider than the weights of most networks; fixed before any data
STEPS_PER_NAT = 16.0  # b: rounding to the grid costs 1 / 3,072 nats per weight on average
NUM_SCALES = 512  # number of scales tried, down to 1.3e-13; smaller ones are never optimal
LARGEST_OFFSET = 64  # between the scale of a unit and its tensor: four nats in either direction


class ScaleChoice(NamedTuple):
    """Scales of the prior of one weight tensor, and the price of having chosen them.

    Attributes:
        log_scale: A scalar, or one value for each entry of the last axis.
        index: Indices j of the grid in the same shape, int32.
        nats: Price of the choice, a scalar.
    """

    log_scale: tf.Tensor
    index: tf.Tensor
    nats: tf.Tensor


def nats_of_rank(rank: tf.Tensor | int) -> tf.Tensor:
    """``2 log(rank + 1) + log(pi^2 / 6)``: code length in nats of an integer from 0 on."""
    return 2.0 * tf.math.log1p(tf.cast(rank, tf.float32)) + math.log(math.pi**2 / 6.0)


def chosen_scales(loc: tf.Tensor, spread: tf.Tensor, per_unit: bool) -> ScaleChoice:
    """The scales with the least sum of divergence and price, found by trying all.

    The prior is ``N(0, s^2)`` with one scale for the whole tensor, or per unit, with one for each
    entry of the last axis. Per unit, the price is that of a scale for the tensor, and for every
    unit that of the number of steps from there, in the order 0, +1, -1, +2, ... No gradient passes
    through the choice, which is one of finitely many.

    Args:
        loc, spread: Means and log-scales of the posterior.
        per_unit: Whether every unit has a scale, if the tensor has at least two axes.
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


def _log_scale(index: tf.Tensor) -> tf.Tensor:
    """``log s_j``."""
    return math.log(LARGEST) - tf.cast(index, tf.float32) / STEPS_PER_NAT


def _divergence(energy: tf.Tensor, size: int, index: tf.Tensor) -> tf.Tensor:
    """``size log s + energy / (2 s^2)``: the terms of the divergence that depend on the scale."""
    log_scale = _log_scale(index)
    return size * log_scale + 0.5 * energy * tf.exp(-2.0 * log_scale)

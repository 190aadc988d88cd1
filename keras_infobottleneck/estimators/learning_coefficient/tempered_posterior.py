"""The distribution that chains sample: `exp(-loss / beta - localization / 2 |w - w*|^2)`.

The weights of all chains are stacked along a new first axis of each variable, and so are losses and
gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch, Batches
from keras_infobottleneck.estimators.fisher.label_pairs import losses_of
from keras_infobottleneck.estimators.fisher.terms import Likelihood
from keras_infobottleneck.introspection.compiled_passes import sum_over

__all__ = ["ChainLoss", "TemperedPosterior", "in_memory", "stacked", "sum_by_chain"]

# Operations that TensorFlow 2.21 computes wrongly, or not at all, once weights have an additional
# axis for chains: products of tensors that are already batched, convolutions, loops.
UNSTACKED = {
    *("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "While", "StatelessWhile"),
    *("Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2", "DepthwiseConv2dNative"),
}

Tensors = list[tf.Tensor]


def in_memory(batches: Batches) -> Batch:
    """All examples as one stack of batches, because every step of a chain may need any of them.

    Raises:
        ValueError: The batches of a dataset have examples of different shapes.
    """
    stacks = list(batches.stacks())
    shapes = {tuple(leaf.shape[2:] for leaf in tf.nest.flatten(stack)) for stack in stacks}
    if len(shapes) > 1:
        raise ValueError(
            "`data` must hold examples of one shape, since chains draw them in any order; pad "
            f"them. Received: examples of {len(shapes)} shapes"
        )
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *stacks)


def stacked(values: Sequence[tf.Tensor], num_chains: int) -> Tensors:
    """The weights, repeated for every chain along a new first axis."""
    return [tf.repeat(value[None], num_chains, 0) for value in values]


class ChainLoss:
    """Summed negative log-likelihood of a batch for stacked weights, `[chains]` in float64.

    Chains are computed together if every operation of the model can be stacked, which is
    several times faster for small networks, and otherwise one after the other.

    Args:
        model_of: Returns the model; see `compiled`.
        likelihood: Maps the model's outputs to the labels' distribution.
        variables: Variables whose values are the weights.
    """

    def __init__(
        self,
        model_of: Callable[[], keras.Model],
        likelihood: Likelihood,
        variables: Sequence[keras.Variable],
    ):
        self._model_of, self._likelihood = model_of, likelihood
        self._variables = list(variables)
        self._can_be_stacked: bool | None = None

    def of_one(self, values: Tensors, x: Any, y: Any, weights: tf.Tensor) -> tf.Tensor:
        """The sum for one set of weights; rows of weight 0 are excluded."""
        with keras.StatelessScope(list(zip(self._variables, values, strict=True))):
            outputs = self._model_of()(x, training=False)
        terms = self._likelihood.terms_of_rows(outputs, weights.shape[0])
        losses = tf.cast(losses_of(terms, y), tf.float64)
        return tf.reduce_sum(losses * tf.cast(weights, tf.float64))

    def __call__(self, values: Tensors, x: Any, y: Any, weights: tf.Tensor) -> tf.Tensor:
        """The sums for stacked weights."""

        def of_chain(one: Tensors) -> tf.Tensor:
            return self.of_one(one, x, y, weights)

        if values[0].shape[0] == 1:
            return of_chain([value[0] for value in values])[None]
        if self._can_be_stacked is None:
            self._can_be_stacked = _can_be_stacked(of_chain, values)
        if self._can_be_stacked:
            return tf.vectorized_map(of_chain, values, fallback_to_while_loop=False)
        return tf.map_fn(of_chain, values, fn_output_signature=tf.float64, parallel_iterations=1)

    def with_gradients(
        self, values: Tensors, x: Any, y: Any, weights: tf.Tensor
    ) -> tuple[tf.Tensor, Tensors]:
        """The sums, and their gradients in the shapes of the stacked weights."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            losses = self(values, x, y, weights)
        gradients = tape.gradient(losses, values, unconnected_gradients="zero")
        return losses, [tf.convert_to_tensor(gradient) for gradient in gradients]


def _can_be_stacked(of_chain: Callable[[Tensors], tf.Tensor], values: Tensors) -> bool:
    """Whether a loss can be traced for all chains at once, by operations that remain correct."""
    specs = [tf.TensorSpec(v.shape[1:], v.dtype) for v in values]
    trial = tf.function(lambda *one: of_chain(list(one)), autograph=False)
    graph = trial.get_concrete_function(*specs).graph
    functions = graph.as_graph_def().library.function
    kinds = {operation.type for operation in graph.get_operations()}
    kinds |= {node.op for function in functions for node in function.node_def}
    if kinds & UNSTACKED:
        return False
    together = tf.function(
        lambda *all_: tf.vectorized_map(of_chain, list(all_), fallback_to_while_loop=False),
        autograph=False,
    )
    try:
        together.get_concrete_function(*[tf.TensorSpec(v.shape, v.dtype) for v in values])
    except (ValueError, NotImplementedError, tf.errors.OpError):  # an operation without a rule
        return False
    return True


@dataclass(frozen=True)
class TemperedPosterior:
    """The negative logarithm of the density that the chains sample, and its gradient.

    Attributes:
        loss: Loss of stacked weights.
        stack: The data.
        num_examples: Number N of examples.
        center: The weights w* around which the chains run.
        beta: Price of a nat relative to the mean loss, which acts as the temperature.
        localization: Inverse variance of the Gaussian factor around the center.
    """

    loss: ChainLoss
    stack: Batch
    num_examples: tf.Tensor
    center: Tensors
    beta: tf.Tensor
    localization: tf.Tensor

    def of_all_examples(self, values: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
        """Energies `[chains]`, mean losses `[chains]` and gradients of the energies."""
        sums, gradients = self.sums(values)
        losses = sums / self.num_examples
        return self._energy(values, losses), losses, self._gradients(values, gradients)

    def sums(self, values: Tensors) -> tuple[tf.Tensor, Tensors]:
        """Losses `[chains]` and their gradients, summed over all examples."""

        def of_batch(i: tf.Tensor) -> tuple[tf.Tensor, Tensors]:
            x, y, weights = (tf.nest.map_structure(lambda a: a[i], part) for part in self.stack[:3])
            return self.loss.with_gradients(values, x, y, weights)

        zeros = (tf.zeros(values[0].shape[:1], tf.float64), [tf.zeros_like(v) for v in values])
        return sum_over(tf.shape(self.stack.weights)[0], of_batch, zeros)

    def _energy(self, values: Tensors, losses: tf.Tensor) -> tf.Tensor:
        """Energy of each chain: mean loss over the price, plus the localization term."""
        distance = tf.add_n(
            [sum_by_chain(tf.square(v - c)) for v, c in zip(values, self.center, strict=True)]
        )
        return losses / self.beta + 0.5 * self.localization * distance

    def _gradients(self, values: Tensors, sums: Tensors) -> Tensors:
        """Gradients of the energy, from those of the loss summed over all examples."""
        scale = 1.0 / (self.num_examples * self.beta)
        return [
            tf.cast(scale, g.dtype) * g + tf.cast(self.localization, v.dtype) * (v - c)
            for g, v, c in zip(sums, values, self.center, strict=True)
        ]

    def of_rows(
        self, values: Tensors, rows: tf.Tensor, at_center: Tensors
    ) -> tuple[tf.Tensor, Tensors]:
        """Estimates from some examples: excess of the mean loss `[chains]`, energy gradients.

        The value of the same examples at the center is subtracted, and the mean over all examples
        is added to the gradients. Both estimates are unbiased, and their noise is that of the
        difference, which is small near the center.

        Args:
            values: Stacked weights.
            rows: Indices of the examples, drawn with replacement.
            at_center: Gradients of the sum over all examples at the center, without a chain axis.
        """
        x, y = (
            tf.nest.map_structure(
                lambda a: tf.gather(tf.reshape(a, [-1, *a.shape[2:]]), rows), part
            )
            for part in self.stack[:2]
        )
        weights = tf.ones(rows.shape, tf.float32)
        share = self.num_examples / tf.cast(rows.shape[0], tf.float64)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.center)
            here = self.loss.of_one(self.center, x, y, weights)
        centers = tape.gradient(here, self.center, unconnected_gradients="zero")
        losses, gradients = self.loss.with_gradients(values, x, y, weights)
        estimates = [
            tf.cast(share, g.dtype) * (g - tf.convert_to_tensor(c)) + total
            for g, c, total in zip(gradients, centers, at_center, strict=True)
        ]
        return (losses - here) / rows.shape[0], self._gradients(values, estimates)


def sum_by_chain(tensor: tf.Tensor) -> tf.Tensor:
    """Sum over all axes but that of the chains, in float64."""
    return tf.reduce_sum(tf.cast(tensor, tf.float64), list(range(1, tensor.shape.rank)))

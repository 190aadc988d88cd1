"""Rules for layers without a kernel: normalisations and the embedding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.gradients import (
    Call,
    DirectGradient,
    Tensors,
    VariableGradient,
)
from keras_infobottleneck.estimators.fisher.rules.rule import LayerRule, register_rule

__all__ = ["EmbeddingRule", "NormalizationRule", "TokenGradient"]


class NormalizationRule(LayerRule):
    """Scale and offset after a normalisation: `y = normalised * gamma + beta`."""

    def variables(self) -> list[keras.Variable]:
        return [v for v in (self.layer.gamma, self.layer.beta) if v is not None]

    def run(
        self,
        call: Callable[..., tf.Tensor],
        inputs: tf.Tensor,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[Call, tf.Tensor]:
        """The normalised input is the output of the layer with scale one and offset zero."""
        gamma, beta = self.layer.gamma, self.layer.beta
        neutral = [] if gamma is None else [(gamma, tf.ones_like(gamma.value))]
        neutral += [] if beta is None else [(beta, tf.zeros_like(beta.value))]
        with keras.StatelessScope(state_mapping=neutral):
            normalised = call(inputs, *args, **kwargs)
        outputs = normalised
        if gamma is not None:
            outputs *= self._spread(tf.stop_gradient(gamma.value), normalised)
        if beta is not None:
            outputs += self._spread(tf.stop_gradient(beta.value), normalised)
        outputs = tf.identity(outputs)
        return Call(normalised, outputs), outputs

    def _axes(self, rank: int) -> list[int]:
        axis = self.layer.axis
        axes = [axis] if isinstance(axis, int) else list(axis)
        return [a % rank for a in axes]

    def _spread(self, weights: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
        axes = self._axes(like.shape.rank)
        shape = [n if i in axes else 1 for i, n in enumerate(like.shape)]
        return tf.cast(tf.reshape(weights, shape), like.dtype)

    def gradients(self, calls: list[Call]) -> list[VariableGradient]:
        def summed(a: tf.Tensor) -> tf.Tensor:
            """Sum over positions, whose number may differ between calls of a shared layer."""
            kept = self._axes(a.shape.rank)
            return tf.reduce_sum(a, [i for i in range(1, a.shape.rank) if i not in kept])

        found: list[VariableGradient] = []
        if self.layer.gamma is not None:
            found.append(
                DirectGradient(
                    self.layer.gamma,
                    calls,
                    gradient=lambda x, g: summed(x * g),
                )
            )
        if self.layer.beta is not None:
            found.append(DirectGradient(self.layer.beta, calls, gradient=lambda _, g: summed(g)))
        return found

    def accepts(self, inputs: tf.Tensor) -> bool:
        axes = self._axes(inputs.shape.rank)
        return axes == sorted(axes) and 0 not in axes


class EmbeddingRule(LayerRule):
    """`Embedding`: a look-up, which is linear in the table."""

    def variables(self) -> list[keras.Variable]:
        return [self.layer.embeddings]

    def gradients(self, calls: list[Call]) -> list[VariableGradient]:
        return [TokenGradient(self.layer.embeddings, calls)]


class TokenGradient(VariableGradient[Tensors]):
    """Gradient of an embedding table; a token's repeats within an example add up."""

    def _flat(
        self, gradients: Tensors, start: int | tf.Tensor, stop: int | tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Tokens `[batch, positions]` and gradients `[batch, positions, dim]` of all calls."""
        tokens = [call.inputs[start:stop] for call in self.calls]
        batch = tf.shape(tokens[0])[0]
        dim = self.variable.shape[1]
        gradients = [tf.cast(g[start:stop], self.dtype) for g in gradients]
        return (
            tf.concat([tf.reshape(tf.cast(t, tf.int32), [batch, -1]) for t in tokens], 1),
            tf.concat([tf.reshape(g, [batch, -1, dim]) for g in gradients], 1),
        )

    def rows(self, gradients: Tensors, start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
        """Gradients scattered into the whole table, which only dense results need."""
        tokens, gradients = self._flat(gradients, start, stop)
        batch, positions = tf.shape(tokens)[0], tokens.shape[1]
        example = tf.repeat(tf.range(batch), positions)
        index = tf.stack([example, tf.reshape(tokens, [-1])], 1)
        vocabulary, dim = self.variable.shape
        updates = tf.reshape(gradients, [-1, dim])
        table = tf.scatter_nd(index, updates, tf.stack([batch, vocabulary, dim]))
        return tf.ensure_shape(table, [None, vocabulary, dim])

    def squares(self, gradients: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Square of each token's total in an example, divided among its repeats and scattered."""
        tokens, gradients = self._flat(gradients, 0, None)
        same = tf.cast(tokens[:, :, None] == tokens[:, None, :], self.dtype)
        totals = tf.matmul(same, gradients)
        shares = tf.square(totals) / tf.reduce_sum(same, 2)[..., None]
        index = tf.reshape(tokens, [-1, 1])
        updates = tf.reshape(shares, [-1, shares.shape[2]])
        squares = tf.scatter_nd(index, updates, tf.constant(list(self.variable.shape)))
        return squares, tf.reduce_sum(shares, [1, 2])

    def inner_products(self, columns: Tensors, weights: tf.Tensor) -> tf.Tensor:
        """A token's total times its gradient at every repeat, times the weights of its row."""
        parts = [
            self._flat(list(each), 0, None) for each in zip(*map(tf.unstack, columns), strict=True)
        ]
        tokens = parts[0][0]
        rows = tf.cast(tf.stack([gradients for _, gradients in parts], 1), weights.dtype)
        same = tf.cast(tokens[:, :, None] == tokens[:, None, :], weights.dtype)
        totals = tf.matmul(same[:, None], rows)
        found = []
        for array in tf.unstack(weights):
            weighed = totals * tf.gather(array, tokens)[:, None]
            found.append(tf.einsum("bitd,bjtd->bij", weighed, rows))
        return tf.stack(found, 1)

    def slopes(self, gradients: Tensors, directions: tf.Tensor) -> tf.Tensor:
        """Products with the rows of the directions, which are looked up like those of the table."""
        tokens, gradients = self._flat(gradients, 0, None)
        rows = [tf.gather(array, tokens) for array in tf.unstack(directions)]
        return tf.stack([tf.reduce_sum(row * gradients, [1, 2]) for row in rows], 1)


for normalization in (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
):
    register_rule(normalization, NormalizationRule, check=False)
register_rule(keras.layers.Embedding, EmbeddingRule, check=False)

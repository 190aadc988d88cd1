"""Layers without a kernel: normalisations and the embedding."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.gradients import Call, Direct, Tokens
from keras_infobottleneck.estimators.fisher.rules.rule import Rule

__all__ = ["EmbeddingRule", "NormalizationRule"]


class NormalizationRule(Rule):
    """Scale and offset after a normalisation: `y = normalised * gamma + beta`."""

    def variables(self):
        return [v for v in (self.layer.gamma, self.layer.beta) if v is not None]

    def run(self, call, inputs, args, kwargs):
        """The normalised input is the layer's own output at scale one and offset zero."""
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

    def gradients(self, calls):
        def summed(a: tf.Tensor) -> tf.Tensor:
            """Over positions, which one call of a shared layer may have and another not."""
            kept = self._axes(a.shape.rank)
            return tf.reduce_sum(a, [i for i in range(1, a.shape.rank) if i not in kept])

        found = []
        if self.layer.gamma is not None:
            found.append(
                Direct(
                    self.layer.gamma,
                    calls,
                    gradient=lambda x, g: summed(x * g),
                )
            )
        if self.layer.beta is not None:
            found.append(Direct(self.layer.beta, calls, gradient=lambda _, g: summed(g)))
        return found

    def accepts(self, inputs):
        axes = self._axes(inputs.shape.rank)
        return axes == sorted(axes) and 0 not in axes


class EmbeddingRule(Rule):
    """`Embedding`: a look-up, linear in the table."""

    def variables(self):
        return [self.layer.embeddings]

    def gradients(self, calls):
        return [Tokens(self.layer.embeddings, calls)]

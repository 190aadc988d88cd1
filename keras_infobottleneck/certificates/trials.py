"""What a network gets wrong that draws its weights anew for each prediction."""

from __future__ import annotations

import tensorflow as tf

from keras_infobottleneck import pac_bayes
from keras_infobottleneck.introspection.compiled_passes import CompiledSum

__all__ = ["gibbs_errors"]


def gibbs_errors(
    network_of, draws, *, num_samples: int, from_logits: bool, min_probability: float
) -> CompiledSum:
    """Sums over examples and draws, by name, from batches and a stateless seed.

    ``errors`` and ``cross_entropy`` (scaled to [0, 1]) of the drawn network over examples and
    draws, ``mean_errors`` of the network with mean weights and ``ensemble_errors`` of the average
    probability over examples, ``groups`` that shared draws over batches.

    Args:
        network_of: gives, when called, the network with mean weights.
        draws: from inputs and a seed to scores with drawn weights, and its `group_size`.
        num_samples: draws for every example.
        from_logits: whether scores are logits.
        min_probability: floor of the probability in the cross-entropy.
    """

    def of_batch(batch, base_seed):
        weights = tf.cast(batch.weights, tf.float64)
        mean_scores = tf.cast(network_of()(batch.x), tf.float32)
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

    return CompiledSum(of_batch)

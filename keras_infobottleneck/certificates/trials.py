"""Trials of a network that draws its weights anew for each prediction, and their bounds.

Noise that is shared by a batch makes the errors of its examples dependent; a certificate needs
independent trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck import pac_bayes
from keras_infobottleneck.certificates.fixed_network_bounds import (
    excess_loss_bound,
    recursive_bound,
    test_set_bound,
)
from keras_infobottleneck.data.batches import Batch
from keras_infobottleneck.introspection.compiled_passes import CompiledSum
from keras_infobottleneck.introspection.contents import nodes_of
from keras_infobottleneck.layers.noisy_layer import drawing, resting
from keras_infobottleneck.layers.variational_weights import VariationalWeights

__all__ = ["IndependentDraws", "Trials", "by_reference", "class_scores", "gibbs_errors"]

# Pairs of a variable and the tensor that replaces its value.
Values = Sequence[tuple[keras.Variable, tf.Tensor]]
# Layers, each with its symbolic input.
Inputs = list[tuple[VariationalWeights, keras.KerasTensor]]

ROUNDING = 1e-6  # by which a probability may exceed 1


class IndependentDraws:
    """``f_w(x)`` with ``w ~ q`` drawn anew for every group of `group_size` examples.

    Every example's output has its exact distribution under ``w ~ q``, and groups are independent.

    Layers are drawn in one of two ways. A dense layer with ``estimator="local"``, one vector for
    each example as its input, and one place in the graph, gives every example separate noise on
    the pre-activations: given its input these are independent Gaussians, exactly as under
    ``w ~ q``, and since the layer is not used again its weights affect nothing else. Every other
    layer, whose kernel is used at several positions or places, gets weights drawn for the
    group. If there is no such layer, every example is a group, at the cost of a batch.

    Args:
        network: The Keras model, in inference mode.
        layers: Its variational layers, with Gaussian posteriors.
        x: Some inputs, at least two examples, with which the graph is probed.
        group_size: Number of examples that share drawn weights, if any must be shared.
    """

    def __init__(
        self,
        network: keras.Model,
        layers: Sequence[VariationalWeights],
        x: Any,
        group_size: int = 1,
    ):
        inputs = _inputs_of_single_uses(network, layers)
        self._network = network
        self.local = _with_one_vector_per_example(network, inputs, x)
        self.shared = [layer for layer in layers if not any(layer is one for one in self.local)]
        self.group_size = group_size if self.shared else 1

    def __call__(self, x: Any, seed: tf.Tensor, values: Values = ()) -> tf.Tensor:
        """The output tensor ``[batch, ...]``; the batch is a multiple of `group_size`.

        Args:
            x: Inputs, a nest of tensors of known batch size.
            seed: Integer tensor of shape ``[2]``; the noise is a function of it.
            values: Pairs of a variable of the layers and the tensor that replaces its value, such
                as those of another distribution.
        """
        if not self.shared:
            return self._draw(x, seed, values)
        num_groups = tf.nest.flatten(x)[0].shape[0] // self.group_size

        def draw(element: tuple[tf.Tensor, Any]) -> tf.Tensor:
            index, group = element
            return self._draw(group, tf.random.experimental.stateless_fold_in(seed, index), values)

        groups = tf.nest.map_structure(
            lambda a: tf.reshape(a, [num_groups, self.group_size, *a.shape[1:]]), x
        )
        # Only its shape and dtype are used: the pass itself is pruned from the graph.
        whole = self._network(x, training=False)
        spec = tf.TensorSpec([self.group_size, *whole.shape[1:]], whole.dtype)
        outputs = tf.map_fn(draw, (tf.range(num_groups), groups), fn_output_signature=spec)
        return tf.reshape(outputs, [-1, *outputs.shape[2:]])

    def _draw(self, x: Any, seed: tf.Tensor, values: Values) -> tf.Tensor:
        """One group; within the context every layer's noise has its own seed."""
        with keras.StatelessScope(values), drawing(seed):
            pairs = [
                pair
                for layer in self.shared
                for pair in zip(layer.variational_weights, layer.draw_weights(), strict=True)
            ]
        local_seed = tf.random.experimental.stateless_fold_in(seed, -1)
        # In Keras' own scope, all that layers assign or add as losses is discarded.
        pairs = [*values, *pairs]
        with keras.StatelessScope(pairs), drawing(local_seed, activations=False, layers=self.local):
            return self._network(x, training=False)


def class_scores(outputs: tf.Tensor, from_logits: bool) -> tf.Tensor:
    """Scores of all classes, float32; a single output is the score of the second of two classes."""
    outputs = tf.cast(outputs, tf.float32)
    if outputs.shape.rank == 1:
        outputs = outputs[:, None]
    if outputs.shape[-1] != 1:
        return outputs
    first = tf.zeros_like(outputs) if from_logits else 1.0 - outputs
    return tf.concat([first, outputs], -1)


def gibbs_errors(
    network_of: Callable[[], keras.Model],
    draws: IndependentDraws,
    *,
    num_samples: int,
    from_logits: bool,
    min_probability: float,
    anchored: Sequence[VariationalWeights] = (),
) -> CompiledSum:
    """Sums over examples and draws, by name, from batches and a stateless seed.

    Over examples and draws: ``errors`` and ``cross_entropy`` (scaled to [0, 1]) of the drawn
    network. Over examples: ``mean_errors`` of the network with mean weights, ``ensemble_errors`` of
    the average probability, and ``outside``, the number with a score that is not a probability.
    Over batches: ``groups``, the number of groups that share draws.

    With anchored priors there are two references: ``prior_mean``, the network with their means, and
    ``prior_draw``, drawn from them once for every example. For each there are ``errors_of_``, over
    examples, and over examples and draws ``worse_than_``, the number with the drawn network wrong
    and the reference right, and ``better_than_``, the number with the reverse.

    Args:
        network_of: Returns the network with mean weights when called.
        draws: Maps inputs and a seed to scores with drawn weights; has a `group_size`.
        num_samples: Number of draws for every example.
        from_logits: Whether scores are logits.
        min_probability: Floor of the probability in the cross-entropy.
        anchored: The layers, if their priors are anchored.
    """

    def of_batch(batch: Batch, base_seed: tf.Tensor) -> dict[str, tf.Tensor]:
        weights = tf.cast(batch.weights, tf.float64)
        with resting():
            mean_scores = class_scores(network_of()(batch.x, training=False), from_logits)
        labels = pac_bayes.classes(tf.convert_to_tensor(batch.y), mean_scores.shape[-1])
        seed = tf.random.experimental.stateless_fold_in(base_seed, batch.first)
        missing = -weights.shape[0] % draws.group_size
        x = tf.nest.map_structure(
            lambda a: tf.concat([a, tf.repeat(a[:1], missing, axis=0)], 0), batch.x
        )
        groups = tf.reshape(tf.pad(weights, [[0, missing]]), [-1, draws.group_size])

        def total(values: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(weights * tf.cast(values, tf.float64))

        def is_wrong(outputs: tf.Tensor) -> tf.Tensor:
            scores = class_scores(outputs, from_logits)[: weights.shape[0]]
            return tf.argmax(scores, -1, tf.int32) != labels

        references = _references(network_of, draws, anchored, batch.x, x, seed)
        references = {name: is_wrong(outputs) for name, outputs in references.items()}

        def add_sample(
            index: tf.Tensor, sums: dict[str, tf.Tensor], probabilities: tf.Tensor
        ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
            draw_seed = tf.random.experimental.stateless_fold_in(seed, index)
            outputs = draws(x, draw_seed)
            scores = class_scores(outputs, from_logits)[: weights.shape[0]]
            losses = pac_bayes.bounded_crossentropy(
                labels, scores, from_logits=from_logits, min_probability=min_probability
            )
            probabilities += tf.nn.softmax(scores) if from_logits else scores
            wrong = is_wrong(outputs)
            more = {"errors": wrong, "cross_entropy": losses}
            for name, reference in references.items():
                more[f"worse_than_{name}"] = wrong & ~reference
                more[f"better_than_{name}"] = ~wrong & reference
            sums = {name: sums[name] + total(values) for name, values in more.items()}
            return index + 1, sums, probabilities

        outside = tf.reduce_any(tf.abs(mean_scores - 0.5) > 0.5 + ROUNDING, -1)
        names = [f"{which}_than_{name}" for name in references for which in ("worse", "better")]
        zeros = {name: tf.zeros([], tf.float64) for name in ("errors", "cross_entropy", *names)}
        _, sums, probabilities = tf.while_loop(
            lambda index, *_: index < num_samples,
            add_sample,
            (0, zeros, tf.zeros_like(mean_scores)),
            parallel_iterations=1,
        )
        return {
            **sums,
            **{f"errors_of_{name}": total(wrong) for name, wrong in references.items()},
            "mean_errors": total(is_wrong(mean_scores)),
            "ensemble_errors": total(is_wrong(probabilities)),
            "outside": total(outside),
            "groups": tf.reduce_sum(tf.reduce_max(groups, -1)),
        }

    return CompiledSum(of_batch)


def _references(
    network_of: Callable, draws: Callable, anchored: Sequence, x: Any, filled_x: Any, seed: Any
) -> dict[str, tf.Tensor]:
    """Outputs, by name, of networks independent of the examples; none without anchored priors.

    Args:
        network_of, draws, anchored: As in `gibbs_errors`.
        x: Inputs of a batch.
        filled_x: The same inputs, padded to a multiple of the group size.
        seed: Seed of the batch.
    """
    if not anchored:
        return {}
    at_prior = [pair for layer in anchored for pair in layer.at_prior()]
    with keras.StatelessScope(at_prior), resting():
        mean = network_of()(x, training=False)
    seed = tf.random.experimental.stateless_fold_in(seed, -1)
    return {"prior_mean": mean, "prior_draw": draws(filled_x, seed, at_prior)}


def _inputs_of_single_uses(network: keras.Model, layers: Sequence[VariationalWeights]) -> Inputs:
    """Pairs of a local dense layer used once, outside other layers, and its symbolic input."""
    if not isinstance(network, (keras.Sequential, keras.Function)):
        return []
    # The rebuilt graph holds only the nodes that lead to the outputs.
    graph = keras.Model(network.inputs, network.outputs)
    if type(network) not in (keras.Sequential, type(graph)):  # a subclass may define `call`
        return []
    nodes = nodes_of(graph)
    pairs = []
    for layer in layers:
        uses = [node.input_tensors for node in nodes if node.operation is layer]
        dense = isinstance(layer.layer, keras.layers.Dense) and layer.estimator == "local"
        if dense and len(uses) == 1 and len(uses[0][0].shape) == 2:
            pairs.append((layer, uses[0][0]))
    return pairs


def _with_one_vector_per_example(network: keras.Model, inputs: Inputs, x: Any) -> list:
    """The layers whose input has one row per example, without further positions."""
    if not inputs:
        return []
    probe = keras.Model(network.inputs, [tensor for _, tensor in inputs])
    num_examples = len(tf.nest.flatten(x)[0])
    names = [tensor.name for tensor in network.inputs]
    named = isinstance(x, dict) and set(x) == set(names)
    x = [x[name] for name in names] if named else tf.nest.flatten(x)
    values = tf.nest.flatten(probe(x, training=False))
    return [layer for (layer, _), a in zip(inputs, values, strict=True) if len(a) == num_examples]


class Trials:
    """Means over examples and draws, and their bounds at a given confidence.

    A trial is a group of examples that share a draw. Incomplete groups count the missing
    examples as 0, which the bounds account for.

    Args:
        sums: Result of `gibbs_errors`, by name.
        num_examples: Number of examples.
        num_samples: Number of draws for each example.
        group_size: Number of examples that share a draw.
        delta: Probability with which the Monte Carlo bound may fail.
    """

    def __init__(
        self,
        sums: Mapping[str, float],
        *,
        num_examples: int,
        num_samples: int,
        group_size: int,
        delta: float,
    ):
        self.sums, self.num_examples, self.group_size = sums, num_examples, group_size
        self.num_trials = int(sums["groups"]) * num_samples
        self._num_samples, self.delta = num_samples, delta
        self._filled = sums["groups"] * group_size / num_examples

    def mean(self, name: str) -> float:
        """Mean over all examples and draws."""
        return self.sums[name] / (self._num_samples * self.num_examples)

    def upper(self, name: str, num_bounds: int = 1) -> float:
        """Upper bound on its expectation over draws, one of `num_bounds` that hold together."""
        mean = self.mean(name) / self._filled
        bound = pac_bayes.monte_carlo_bound(mean, self.num_trials, self.delta / num_bounds)
        return min(self._filled * bound, 1.0)

    def lower(self, name: str, num_bounds: int = 1) -> float:
        """Lower bound on the same expectation."""
        rest = 1.0 - self.mean(name) / self._filled
        bound = 1.0 - pac_bayes.monte_carlo_bound(rest, self.num_trials, self.delta / num_bounds)
        return self._filled * bound

    def errors_of(self, reference: str) -> int:
        """Errors of a reference network, which is drawn at most once per example."""
        return round(self.sums[f"errors_of_{reference}"])


def by_reference(trials: Trials, kl: float, delta: float) -> dict[str, float | None]:
    """Fields of a certificate that need an anchored prior, which is independent of the examples.

    Args:
        trials: Trials of the certificate, including the references.
        kl: Divergence of the posterior from the anchored prior.
        delta: `delta` of the certificate, without that of the Monte Carlo. Each bound uses all of
            it.
    """
    n = trials.num_examples
    errors = trials.errors_of("prior_mean")
    excess = excess_loss_bound(
        trials.upper("worse_than_prior_mean", 2),
        trials.lower("better_than_prior_mean", 2),
        kl,
        n,
        delta / 2.0,
    )
    fields: dict[str, float | None] = {
        "prior_mean_error": errors / n,
        "test_set_bound": test_set_bound(errors, n, delta + trials.delta),
        "excess_error_bound": min(test_set_bound(errors, n, delta / 2.0) + excess, 1.0),
    }
    if trials.group_size == 1:  # the draws of the prior are independent, as the bound requires
        fields["recursive_error_bound"] = recursive_bound(
            test_set_bound(trials.errors_of("prior_draw"), n, delta / 2.0),
            trials.upper("errors", 3),
            trials.upper("worse_than_prior_draw", 3),
            trials.lower("better_than_prior_draw", 3),
            kl,
            n,
            delta / 2.0,
        )
    return fields

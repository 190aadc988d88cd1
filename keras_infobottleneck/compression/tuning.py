"""Training of a network's remaining weights while the coded ones are fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.compression.coding_stages import DrawnPart
from keras_infobottleneck.compression.drawn_weights import Choices, weights_of, whole_order
from keras_infobottleneck.compression.posteriors_of_networks import spreads_of
from keras_infobottleneck.compression.weight_stream import CodedWeight
from keras_infobottleneck.introspection.contents import layers_of_kind
from keras_infobottleneck.layers.noisy_layer import noisy_layers
from keras_infobottleneck.layers.variational_weights import VariationalWeights
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel

__all__ = ["Tuner"]

# Log-scale of a fixed weight: negligible noise, and a finite divergence.
NO_NOISE = -20.0


class _Held:
    """A constraint: some entries of a weight keep their values in training."""

    def __init__(self, weight: keras.Variable):
        self._mask = tf.Variable(tf.zeros(weight.shape, tf.bool), trainable=False)
        self._values = tf.Variable(tf.zeros(weight.shape, weight.dtype), trainable=False)
        self._weight = weight
        weight.constraint = self

    def hold(self, mask: np.ndarray | bool, values: np.ndarray | float) -> None:
        """Fixes entries from now on."""
        self._mask.assign(tf.broadcast_to(mask, self._mask.shape))
        values = tf.cast(values, self._values.dtype)
        self._values.assign(tf.broadcast_to(values, self._values.shape))
        self._weight.assign(self(self._weight.value))

    def __call__(self, weight: tf.Tensor) -> tf.Tensor:
        """The weight with its fixed entries."""
        return tf.where(self._mask, self._values, tf.convert_to_tensor(weight))


class Tuner:
    """A copy of the model in which coded weights are fixed and the others are trained.

    The prior is that of the file from the start, and weights that are not drawn have the values of
    the file.

    Args:
        model: The compiled model; it is not changed.
        coded: How each weight of the plain network is coded, in its order.
        finetune: Function that is called with the copy after each stage.
    """

    def __init__(
        self,
        model: InformationBottleneckModel,
        coded: list[CodedWeight],
        finetune: Callable[[InformationBottleneckModel], Any],
    ):
        self._finetune = finetune
        self.model = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(model)
        )
        self.model.set_weights(model.get_weights())
        if not isinstance(
            model.optimizer.learning_rate, keras.optimizers.schedules.LearningRateSchedule
        ):
            self.model.optimizer.learning_rate = float(model.optimizer.learning_rate.numpy())
        for layer in layers_of_kind(self.model.network, keras.layers.BatchNormalization):
            layer.trainable = False  # its statistics are in the file
        noisy = noisy_layers(self.model.network)
        dropped = {id(weight) for layer in noisy for weight in layer.noise_weights}
        plain = [weight for weight in self.model.network.weights if id(weight) not in dropped]
        spreads = {key: spread for layer in noisy for key, spread in spreads_of(layer).items()}
        self._drawn: list[tuple[_Held, keras.Variable, _Held, keras.Variable]] = []
        priors: dict[int, np.ndarray] = {}
        for weight, each in zip(plain, coded, strict=True):
            if each.groups is not None:  # it is drawn
                spread = spreads[id(weight)]
                self._drawn.append((_Held(weight), weight, _Held(spread), spread))
                scales = each.groups.spread(each.shape)[0]
                priors[id(weight)] = scales.reshape(each.shape)
                continue
            assert each.values is not None  # as for every weight that is not drawn
            weight.assign(each.values)
            _Held(weight).hold(True, each.values)
            if id(weight) in spreads:
                _Held(spreads[id(weight)]).hold(True, NO_NOISE)
        for layer in self.model.variational_layers:
            _fix_prior(layer, priors)

    def learn(self, coded: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
        """Fixes the coded weights, trains the others, and returns their parameters.

        Args:
            coded: Mask of the drawn weights that are coded.
            values: Values of these.

        Returns:
            Means and scales of all drawn weights.
        """
        self._fix(coded, values)
        self._finetune(self.model)
        return self._posterior()

    def resume(self, part: DrawnPart, choices: Choices) -> dict[str, np.ndarray]:
        """Fixes what was coded before an interruption; returns means and scales as `learn` does."""
        order = whole_order(choices, len(part.prior))
        coded = np.zeros(len(order), bool)
        coded[order[: choices.stage(len(choices.paths) - 1, len(order)).stop]] = True
        self._fix(coded, weights_of(choices, part.prior, part.demand))
        return self._posterior()

    def _fix(self, coded: np.ndarray, values: np.ndarray) -> None:
        """Fixes the coded weights."""
        start = 0
        for held, weight, held_spread, _ in self._drawn:
            stop = start + int(np.prod(weight.shape))
            mask = coded[start:stop].reshape(weight.shape)
            held.hold(mask, values[start:stop].reshape(weight.shape))
            held_spread.hold(mask, NO_NOISE)
            start = stop

    def _posterior(self) -> dict[str, np.ndarray]:
        """Means and scales of all drawn weights."""
        means = [np.asarray(weight.value, np.float64).ravel() for _, weight, _, _ in self._drawn]
        spreads = [np.asarray(spread.value, np.float64).ravel() for *_, spread in self._drawn]
        return {"means": np.concatenate(means), "scales": np.exp(np.concatenate(spreads))}


def _fix_prior(layer: VariationalWeights, priors: dict[int, np.ndarray]) -> None:
    """Gives a layer the prior of the file; weights that are not drawn keep a finite one."""
    layer.make_room_for_prior()
    pairs = iter(layer.prior_weights)
    for weight, loc, log_scale in zip(layer.variational_weights, pairs, pairs, strict=True):
        loc.assign(tf.zeros(loc.shape))
        log_scale.assign(np.log(priors.get(id(weight), np.ones(weight.shape))))

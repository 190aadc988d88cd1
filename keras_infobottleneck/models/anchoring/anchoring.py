"""A prior that is moved to the posterior and then frozen, for certificates.

The saved file keeps fingerprints of the examples it depends on, and of the weights that must not
change.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import described
from keras_infobottleneck.introspection.making import set_late
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.layers.noisy_layer import NoisyLayer, noisy_layers
from keras_infobottleneck.layers.variational_weights import VariationalWeights

__all__ = [
    "TOLERATED_MISCOUNT",
    "Anchoring",
    "AnchoringData",
    "anchoring_examples",
    "example_fingerprints",
    "weight_fingerprints",
]


def example_fingerprints(x: Any, y: Any = ()) -> tuple[np.ndarray, np.ndarray]:
    """One int64 fingerprint per example of a batch, `[batch]`: of x, and of x with y.

    Values are hashed as float32, so that equal examples have equal fingerprints, whatever the dtype
    of their numbers and the sign of their zeros.

    Args:
        x: Inputs, an array or a nest of arrays.
        y: Labels, likewise.

    Raises:
        TypeError: The arrays do not hold numbers.
        ValueError: An array has no row for each example, or lengths are unequal.
    """
    inputs, labels = ([_numbers(a) for a in keras.tree.flatten(part)] for part in (x, y))
    if len({len(array) for array in inputs + labels}) != 1:
        raise ValueError(
            "`data` must hold as many inputs as targets. "
            f"Received: {[len(array) for array in inputs + labels]} examples"
        )
    digests = [hashlib.blake2b(row, digest_size=8) for row in _rows(inputs)]
    of_inputs = _integers([digest.digest() for digest in digests])
    for digest, row in zip(digests, _rows(labels), strict=False):
        digest.update(row)
    return of_inputs, _integers([digest.digest() for digest in digests])


def weight_fingerprints(weights: Iterable[keras.Variable]) -> np.ndarray:
    """One int64 fingerprint per weight tensor, of all bits of its values."""
    return _integers(
        [hashlib.blake2b(w.numpy().tobytes(), digest_size=8).digest() for w in weights]
    )


def _rows(arrays: list[np.ndarray]) -> list[memoryview]:
    """The bytes of each example in all arrays, without copying single examples."""
    if not arrays or len(arrays[0]) == 0:
        return []
    flat = [np.ascontiguousarray(a).reshape(len(a), -1).view(np.uint8) for a in arrays]
    joined = flat[0] if len(flat) == 1 else np.concatenate(flat, 1)
    size, view = joined.shape[1], joined.reshape(-1).data
    return [view[row * size : (row + 1) * size] for row in range(len(joined))]


def _integers(digests: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), "int64").copy()


def _numbers(array: Any) -> np.ndarray:
    """The array as float32, with one row for each example; for text a digest of each word."""
    if getattr(array, "dtype", None) in (tf.string, np.dtype(object)):
        words = np.asarray(array)
        if all(isinstance(word, bytes) for word in words.flat):
            digests = [hashlib.blake2b(word, digest_size=8).digest() for word in words.flat]
            return _integers(digests).reshape(words.shape)
    try:
        array = np.asarray(array, "float32")
    except (TypeError, ValueError):
        raise TypeError(
            f"`data` must hold numbers. Received: {type(array).__name__} of other things"
        ) from None
    if array.ndim == 0:
        raise ValueError(
            "`data` must hold arrays, or batches, with a row for each example. "
            f"Received: the single number {array}"
        )
    return array + np.float32(0.0)  # turns -0.0 into 0.0, which has other bits


class AnchoringData(keras.layers.Layer):
    """Fingerprints of the examples a prior depends on, of the prior, and of frozen weights.

    Args:
        num_examples, num_weights: Number of fingerprints of each kind.
        **kwargs: As in `keras.layers.Layer`.
    """

    def __init__(self, num_examples: int, num_weights: int, **kwargs: Any):
        super().__init__(**kwargs)
        self._fingerprints = self._add_fingerprints("fingerprints", num_examples)
        self._weight_fingerprints = self._add_fingerprints("weight_fingerprints", num_weights)
        # Keras traces a model with unbuilt layers again at every `fit`.
        self.built = True

    def _add_fingerprints(self, name: str, size: int) -> keras.Variable:
        return self.add_weight(
            shape=(size,), initializer="zeros", name=name, dtype="int64", trainable=False
        )

    def remember(self, examples: np.ndarray, weights: list[keras.Variable]) -> None:
        """Stores the fingerprints of examples, and of weights that must not change from now on."""
        self._fingerprints.assign(examples)
        self._weight_fingerprints.assign(weight_fingerprints(weights))

    @property
    def fingerprints(self) -> np.ndarray:
        """Fingerprints of the examples, int64."""
        return self._fingerprints.numpy()

    def moved(self, weights: list[keras.Variable]) -> list[keras.Variable]:
        """Those of the weights that differ from their stored fingerprints."""
        pairs = zip(
            weights, weight_fingerprints(weights), self._weight_fingerprints.numpy(), strict=True
        )
        return [weight for weight, now, then in pairs if now != then]


def anchoring_examples(model: keras.Model, data: Any) -> np.ndarray:
    """Fingerprints of the inputs of `data`, int64 `[num_examples]`, compared in two passes.

    Raises:
        TypeError, ValueError: The model does not accept the data, or the two passes differ.
    """
    values, again = (_input_fingerprints(model, data) for _ in range(2))
    if not np.array_equal(np.sort(values), np.sort(again)):
        raise ValueError(
            "`data` must hold the same examples in every pass: the prior may depend on others, "
            "made earlier by shuffling or random augmentation. "
            f"Received: data={described(data)}"
        )
    return values


def _input_fingerprints(model: keras.Model, data: Any) -> np.ndarray:
    """Fingerprints of the inputs in one pass, in order."""
    parts = batches_for(model, data).parts()
    return np.concatenate([example_fingerprints(x, y)[0] for x, y in parts])


TOLERATED_MISCOUNT = 0.01  # relative difference between an epoch's examples and the stated number
MARK = "num_anchoring_examples"  # key in the file, beside the model's own variables


class Anchoring:
    """The data on which the prior of a model depends, and the weights that must stay the same.

    This object is made when needed. A model has an `AnchoringData` once it is anchored, and
    nothing before.

    Args:
        model: An `InformationBottleneckModel`.
    """

    def __init__(self, model: keras.Model):
        self.model = model

    @property
    def data(self) -> AnchoringData | None:
        """The fingerprints of the model; None before it is anchored."""
        return self.model._anchoring_data

    @property
    def fingerprints(self) -> np.ndarray:
        """Fingerprints of the examples on which the prior depends, int64."""
        return np.zeros(0, "int64") if self.data is None else self.data.fingerprints

    @property
    def noisy_layers(self) -> list[NoisyLayer]:
        """All layers of the network that draw noise on their weights, each once."""
        return noisy_layers(self.model.network, "weights")

    @property
    def built_layers(self) -> list[NoisyLayer]:
        """`noisy_layers`, after checking that all are built."""
        layers = self.noisy_layers
        for layer in layers:
            if not layer.built:
                raise ValueError(
                    "The model has no weights before it is built: call it on a batch first. "
                    f"Received: layer={layer.name!r}, not built"
                )
        return layers

    @property
    def pricing_weights(self) -> list[keras.Variable]:
        """Weights that only set the cost of noise: predictions do not read them."""
        layers = noisy_layers(self.model.network)
        return [weight for layer in layers for weight in layer.pricing_weights]

    @property
    def deterministic_weights(self) -> list[keras.Variable]:
        """Weights of the network without a distribution that predictions read."""
        # A subclass that is its own network also has the price and the fingerprints as weights.
        books = [] if self.data is None else self.data.weights
        accounted = {id(w) for w in (self.model._weight_beta, *books, *self.pricing_weights)}
        for layer in self.noisy_layers:
            accounted |= {id(weight) for weight in layer.noise_weights}
            accounted |= {id(weight) for weight in layer.variational_weights}
        return [weight for weight in self.model.network.weights if id(weight) not in accounted]

    @property
    def kept(self) -> list[keras.Variable]:
        """Variables that must not change after anchoring: priors, weights without distribution."""
        priors = [weight for layer in self.noisy_layers for weight in layer.prior_weights]
        return self.deterministic_weights + priors

    @property
    def moved(self) -> list[keras.Variable]:
        """Those of `kept` that have changed since the prior was anchored; before that, all."""
        return self.kept if self.data is None else self.data.moved(self.kept)

    def anchor(self, data: Any, scale: bool, examples_per_epoch: float) -> None:
        """Moves every prior to its posterior, and stores fingerprints of the examples."""
        layers = self._layers_to_anchor()
        examples = anchoring_examples(self.model, data)
        if self.data is not None:
            raise ValueError(
                "The prior is anchored already. "
                f"Received: a second set of {len(examples)} anchoring examples"
            )
        if len(examples) < (1.0 - TOLERATED_MISCOUNT) * examples_per_epoch:
            warnings.warn(
                f"An epoch of `fit` held {examples_per_epoch:.0f} examples, the anchoring "
                f"data hold {len(examples)}: a certificate on examples that the posterior has "
                "seen before it was anchored is void.",
                stacklevel=3,
            )
        for layer in layers:
            layer.anchor_prior(scale)
        self._make_room(len(examples), len(self.kept))
        kept: Any = self.data  # created by `_make_room`
        kept.remember(examples, self.kept)

    def _layers_to_anchor(self) -> list[VariationalWeights]:
        """The layers whose prior moves, after checking that there are some and that all can."""
        layers = self.built_layers
        if not layers:
            raise ValueError(
                "The model has no VariationalWeights to anchor. "
                f"Received: model={self.model.name!r}"
            )
        for layer in layers:
            if not isinstance(layer, VariationalWeights) or layer.posterior_name != "gaussian":
                posterior = getattr(layer, "posterior_name", type(layer).__name__)
                raise ValueError(
                    "Only Gaussian priors can be anchored. "
                    f"Received: layer={layer.name!r}, posterior={posterior!r}"
                )
        return layers

    def _make_room(self, num_examples: int, num_weights: int) -> None:
        data = AnchoringData(num_examples, num_weights, name="anchoring_data")
        # The name under which saved files store it.
        set_late(self.model, "_anchoring_data", data)

    def config(self) -> dict:
        """Additional entries of the configuration of an anchored model; empty for others."""
        if self.data is None:
            return {}
        return {MARK: len(self.fingerprints), "num_anchored_weights": len(self.kept)}

    def restore(self, config: dict) -> None:
        """Creates the variables for the fingerprints that `config` announces."""
        if config.get(MARK):
            # The constructor of a subclass makes its layers without knowing that they are anchored.
            for layer in self.noisy_layers:
                layer.make_room_for_prior()
            self._make_room(config[MARK], config["num_anchored_weights"])

    @staticmethod
    def split_config(config: dict) -> tuple[dict, dict]:
        """Splits a model's configuration into the constructor's part and the part for `restore`."""
        keys = MARK, "num_anchored_weights"
        return {k: v for k, v in config.items() if k not in keys}, {
            k: v for k, v in config.items() if k in keys
        }

    def save(self, store: Any) -> None:
        """Saves the number of examples that an anchored prior depends on."""
        if self.data is not None:
            store[MARK] = np.array(len(self.fingerprints))

    def load(self, store: Any) -> dict:
        """The weights in a store; refuses those of a model that is anchored on other examples.

        Checked here, because Keras loads the model before its layers, where the prior is missing.
        """
        keys = store.keys()  # the store of a file has keys, but is not iterable
        saved = {key: store[key] for key in keys}
        anchored = int(saved.pop(MARK, 0))
        if anchored and anchored != len(self.fingerprints):
            raise ValueError(
                f"The weights are of a model anchored on {anchored} examples: call `anchor_prior` "
                "on the same data before loading them, or load the whole `.keras` file. "
                f"Received: a model anchored on {len(self.fingerprints)}"
            )
        return saved

"""A prior that is moved to the posterior and kept there, as certificates need it.

What it was made from stands in the saved file as fingerprints: examples, and fixed weights.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

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
    """One fingerprint per example of a batch, int64 of shape ``[batch]``: of x, and of x with y.

    Equal examples have equal fingerprints whatever the width of their numbers, or the sign of
    their zeros: values are hashed as float32.

    Args:
        x: inputs, an array or a nest of arrays.
        y: labels, likewise.

    Raises:
        TypeError: other things than numbers.
        ValueError: no row for each example, or arrays of unequal length.
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
    """One fingerprint per weight tensor, int64: of every bit of its values."""
    return _integers(
        [hashlib.blake2b(w.numpy().tobytes(), digest_size=8).digest() for w in weights]
    )


def _rows(arrays: list[np.ndarray]) -> list[memoryview]:
    """The bytes of each example, of all arrays one behind the other; no copy of a single one."""
    if not arrays or len(arrays[0]) == 0:
        return []
    flat = [np.ascontiguousarray(a).reshape(len(a), -1).view(np.uint8) for a in arrays]
    joined = flat[0] if len(flat) == 1 else np.concatenate(flat, 1)
    size, view = joined.shape[1], joined.reshape(-1).data
    return [view[row * size : (row + 1) * size] for row in range(len(joined))]


def _integers(digests: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), "int64").copy()


def _numbers(array: Any) -> np.ndarray:
    """As float32, one row for each example."""
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
    return array + np.float32(0.0)  # -0.0 has other bits than 0.0


class AnchoringData(keras.layers.Layer):
    """Fingerprints of the examples a prior was made from, of the prior, and of fixed weights.

    Args:
        num_examples, num_weights: how many fingerprints of each there are.
        **kwargs: as of `keras.layers.Layer`.
    """

    def __init__(self, num_examples: int, num_weights: int, **kwargs: Any):
        super().__init__(**kwargs)
        self._fingerprints = self._add_fingerprints("fingerprints", num_examples)
        self._weight_fingerprints = self._add_fingerprints("weight_fingerprints", num_weights)
        # Keras would trace a model that has unbuilt layers once more at every `fit`.
        self.built = True

    def _add_fingerprints(self, name: str, size: int) -> keras.Variable:
        return self.add_weight(
            shape=(size,), initializer="zeros", name=name, dtype="int64", trainable=False
        )

    def remember(self, examples: np.ndarray, weights: list[keras.Variable]) -> None:
        """Keep the fingerprints of examples, and of weights that must not move from now on."""
        self._fingerprints.assign(examples)
        self._weight_fingerprints.assign(weight_fingerprints(weights))

    @property
    def fingerprints(self) -> np.ndarray:
        """Those of the examples, int64."""
        return self._fingerprints.numpy()

    def moved(self, weights: list[keras.Variable]) -> list[keras.Variable]:
        """Those of the weights that are not as they were remembered."""
        pairs = zip(
            weights, weight_fingerprints(weights), self._weight_fingerprints.numpy(), strict=True
        )
        return [weight for weight, now, then in pairs if now != then]


def anchoring_examples(model: keras.Model, data: Any) -> np.ndarray:
    """Fingerprints of the inputs of `data`, int64 of shape ``[num_examples]``, by two passes.

    Raises:
        TypeError, ValueError: data that the model does not take, or others in the second pass.
    """
    values, again = (_input_fingerprints(model, data) for _ in range(2))
    if not np.array_equal(np.sort(values), np.sort(again)):
        raise ValueError(
            "`data` must hold the same examples in every pass: those that shuffling or random "
            f"augmentation brought in before are not known. Received: data={described(data)}"
        )
    return values


def _input_fingerprints(model: keras.Model, data: Any) -> np.ndarray:
    """Fingerprints of the inputs of one pass, in its order."""
    parts = batches_for(model, data).parts()
    return np.concatenate([example_fingerprints(x, y)[0] for x, y in parts])


TOLERATED_MISCOUNT = 0.01  # share by which an epoch may differ from what was said of it
MARK = "num_anchoring_examples"  # in the file, beside the model's own variables


class Anchoring:
    """What the prior of a model depends on, and what must not move once it is anchored.

    Made when asked for: a model keeps an `AnchoringData` once it is anchored, before that nothing.

    Args:
        model: an `InformationBottleneckModel`.
    """

    def __init__(self, model: keras.Model):
        self.model = model

    @property
    def data(self) -> AnchoringData | None:
        """The fingerprints that the model keeps, None before it is anchored."""
        return self.model._anchoring_data

    @property
    def fingerprints(self) -> np.ndarray:
        """Fingerprints of the examples on which the prior depends, int64."""
        return np.zeros(0, "int64") if self.data is None else self.data.fingerprints

    @property
    def noisy_layers(self) -> list[NoisyLayer]:
        """Every layer of the network that draws noise on its weights, each once."""
        return noisy_layers(self.model.network, "weights")

    @property
    def built_layers(self) -> list[NoisyLayer]:
        """The same; raises where one has no weights yet."""
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
        """Weights that only say what noise costs: no prediction may read them."""
        layers = noisy_layers(self.model.network)
        return [weight for layer in layers for weight in layer.pricing_weights]

    @property
    def deterministic_weights(self) -> list[keras.Variable]:
        """Weights of the network without a distribution that predictions read."""
        # A subclass that is its own network holds the price and the fingerprints too.
        books = [] if self.data is None else self.data.weights
        accounted = {id(w) for w in (self.model._weight_beta, *books, *self.pricing_weights)}
        for layer in self.noisy_layers:
            accounted |= {id(weight) for weight in layer.noise_weights}
            accounted |= {id(weight) for weight in layer.variational_weights}
        return [weight for weight in self.model.network.weights if id(weight) not in accounted]

    @property
    def kept(self) -> list[keras.Variable]:
        """What must not move once the prior is anchored: weights without a distribution, priors."""
        priors = [weight for layer in self.noisy_layers for weight in layer.prior_weights]
        return self.deterministic_weights + priors

    @property
    def moved(self) -> list[keras.Variable]:
        """Those of `kept` that are not as they were when anchored; before that all of them."""
        return self.kept if self.data is None else self.data.moved(self.kept)

    def anchor(self, data: Any, scale: bool, examples_per_epoch: float) -> None:
        """Move every prior to its posterior, and remember the examples that it depends on."""
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
        kept: Any = self.data  # there is room for them now
        kept.remember(examples, self.kept)

    def _layers_to_anchor(self) -> list[VariationalWeights]:
        """The layers whose prior moves; raises where there is none, or one that cannot."""
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
        # Under this name it stands in saved files.
        set_late(self.model, "_anchoring_data", data)

    def config(self) -> dict:
        """What the configuration of an anchored model says besides, of others nothing."""
        if self.data is None:
            return {}
        return {MARK: len(self.fingerprints), "num_anchored_weights": len(self.kept)}

    def restore(self, config: dict) -> None:
        """Make room for the fingerprints of which `config` tells."""
        if config.get(MARK):
            # The layers of a subclass are made by its constructor, which does not know.
            for layer in self.noisy_layers:
                layer.make_room_for_prior()
            self._make_room(config[MARK], config["num_anchored_weights"])

    @staticmethod
    def split_config(config: dict) -> tuple[dict, dict]:
        """A model's configuration, and what `restore` takes out of it."""
        keys = MARK, "num_anchored_weights"
        return {k: v for k, v in config.items() if k not in keys}, {
            k: v for k, v in config.items() if k in keys
        }

    def save(self, store: Any) -> None:
        """Besides the weights, how many examples an anchored prior depends on."""
        if self.data is not None:
            store[MARK] = np.array(len(self.fingerprints))

    def load(self, store: Any) -> dict:
        """The weights in a store; raises where it is of a model anchored on other examples.

        Said here, because Keras comes first to the model, that a prior misses.
        """
        keys = store.keys()  # the store of a file has keys, but cannot be iterated over
        saved = {key: store[key] for key in keys}
        anchored = int(saved.pop(MARK, 0))
        if anchored and anchored != len(self.fingerprints):
            raise ValueError(
                f"The weights are of a model anchored on {anchored} examples: call `anchor_prior` "
                "on the same data before loading them, or load the whole `.keras` file. "
                f"Received: a model anchored on {len(self.fingerprints)}"
            )
        return saved

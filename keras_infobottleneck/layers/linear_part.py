"""The linear part of a layer: an affine map with one kernel, applied to given weights."""

import functools
import json
from collections.abc import Callable, Hashable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.introspection.making import without_values

__all__ = ["ADDED_LOSS", "LinearPart", "Shape", "has_linear_part", "without_activation"]

Shape = tuple[int | None, ...]  # shape of a tensor; None for an unknown axis

ADDED_LOSS = (
    "`layer` must not add losses in its call; add them outside of VariationalWeights. "
    "Received: loss={!r}"
)
LARGEST_PROBE_SIDE = 2**14

# What probes have found about Keras' own layers, by class, configuration and input shape.
_FOUND: dict[Hashable, bool] = {}


def without_activation(layer: keras.layers.Layer, **overrides: Any) -> keras.layers.Layer:
    """A new layer of the same configuration, with no activation, regularisers or constraints."""
    config = layer.get_config()
    stripped = {
        key: None
        for key in config
        if key == "activation" or key.endswith(("_regularizer", "_constraint"))
    }
    return type(layer).from_config({**config, **stripped, **overrides})


def has_linear_part(layer: keras.layers.Layer) -> bool:
    """Whether the configuration describes an activation of an affine map with one kernel."""
    try:
        config = layer.get_config()
    except NotImplementedError:  # a custom layer whose configuration cannot be read
        return False
    kernels = [k for k in config if k.endswith("_initializer") and k != "bias_initializer"]
    has_bias = "use_bias" in config or "bias_axes" in config
    return len(kernels) == 1 and has_bias and "activation" in config


class LinearPart:
    """The affine map ``x, kernel, bias -> output`` of a layer, computed in a given dtype.

    It holds a twin of the layer, built from its configuration, whose variables have no values. It
    is not a Keras object, so that a Keras layer that holds it does not track the twin.
    """

    def __init__(self, layer: keras.layers.Layer, input_shape: Shape, dtype: Any):
        # Initialisers are replaced: drawing their seeds would change later draws of a seeded
        # network.
        zeros = {key: "zeros" for key in layer.get_config() if key.endswith("_initializer")}
        name = f"{layer.name}_linear"
        self._twin = without_activation(layer, dtype=dtype, name=name, trainable=True, **zeros)
        with without_values():
            self._twin.build(input_shape)
        self._has_bias = len(self._twin.weights) == 2
        self._input_shape = tuple(input_shape)

    def __call__(self, x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
        """The affine map; `bias` defaults to zero."""
        values = [kernel]
        if self._has_bias:
            values.append(tf.zeros(self._twin.weights[1].shape) if bias is None else bias)
        pairs = zip(self._twin.weights, values, strict=True)
        with keras.StatelessScope(pairs, collect_losses=True) as scope:
            outputs = self._twin(x)
        if scope.losses:
            raise ValueError(ADDED_LOSS.format(scope.losses[0]))
        return outputs

    def with_least_output(
        self, least: float, x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The affine map plus `least`, which is added to the bias if that gives the same result."""
        if not self.adds_its_bias:
            return self(x, kernel, bias) + least
        shape = self._twin.weights[1].shape
        return self(x, kernel, tf.fill(shape, least) if bias is None else bias + least)

    @functools.cached_property
    def adds_its_bias(self) -> bool:
        """Whether the bias is simply added to every output; a subclass may mask or subtract it.

        Tested with a kernel of zeros and bias values of 1 and 2^-50.
        """
        return self._has_bias and self._with_channels_last()._found("passes its bias on")

    def has_one_product_per_weight(self, *, bias_is_drawn: bool = False) -> bool:
        """Whether every output is a sum of products ``x_i k_j`` in which no ``k_j`` appears twice.

        Only then is the variance of the output the same map of ``x^2`` and ``scale^2``, and a sign
        flip of inputs and outputs a sign flip of the kernel. Two tests: doubling a kernel of ones
        must double the output; and for kernels with a single nonzero entry, the squared output must
        be the map of the squares. The bias may enter in any way; but if it is drawn too, it must
        enter every output once or not at all.
        """
        if len(self._twin.weights) > 2:  # for example a low-rank adapter beside the kernel
            return False
        question = "a drawn bias is one product" if bias_is_drawn else "one product per weight"
        return self._with_channels_last()._found(question)

    def _with_channels_last(self) -> "LinearPart":
        """The same map with channels last, a data format that every device can convolve."""
        if self._twin.get_config().get("data_format") != "channels_first":
            return self
        layer = without_activation(self._twin, data_format="channels_last")
        batch, channels, *places = self._input_shape
        return LinearPart(layer, (batch, *places, channels), self._twin.dtype_policy)

    def _found(self, question: str) -> bool:
        """The answer of the probes, which take longer than building the layer."""
        answers: dict[str, Callable[[], bool]] = {
            "passes its bias on": self._passes_bias_on,
            "one product per weight": lambda: self._passes_probes(bias_is_drawn=False),
            "a drawn bias is one product": lambda: self._passes_probes(bias_is_drawn=True),
        }
        if not type(self._twin).__module__.startswith("keras."):
            return answers[question]()
        config = {**self._twin.get_config(), "name": None}
        described = json.dumps(config, sort_keys=True, default=str)
        key = (question, type(self._twin), described, self._input_shape)
        if key not in _FOUND:
            _FOUND[key] = answers[question]()
        return _FOUND[key]

    def _passes_probes(self, bias_is_drawn: bool) -> bool:
        """Whether test weights give the outputs that one product per weight would give."""
        random = np.random.default_rng(0)
        x = _signed(random, self._probe_shape())
        ones = np.ones(self._twin.weights[0].shape, "float32")
        if not np.allclose(2.0 * self._probe(x, ones), self._probe(x, 2.0 * ones), rtol=1e-2):
            return False
        for position in random.integers(ones.size, size=4):
            kernel = np.zeros_like(ones)
            kernel.flat[position] = 1.0
            squared_output = np.square(self._probe(x, kernel))
            if not np.allclose(squared_output, self._probe(np.square(x), kernel), rtol=1e-2):
                return False
        return not self._has_bias or self._passes_bias_probes(x, random, bias_is_drawn)

    def _passes_bias_probes(
        self, x: np.ndarray, random: np.random.Generator, bias_is_drawn: bool
    ) -> bool:
        """Whether the bias does not affect the kernel's part, and is one product if it is drawn."""
        ones, zeros = (make(self._twin.weights[0].shape, "float32") for make in (np.ones, np.zeros))
        bias = _signed(random, self._twin.weights[1].shape)
        output = self._probe(x, zeros, bias)
        difference = self._probe(x, ones, bias) - output - self._probe(x, ones)
        # Relative to sums of absolute products, because the sums themselves can nearly cancel.
        if np.abs(difference).max() > 1e-2 * np.abs(self._probe(np.abs(x), ones)).max():
            return False
        if not bias_is_drawn:
            return True
        squared_output = self._probe(np.square(x), zeros, np.square(bias))
        return np.allclose(np.square(output), squared_output, rtol=1e-2) and np.allclose(
            -1.5 * output, self._probe(x, zeros, -1.5 * bias), rtol=1e-2
        )

    def _passes_bias_on(self) -> bool:
        """Whether the outputs of a kernel of zeros are exactly the bias."""
        x = _signed(np.random.default_rng(0), self._probe_shape())
        kernel, bias = (np.zeros(weight.shape, "float32") for weight in self._twin.weights)
        return all(
            np.all(self._probe(x, kernel, bias + value) == value) for value in (1.0, 2.0**-50)
        )

    def _probe(
        self, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None = None
    ) -> np.ndarray:
        """The map applied to arrays, computed eagerly even while a function is being traced."""
        with tf.init_scope():
            return keras.ops.convert_to_numpy(self(x, kernel, bias))

    def _probe_shape(self) -> tuple[int, ...]:
        """A small input shape with unknown axes filled in, large enough for a non-empty output."""
        side = 2  # with a length of 1, an axis that is summed over would go unnoticed
        while side <= LARGEST_PROBE_SIDE:
            shape = (2, *(side if n is None else n for n in self._input_shape[1:]))
            if all(n is None or n > 0 for n in self._output_shape(shape)):
                return shape
            side *= 2
        return shape

    def _output_shape(self, shape: tuple[int, ...]) -> Shape:
        try:
            return self._twin.compute_output_shape(shape)
        except ValueError:  # Keras refuses inputs smaller than the kernel
            return (0,)

    def input_sign_axes(self, rank: int) -> list[int]:
        """Axes along which input signs vary: the batch, and those the kernel sums over."""
        return self._sign_axes("input", rank)

    def output_sign_axes(self, rank: int) -> list[int]:
        """Axes along which output signs vary: the batch, and those the kernel produces."""
        return self._sign_axes("output", rank)

    def _sign_axes(self, side: str, rank: int) -> list[int]:
        config = self._twin.get_config()
        if "equation" in config:
            labels, kernel = _einsum_labels(config["equation"], side, rank)
            return [0, *(axis for axis in range(1, rank) if labels[axis] in kernel)]
        channels_first = config.get("data_format") == "channels_first"
        return [0, 1 if channels_first else rank - 1]


def _einsum_labels(equation: str, side: str, rank: int) -> tuple[str, str]:
    """Labels of the axes of one side, with digits for the ellipsis, and labels of the kernel."""
    inputs, output = equation.replace(" ", "").split("->")
    inputs, kernel = inputs.split(",")
    labels = inputs if side == "input" else output
    named = labels.replace("...", "")
    return labels.replace("...", "0123456789"[: rank - len(named)]), kernel


def _signed(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers of either sign that are not near zero."""
    numbers = random.uniform(0.5, 2.0, shape) * random.choice([-1.0, 1.0], shape)
    return numbers.astype("float32")

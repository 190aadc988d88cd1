"""A layer on drawn weights: called with them in place of its own, or drawn before its activation.

Of a layer that is linear in one kernel no weights are drawn for an example, its pre-activations
are.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck import distributions
from keras_infobottleneck.introspection.contents import all_layers, own_weights
from keras_infobottleneck.introspection.making import without_values
from keras_infobottleneck.layers.posteriors import Posterior

__all__ = [
    "DrawnWeights",
    "LinearPart",
    "NoisyAffine",
    "has_linear_part",
    "weights_to_draw",
    "without_activation",
]

Shape = tuple[int | None, ...]  # of a tensor, some of whose sides may be unknown

ADDED_LOSS = (
    "`layer` must not add losses in its call; add them outside of VariationalWeights. "
    "Received: loss={!r}"
)
LARGEST_PROBE_SIDE = 2**14
MIN_VARIANCE = 1e-16  # inside the square root, whose gradient at zero is infinite


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
    """Whether the configuration is that of an activation of an affine map with one kernel."""
    try:
        config = layer.get_config()
    except NotImplementedError:  # a custom layer whose configuration cannot be read
        return False
    kernels = [k for k in config if k.endswith("_initializer") and k != "bias_initializer"]
    has_bias = "use_bias" in config or "bias_axes" in config
    return len(kernels) == 1 and has_bias and "activation" in config


class LinearPart:
    """``x, kernel, bias -> affine output`` of a layer, computed in a dtype of its own.

    Holds a twin of the layer built from its configuration, whose variables have no values. Not a
    Keras object on purpose: a Keras layer that holds it must not track the twin.
    """

    def __init__(self, layer: keras.layers.Layer, input_shape: Shape, dtype: Any):
        # No initialiser that draws a seed: what a seeded network draws later would change.
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
        """The affine map, shifted by `least`: in the bias if there is one, which costs nothing."""
        if not self._has_bias:
            return self(x, kernel) + least
        shape = self._twin.weights[1].shape
        return self(x, kernel, tf.fill(shape, least) if bias is None else bias + least)

    def has_one_product_per_weight(self) -> bool:
        """Whether every output is a sum of products ``x_i k_j`` in which no ``k_j`` comes twice.

        Only then is the variance of the output the same map of ``x^2`` and ``scale^2``, and a sign
        flip of inputs and outputs a sign flip of the kernel. Probed with a kernel of ones, whose
        double must double the output, and with kernels that are zero but for one entry: there the
        output squared must be the map of the squares.
        """
        if len(self._twin.weights) > 2:  # such as a low-rank adapter beside the kernel
            return False
        return self._with_channels_last()._passes_probes()

    def _with_channels_last(self) -> "LinearPart":
        """The same map in the format of data that every device can convolve."""
        if self._twin.get_config().get("data_format") != "channels_first":
            return self
        layer = without_activation(self._twin, data_format="channels_last")
        batch, channels, *places = self._input_shape
        return LinearPart(layer, (batch, *places, channels), self._twin.dtype_policy)

    def _passes_probes(self) -> bool:
        """Whether probing kernels give the outputs that one product per weight would."""
        random = np.random.default_rng(0)
        x = random.uniform(0.5, 2.0, self._probe_shape()).astype("float32")
        x *= random.choice([-1.0, 1.0], x.shape).astype("float32")
        ones = np.ones(self._twin.weights[0].shape, "float32")
        if not np.allclose(2.0 * self._probe(x, ones), self._probe(x, 2.0 * ones), rtol=1e-2):
            return False
        for position in random.integers(ones.size, size=4):
            kernel = np.zeros_like(ones)
            kernel.flat[position] = 1.0
            squared_output = np.square(self._probe(x, kernel))
            if not np.allclose(squared_output, self._probe(np.square(x), kernel), rtol=1e-2):
                return False
        return True

    def _probe(self, x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """The map of arrays, computed at once even where a function is being traced."""
        with tf.init_scope():
            return keras.ops.convert_to_numpy(self(x, kernel))

    def _probe_shape(self) -> tuple[int, ...]:
        """A small input shape with unknown sides filled in, large enough for a non-empty output."""
        side = 2  # with one entry an axis summed away could not be told
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
        """Axes along which input signs vary: the example, and what the kernel sums over."""
        return self._sign_axes("input", rank)

    def output_sign_axes(self, rank: int) -> list[int]:
        """Axes along which output signs vary: the example, and what the kernel produces."""
        return self._sign_axes("output", rank)

    def _sign_axes(self, side: str, rank: int) -> list[int]:
        config = self._twin.get_config()
        if "equation" in config:
            labels, kernel = _einsum_labels(config["equation"], side, rank)
            return [0, *(axis for axis in range(1, rank) if labels[axis] in kernel)]
        channels_first = config.get("data_format") == "channels_first"
        return [0, 1 if channels_first else rank - 1]


def _einsum_labels(equation: str, side: str, rank: int) -> tuple[str, str]:
    """Labels of one side's axes, the ellipsis written out as digits, and those of the kernel."""
    inputs, output = equation.replace(" ", "").split("->")
    inputs, kernel = inputs.split(",")
    labels = inputs if side == "input" else output
    named = labels.replace("...", "")
    return labels.replace("...", "0123456789"[: rank - len(named)]), kernel


class NoisyAffine:
    """The affine map of a built layer, with a posterior for its kernel, and perhaps its bias.

    Not a Keras object on purpose: the layer that holds it must not track the twins inside.

    Args:
        layer: a Keras layer with a linear part.
        input_shape: of its inputs.

    References:
        Kingma, Salimans & Welling (2015), arXiv 1506.02557. Wen et al. (2018), arXiv 1803.04386.
    """

    def __init__(self, layer: keras.layers.Layer, input_shape: Shape):
        self._layer = layer
        # Squares of small scales vanish in float16: variances are formed in float32.
        self._variance = self._linear = LinearPart(layer, input_shape, "float32")
        if layer.compute_dtype != "float32":
            self._linear = LinearPart(layer, input_shape, layer.compute_dtype)

    def is_exact(self) -> bool:
        """Whether the layer is linear in the way that both estimators need."""
        return self._variance.has_one_product_per_weight()

    def local(
        self,
        inputs: tf.Tensor,
        posterior: Posterior,
        parameters: Sequence[tuple[tf.Tensor, tf.Tensor]],
        next_seed: Callable[[], tf.Tensor],
    ) -> tf.Tensor:
        """Pre-activations drawn with the mean and variance that the weights give them, float32.

        Args:
            inputs: of the layer.
            posterior: the posterior of every weight.
            parameters: pairs of its mean and spread, of the kernel and perhaps the bias.
            next_seed: gives a fresh seed when called.
        """
        moments = [posterior.mean_and_variance(*pair) for pair in parameters]
        means, variances = (list(column) for column in zip(*moments, strict=True))
        mean = tf.cast(self._linear(inputs, *self._with_bias(means)), tf.float32)
        variance = self._variance.with_least_output(
            MIN_VARIANCE, tf.square(tf.cast(inputs, tf.float32)), *variances
        )
        noise = distributions.standard_normal(tf.shape(mean), next_seed())
        # Minus: TensorFlow's oneDNN rewriter trips, loudly, over an activation of a sum.
        return mean - tf.sqrt(variance) * noise

    def flipout(
        self,
        inputs: tf.Tensor,
        posterior: Posterior,
        parameters: Sequence[tuple[tf.Tensor, tf.Tensor]],
        next_seed: Callable[[], tf.Tensor],
    ) -> tf.Tensor:
        """Mean pre-activations plus one perturbation with signs of its own for every example.

        Arguments as of `local`; the posterior is symmetric.
        """
        means = [loc for loc, _ in parameters]
        mean = tf.cast(self._linear(inputs, *self._with_bias(means)), tf.float32)
        noise = []
        for _, spread in parameters:
            normal = distributions.standard_normal(tf.shape(spread), next_seed())
            noise.append(posterior.sample(tf.zeros([]), spread, normal))
        inputs = tf.cast(inputs, tf.float32)
        inputs *= _signs(inputs, self._linear.input_sign_axes(inputs.shape.rank), next_seed())
        perturbation = self._variance(inputs, *noise)
        axes = self._linear.output_sign_axes(mean.shape.rank)
        # Minus: as in `local`.
        return mean - perturbation * _signs(perturbation, axes, next_seed())

    def _with_bias(self, weights: list[tf.Tensor]) -> list[tf.Tensor]:
        """Kernel and bias: the drawn ones, or the layer's own bias where it is deterministic."""
        if len(weights) == 1 and self._layer.bias is not None:
            return [*weights, tf.convert_to_tensor(self._layer.bias)]
        return weights


def _signs(tensor: tf.Tensor, axes: list[int], seed: tf.Tensor) -> tf.Tensor:
    """Random signs that vary along some axes of a tensor."""
    shape = tf.shape(tensor)
    sides = [shape[axis] if axis in axes else 1 for axis in range(tensor.shape.rank)]
    return distributions.random_signs(tf.stack(sides), seed)


# Weights that stay deterministic: they are few, and noise on them costs accuracy for no nats.
DETERMINISTIC = ("bias", "beta", "gamma", "scale")


def weights_to_draw(layer: keras.layers.Layer, variational_bias: bool) -> list[keras.Variable]:
    """The weights of a layer that get a distribution, frozen ones included, each once."""
    # Not `trainable_weights`: frozen layers still draw. A weight held twice is one weight.
    created_trainable = {
        id(weight): weight for inner in all_layers(layer) for weight in own_weights(inner)
    }
    return [
        weight
        for weight in created_trainable.values()
        if variational_bias or not (weight.name in DETERMINISTIC or weight.name.endswith("_bias"))
    ]


class DrawnWeights(keras.StatelessScope):
    """Inside, some variables have the values given; what the layer assigns is kept for later.

    What a layer assigns are recurrent states, moving statistics and seeds; Keras would drop them
    with the scope. Call `assign_updates` after it.

    Args:
        values: pairs of a Keras variable and the tensor that stands for it.

    Raises:
        ValueError: when a layer adds a loss inside, which would be lost.
    """

    def __init__(self, values: Iterable[tuple[keras.Variable, tf.Tensor]]):
        super().__init__(values, collect_losses=True)
        self._updates: dict[int, tuple[keras.Variable, tf.Tensor]] = {}

    def add_loss(self, loss: tf.Tensor) -> NoReturn:
        """Refuse: the loss would be lost with the scope."""
        raise ValueError(ADDED_LOSS.format(loss))

    def add_update(self, update: tuple[keras.Variable, tf.Tensor]) -> None:
        """Remember what the layer assigns."""
        super().add_update(update)
        self._updates[id(update[0])] = update

    def get_current_value(self, variable: keras.Variable) -> Any:
        """The value given or assigned, else that of the scope around this one."""
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            return self.original_scope.get_current_value(variable)
        return value

    def assign_updates(self) -> None:
        """Give the variables that the layer assigned their new values."""
        for variable, value in self._updates.values():
            variable.assign(value)

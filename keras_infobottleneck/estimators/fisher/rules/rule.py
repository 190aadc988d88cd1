"""What a layer rule is, and which layer has which rule.

A rule runs its layer on weights that the gradient does not flow into, and says how the per-example
gradients of those weights follow from the gradient of the layer's output. The tape finds any other
use of the same weights, so a rule cannot miss one.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Hashable

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import check_flag, refusal

__all__ = [
    "BLOCK_BYTES",
    "Call",
    "LayerRule",
    "VariableGradient",
    "by_example",
    "is_checked",
    "register_rule",
    "registered_rules",
    "rule_for",
]

Tensors = list[tf.Tensor]

# Per-example gradients are formed in blocks of about this size: larger ones leave the cache.
BLOCK_BYTES = 32 * 2**20


def by_example(weights: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Weights `[batch]` shaped to multiply `like`."""
    shape = [like.shape[0], *[1] * (like.shape.rank - 1)]
    return tf.reshape(tf.cast(weights, like.dtype), shape)


class Call:
    """One recorded call of a layer: what came in, and the output that the gradient is asked of.

    Args:
        inputs: `[batch, ...]`, whatever the layer's form needs.
        outputs: `[batch, ...]`, the output up to where the rule's `finish` starts.
    """

    def __init__(self, inputs: tf.Tensor, outputs: tf.Tensor):
        self.inputs = inputs
        self.outputs = outputs


class VariableGradient(abc.ABC):
    """How the per-example gradients of one variable follow from the output gradients.

    Every form answers the same questions about the gradients `G_n` of a batch: the gradients
    themselves, their sum of squares, and each example's squared norm.
    """

    def __init__(self, variable: keras.Variable, calls: list[Call]):
        self.variable = variable
        self.calls = calls
        self.num_rows = calls[0].outputs.shape[0] if calls else 0
        self.dtype = tf.as_dtype(variable.dtype)
        self.wants_norms = True

    @abc.abstractmethod
    def rows(self, gradients: Tensors, start: int | tf.Tensor, stop: int | tf.Tensor) -> tf.Tensor:
        """Gradients of the examples start to stop, `[stop - start, *variable.shape]`."""

    def rows_bytes(self) -> int:
        """Bytes that `rows` needs for one example."""
        return 2 * math.prod(self.variable.shape) * self.dtype.size

    def no_squares(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Zeros of the shapes that `squares` gives."""
        return tf.zeros(self.variable.shape, self.dtype), tf.zeros([self.num_rows], self.dtype)

    def squares(self, gradients: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum over examples of the squared gradient, and each example's squared norm, `[batch]`.

        The norms are zeros where they are not wanted: they are another pass over the memory.
        """

        def of_block(start: int | tf.Tensor, stop: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            squares = tf.square(self.rows(gradients, start, stop))
            squares = tf.reshape(squares, [-1, math.prod(self.variable.shape)])
            # A product with ones reads faster than a reduction over the first axis.
            total = tf.matmul(tf.ones([1, tf.shape(squares)[0]], self.dtype), squares)
            total = tf.reshape(total, self.variable.shape)
            if not self.wants_norms:
                return total, tf.zeros([tf.shape(squares)[0]], self.dtype)
            return total, tf.reduce_sum(squares, 1)

        return self.in_blocks(of_block, tf.zeros(self.variable.shape, self.dtype))

    def in_blocks(self, of_block: Callable, zeros: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Sum, and numbers of each example, over blocks of examples that stay in the cache.

        Args:
            of_block: from the first example and the one behind the last to both.
            zeros: where the sum starts.
        """
        block = max(1, min(self.num_rows, BLOCK_BYTES // max(1, self.rows_bytes())))
        blocks = -(-self.num_rows // block)
        block = -(-self.num_rows // blocks)
        if blocks == 1:
            total, numbers = of_block(0, self.num_rows)
            return total, tf.ensure_shape(numbers, [self.num_rows])

        def body(i, total, numbers):
            more, of_examples = of_block(i * block, (i + 1) * block)
            return i + 1, total + more, numbers.write(i, of_examples)

        numbers = tf.TensorArray(self.dtype, size=blocks, element_shape=[None], infer_shape=False)
        _, total, numbers = tf.while_loop(
            lambda i, *_: i < blocks,
            body,
            (tf.constant(0), zeros, numbers),
            parallel_iterations=1,
        )
        return total, tf.ensure_shape(numbers.concat(), [self.num_rows])


class LayerRule(abc.ABC):
    """Rule for one layer: how the layer is run and differentiated example by example.

    Subclass it, or `KernelRule` where the layer is linear in a kernel, and register the subclass
    with `register_rule`. `variables` and `gradients` are all that has to be given; the layer is
    then run as it is, on constants in the place of those weights.

    Args:
        layer: the layer, built.

    Example:
        ```python
        import keras
        import numpy as np
        from keras_infobottleneck import estimators

        class Shift(keras.layers.Layer):
            def build(self, shape):
                self.offset = self.add_weight(shape=(shape[-1],), name="offset")

            def call(self, inputs):
                return inputs + self.offset

        class ShiftRule(estimators.LayerRule):
            def variables(self):
                return [self.layer.offset]

            def gradients(self, calls):
                form = lambda x, g: g  # of each example, [batch, units]
                return [estimators.DirectGradient(self.layer.offset, calls, gradient=form)]

        estimators.register_rule(Shift, ShiftRule)
        model = keras.Sequential([keras.Input((3,)), Shift()])
        x = np.ones((5, 3), "float32")
        fisher = estimators.fisher_information(model, x, labels="expected", likelihood="normal")
        print(float(fisher.trace()))
        ```

        ```text
        3.0
        ```
    """

    def __init__(self, layer: keras.layers.Layer):
        self.layer = layer

    @abc.abstractmethod
    def variables(self) -> list[keras.Variable]:
        """The weights that the rule covers."""

    @abc.abstractmethod
    def gradients(self, calls: list[Call]) -> list[VariableGradient]:
        """The form of each weight's gradient, given every call of the layer."""

    def accepts(self, inputs: tf.Tensor) -> bool:
        """Whether the rule covers an input of this shape."""
        return True

    def run(self, call, inputs, args, kwargs) -> tuple[Call, tf.Tensor]:
        """Runs the layer up to what `finish` does. Returns the record and that output."""
        frozen = [tf.stop_gradient(v.value) for v in self.variables()]
        outputs = self.run_on(frozen, call, inputs, args, kwargs)
        return Call(inputs, outputs), outputs

    def run_on(self, weights: list[tf.Tensor], call, inputs, args, kwargs) -> tf.Tensor:
        """Run the layer with these tensors in the place of its weights."""
        mapping = list(zip(self.variables(), weights, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return call(inputs, *args, **kwargs)

    def finish(self, outputs: tf.Tensor) -> tf.Tensor:
        """Apply what follows the recorded output inside the layer, such as an activation."""
        return outputs

    def block(self) -> tuple[int, int, int] | None:
        """Numbers of groups, inputs and outputs of the kernel; None without a kernel."""
        return None


# From a layer's class to its rule, and whether the rule is compared with the tape where it is used.
_RULES: dict[type[keras.layers.Layer], tuple[type[LayerRule], bool]] = {}


def register_rule(
    layer_class: type[keras.layers.Layer], rule_class: type[LayerRule], *, check: bool = True
) -> None:
    """Give a layer class of your own its rule, so that Fisher matrices of it cost one pass.

    Without a rule the weights of a layer cost one pass of the model for each example. The rule is
    for this class alone: a subclass may compute anything. It replaces an earlier one.

    Args:
        layer_class: the class of layers.
        rule_class: a subclass of `LayerRule`; `KernelRule` itself serves every layer that computes
            `activation(inputs @ kernel + bias)` and has attributes of these names.
        check: whether the rule is compared, for one example before each measurement, with the
            gradient that TensorFlow takes of the layer itself. What no single example shows, such
            as a rule that mixes examples, is not noticed.

    Raises:
        TypeError: anything but classes of these kinds.

    Example:
        ```python
        import keras
        import numpy as np
        from keras_infobottleneck import estimators

        class OwnDense(keras.layers.Layer):
            def build(self, shape):
                self.kernel = self.add_weight(shape=(shape[-1], 2), name="kernel")
                self.bias = self.add_weight(shape=(2,), name="bias")

            def call(self, inputs):
                return keras.ops.matmul(inputs, self.kernel) + self.bias

        class OwnRule(estimators.KernelRule):
            activation_name = None

        estimators.register_rule(OwnDense, OwnRule)
        model = keras.Sequential([keras.Input((3,)), OwnDense()])
        x = np.ones((5, 3), "float32")
        fisher = estimators.fisher_information(model, x, labels="expected", likelihood="normal")
        print(float(fisher.trace()))
        ```

        ```text
        8.0
        ```
    """
    if not (isinstance(layer_class, type) and issubclass(layer_class, keras.layers.Layer)):
        expected = "be a subclass of keras.layers.Layer"
        raise refusal(TypeError, "layer_class", expected, layer_class)
    if not (isinstance(rule_class, type) and issubclass(rule_class, LayerRule)):
        expected = "be a subclass of kib.estimators.LayerRule"
        raise refusal(TypeError, "rule_class", expected, rule_class)
    check_flag("check", check)
    _RULES[layer_class] = (rule_class, check)


def registered_rules() -> Hashable:
    """All rules there are: what was traced by others is traced again."""
    return tuple(_RULES.items())


def rule_for(layer: keras.layers.Layer) -> LayerRule | None:
    """The layer's rule, None without one or where its weights are not what it computes with."""
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
        return None
    found = _RULES.get(type(layer))
    return None if found is None or not layer.built else found[0](layer)


def is_checked(rule: LayerRule) -> bool:
    """Whether the rule is compared with the tape."""
    return _RULES[type(rule.layer)][1]

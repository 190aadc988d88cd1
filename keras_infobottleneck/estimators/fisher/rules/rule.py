"""Layer rules: their base class, their registration, and how a model is run with them.

A rule runs its layer on weights through which no gradient flows, and describes how the per-example
gradients of those weights follow from the gradient of the layer's output. The tape finds any other
use of the same weights, so a rule cannot miss one.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import check_flag, refusal
from keras_infobottleneck.estimators.fisher.rules.gradients import Call, VariableGradient
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.contents import all_layers
from keras_infobottleneck.introspection.replaced_calls import has_call_of_its_own, replaced_call

__all__ = [
    "LayerRule",
    "is_checked",
    "register_rule",
    "registered_rules",
    "rule_for",
    "rules_running",
]


class LayerRule(abc.ABC):
    """Rule for one layer: how the layer is run and differentiated example by example.

    Derive from it, or from `KernelRule` if the layer is linear in a kernel, and register the
    subclass with `register_rule`. Only `variables` and `gradients` are required; the layer is then
    run with constants in place of those weights.

    Args:
        layer: The built layer.

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
        """The form of each weight's gradient, from all calls of the layer."""

    def accepts(self, inputs: tf.Tensor) -> bool:
        """Whether the rule covers an input of this shape."""
        return True

    def run(
        self,
        call: Callable[..., tf.Tensor],
        inputs: tf.Tensor,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[Call, tf.Tensor]:
        """Runs the layer without what `finish` does; returns the record and the output."""
        frozen = [tf.stop_gradient(v.value) for v in self.variables()]
        outputs = self.run_on(frozen, call, inputs, args, kwargs)
        return Call(inputs, outputs), outputs

    def run_on(
        self,
        weights: list[tf.Tensor],
        call: Callable[..., tf.Tensor],
        inputs: tf.Tensor,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tf.Tensor:
        """Runs the layer with these tensors in place of its weights."""
        mapping = list(zip(self.variables(), weights, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return call(inputs, *args, **kwargs)

    def finish(self, outputs: tf.Tensor) -> tf.Tensor:
        """Applies the rest of the layer to the recorded output, such as an activation."""
        return outputs

    def block(self) -> tuple[int, int, int] | None:
        """Numbers of groups, inputs and outputs of the kernel; None without a kernel."""
        return None


# Maps a layer class to its rule, and whether the rule is compared with the tape before use.
_RULES: dict[type[keras.layers.Layer], tuple[type[LayerRule], bool]] = {}


def register_rule(
    layer_class: type[keras.layers.Layer], rule_class: type[LayerRule], *, check: bool = True
) -> None:
    """Registers a rule for a layer class, so that its Fisher matrix costs one pass.

    Without a rule the weights of a layer cost one pass of the model for each example. The rule
    applies to this class only, because a subclass may compute anything. It replaces an earlier one.

    Args:
        layer_class: The class of layers.
        rule_class: A subclass of `LayerRule`; `KernelRule` itself suits every layer that computes
            `activation(inputs @ kernel + bias)` and has attributes of these names.
        check: Whether to compare the rule, on one example before each measurement, with the
            gradient that TensorFlow computes for the layer. Mistakes that one example does not
            show, such as mixing examples, are not found.

    Raises:
        TypeError: An argument is not such a class.

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
    """All registered rules, as a key: a function is traced again if they change."""
    return tuple(_RULES.items())


def rule_for(layer: keras.layers.Layer) -> LayerRule | None:
    """The layer's rule; None without one, or if the layer computes with other weights."""
    if getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
        return None
    found = _RULES.get(type(layer))
    return None if found is None or not layer.built else found[0](layer)


def is_checked(rule: LayerRule) -> bool:
    """Whether the rule is compared with the tape."""
    return _RULES[type(rule.layer)][1]


@contextmanager
def rules_running(
    model: keras.Model,
    run: Callable[..., tf.Tensor],
    num_rows: int,
    is_wanted: Callable[[LayerRule], bool] = lambda rule: True,
) -> Iterator[None]:
    """Runs layers by their rules while the context is open.

    A call runs unchanged if its input is not one tensor of known shape with the examples of the
    batch as first axis, if the layer runs inside another graph, such as a loop over time, or if it
    runs with other weights, such as those made by another network. Rows that are not examples, such
    as positions, may have the same number by chance; so a layer that ever had another number of
    rows, as in the trial with one example, is excluded permanently.

    Args:
        model: The model.
        run: Function from rule, call, inputs, args and kwargs to the output before `finish`.
        num_rows: Number of examples in a batch.
        is_wanted: Whether to use a rule.
    """
    graph = tf.compat.v1.get_default_graph()
    of_other_rows = compiled(model, "layers whose rows are no examples", lambda _: set())

    def by_rule(
        rule: LayerRule, layer: keras.layers.Layer, call: Callable[..., Any]
    ) -> Callable[..., Any]:
        def call_by_rule(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            if (
                not tf.is_tensor(inputs)
                or isinstance(inputs, (tf.SparseTensor, tf.RaggedTensor))
                or tf.compat.v1.get_default_graph() is not graph
                or inputs.shape.rank is None
                or not inputs.shape.is_fully_defined()
            ):
                return call(inputs, *args, **kwargs)
            if inputs.shape[0] != num_rows:
                of_other_rows.add(id(layer))
            if id(layer) in of_other_rows or not rule.accepts(inputs) or _is_given_weights(rule):
                return call(inputs, *args, **kwargs)
            return rule.finish(run(rule, call, inputs, args, kwargs))

        return call_by_rule

    with ExitStack() as stack:
        for layer in all_layers(model):
            rule = None if has_call_of_its_own(layer) else rule_for(layer)
            if rule is not None and is_wanted(rule):
                stack.enter_context(replaced_call(layer, partial(by_rule, rule, layer)))
        yield


def _is_given_weights(rule: LayerRule) -> bool:
    """Whether a scope around the call replaces the values of the layer's weights."""
    with keras.StatelessScope() as scope:
        around = scope.original_scope
    return around is not None and any(
        around.get_current_value(v) is not None for v in rule.variables()
    )

"""Layer rules: their base class, their registration, and how a model is run by them.

A rule runs its layer on weights that the gradient does not flow into, and says how the per-example
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

    def run(
        self,
        call: Callable[..., tf.Tensor],
        inputs: tf.Tensor,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[Call, tf.Tensor]:
        """Runs the layer up to what `finish` does. Returns the record and that output."""
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
    """Register a rule for a layer class, so that its Fisher matrix costs one pass.

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
    """All registered rules, as a key: a function traced by other rules is traced again."""
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


@contextmanager
def rules_running(
    model: keras.Model,
    run: Callable[..., tf.Tensor],
    num_rows: int,
    is_wanted: Callable[[LayerRule], bool] = lambda rule: True,
) -> Iterator[None]:
    """Runs layers by their rules, while the context is open.

    A call is left to run as it is where the input is not one tensor of known shape with the
    batch's examples in front, where the layer runs inside another graph, such as a loop over time,
    or where it runs on other weights than its own, such as what another network made. Rows that
    are no examples, such as positions, may be as many by chance: a layer that ever had another
    number of them, as with the one example on which a model is tried, is left for good.

    Args:
        model: the model.
        run: from rule, call, inputs, args and kwargs to the output before `finish`.
        num_rows: examples in a batch.
        is_wanted: whether a rule is made use of.
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
    """Whether a scope around the call has values in the place of the layer's weights."""
    with keras.StatelessScope() as scope:
        around = scope.original_scope
    return around is not None and any(
        around.get_current_value(v) is not None for v in rule.variables()
    )

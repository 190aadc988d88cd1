"""How a model is run by the rules of its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.rules.rule import LayerRule, rule_for
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.contents import all_layers
from keras_infobottleneck.introspection.replaced_calls import has_call_of_its_own, replaced_call

__all__ = ["rules_running"]


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

    def by_rule(rule: LayerRule, layer: keras.layers.Layer, call: Callable) -> Callable:
        def call_by_rule(inputs, *args, **kwargs):
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

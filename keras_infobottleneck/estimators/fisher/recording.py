"""Listening to a model while it runs forward, without changing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.gradients import Call
from keras_infobottleneck.estimators.fisher.rules.registration import rule_for
from keras_infobottleneck.estimators.fisher.rules.rule import Rule
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.replaced_calls import has_call_of_its_own, replaced_call

__all__ = ["Records", "recorded", "rules_running"]

# Each rule with the calls of its layer, in the order of their first call.
Records = dict[Rule, list[Call]]


@contextmanager
def recorded(model: keras.Model, tape: tf.GradientTape, num_rows: int) -> Iterator[Records]:
    """Fills a dictionary with every call that a rule covers, while the context is open.

    The weights of a call that no rule covers are left to the loop over examples.
    """
    records: Records = {}

    def run(rule, call, inputs, args, kwargs):
        record, outputs = rule.run(call, inputs, args, kwargs)
        tape.watch(outputs)
        records.setdefault(rule, []).append(record)
        return outputs

    with rules_running(model, run, num_rows):
        yield records


@contextmanager
def rules_running(
    model: keras.Model,
    run: Callable[..., tf.Tensor],
    num_rows: int,
    is_wanted: Callable[[Rule], bool] = lambda rule: True,
) -> Iterator[None]:
    """Runs layers by their rules, while the context is open.

    A call is left to run as it is where the input is not one tensor of known shape with the
    batch's examples in front, where the layer runs inside another graph, such as a loop over time,
    or where it runs on other weights than its own, such as what another network made. Rows that
    are no examples, such as positions, may be as many by chance: a layer that ever had another
    number of them, as with the one example on which a model is tried, is left for good.

    Args:
        model: the model.
        run: from rule, call, inputs, args and kwargs to the output before the activation.
        num_rows: examples in a batch.
        is_wanted: whether a rule is made use of.
    """
    graph = tf.compat.v1.get_default_graph()
    of_other_rows = compiled(model, "layers whose rows are no examples", lambda _: set())

    def by_rule(rule: Rule, layer: keras.layers.Layer, call: Callable) -> Callable:
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
        for layer in model._flatten_layers():
            rule = rule_for(layer) if layer.built and not has_call_of_its_own(layer) else None
            if rule is not None and is_wanted(rule):
                stack.enter_context(replaced_call(layer, partial(by_rule, rule, layer)))
        yield


def _is_given_weights(rule: Rule) -> bool:
    """Whether a scope around the call has values in the place of the layer's weights."""
    with keras.StatelessScope() as scope:
        around = scope.original_scope
    return around is not None and any(
        around.get_current_value(v) is not None for v in rule.variables()
    )

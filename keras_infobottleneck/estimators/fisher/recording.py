"""Listening to a model while it runs forward, without changing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.gradients import Call
from keras_infobottleneck.estimators.fisher.rule import Rule
from keras_infobottleneck.estimators.fisher.rules import rule_for

__all__ = ["Records", "recorded"]

# Each rule with the calls of its layer, in the order of their first call.
Records = dict[Rule, list[Call]]


@contextmanager
def recorded(model: keras.Model, tape: tf.GradientTape, num_rows: int) -> Iterator[Records]:
    """Fills a dictionary with every call that a rule covers, while the context is open.

    A call is left to run as it is, and its weights to the loop over examples, where the input is
    not one tensor of known shape with the batch's examples in front, or where the layer runs
    inside another graph, such as a loop over time.
    """
    records: Records = {}
    graph = tf.compat.v1.get_default_graph()
    changed = []

    def listen(layer: keras.layers.Layer, rule: Rule) -> None:
        call = layer.call

        def recording_call(inputs, *args, **kwargs):
            if (
                not tf.is_tensor(inputs)
                or isinstance(inputs, (tf.SparseTensor, tf.RaggedTensor))
                or tf.compat.v1.get_default_graph() is not graph
                or inputs.shape.rank is None
                or not inputs.shape.is_fully_defined()
                or inputs.shape[0] != num_rows
                or not rule.accepts(inputs)
            ):
                return call(inputs, *args, **kwargs)
            record, outputs = rule.run(call, inputs, args, kwargs)
            tape.watch(outputs)
            records.setdefault(rule, []).append(record)
            return rule.finish(outputs)

        # Past Keras' attribute tracking; an instance's attribute hides its class's method.
        vars(layer)["call"] = recording_call
        changed.append(layer)

    try:
        for layer in model._flatten_layers():
            rule = rule_for(layer) if layer.built and "call" not in vars(layer) else None
            if rule is not None:
                listen(layer, rule)
        yield records
    finally:
        for layer in changed:
            del vars(layer)["call"]

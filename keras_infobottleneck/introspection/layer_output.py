"""Records the output of a layer while its model runs, for models without a graph."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.introspection.refusals_in_calls import as_it_is
from keras_infobottleneck.introspection.replaced_calls import replaced_call

__all__ = ["LayerOutput"]

# Held while `tf.function`s run as Python. This setting affects all threads; their results stay the
# same, but are computed more slowly.
_EAGER = threading.RLock()


class LayerOutput(keras.Model):
    """Maps the inputs of a model to the output of one of its layers, recorded as the model runs.

    The layer is restored after every call, also after one that failed. Calls in other threads are
    not recorded.

    Args:
        model_of: Returns the model, which this one must not keep alive.
        layer: The layer; the model must call it once, outside loops and branches.
    """

    def __init__(self, model_of: Callable[[], keras.Model], layer: keras.layers.Layer):
        # The model casts its inputs itself.
        super().__init__(name=layer.name, autocast=False)
        self._model_of = model_of
        self._layer = layer
        # Tracked by Keras, so that this model has the weights of the other.
        self._parts = list(self.model.layers)
        inner = {id(v) for part in self._parts for v in part.variables}
        self._own = [v for v in self.model.variables if id(v) not in inner]
        self.built = True  # the first call of the model builds what is not yet built

    @property
    def model(self) -> keras.Model:
        """The model that runs."""
        return self._model_of()

    def call(self, inputs: Any) -> Any:
        """Output of the layer, in the training mode of the call."""
        if not self.model.built:
            self.model(inputs)  # run once to build, because building calls the layers too
        outputs = self._recorded(inputs)
        if not outputs or not _are_here(outputs):
            # Inside a `tf.function` the outputs belong to its graph, or, if it was traced before,
            # no layer is called. Functions therefore run as Python.
            with _functions_run_as_python():
                outputs = self._recorded(inputs)
        if len(outputs) != 1:
            shapes = [keras.tree.map_structure(lambda o: tuple(o.shape), o) for o in outputs]
            raise as_it_is(
                ValueError(
                    "The layer must be called once in the model's forward pass. "
                    f"Received: layer={self._layer.name}, {len(outputs)} calls, outputs {shapes}"
                )
            )
        if not _are_here(outputs):
            raise as_it_is(
                ValueError(
                    "The layer must be called outside loops and branches, which run it any number "
                    f"of times. Received: layer={self._layer.name} inside one"
                )
            )
        return outputs[0]

    def _recorded(self, inputs: Any) -> list[Any]:
        """Outputs of the layer's calls during a run of the model."""
        outputs = []

        def recording(call: Callable) -> Callable:
            def recording_call(*args: Any, **kwargs: Any) -> Any:
                outputs.append(call(*args, **kwargs))
                return outputs[-1]

            return recording_call

        with replaced_call(self._layer, recording):
            self.model(inputs)
        return outputs


@contextmanager
def _functions_run_as_python() -> Iterator[None]:
    """Every `tf.function` runs as the Python function it was made from."""
    with _EAGER:
        before = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(before)


def _are_here(outputs: list[Any]) -> bool:
    """Whether the tensors are eager, or belong to the graph that is being traced."""
    leaves = [leaf for leaf in keras.tree.flatten(outputs) if tf.is_tensor(leaf)]
    if tf.executing_eagerly():
        return all(hasattr(leaf, "numpy") for leaf in leaves)
    graph = tf.compat.v1.get_default_graph()
    return all(not tf.is_symbolic_tensor(leaf) or leaf.graph is graph for leaf in leaves)

"""What a layer puts out while its model runs, for models without a graph to cut."""

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

# Held while functions run as Python, which is so for all threads: slower, with the same results.
_EAGER = threading.RLock()


class LayerOutput(keras.Model):
    """Maps a model's inputs to the output of one of its layers, recorded as the model runs.

    The layer is left as it was after every call, also after one that failed. What other threads
    run meanwhile is not recorded.

    Args:
        model_of: gives the model, which this one must not keep alive.
        layer: the layer; the model calls it once, outside loops and branches.
    """

    def __init__(self, model_of: Callable[[], keras.Model], layer: keras.layers.Layer):
        # The model casts its inputs itself.
        super().__init__(name=layer.name, autocast=False)
        self._model_of = model_of
        self._layer = layer
        # Tracked, so that the weights of this model are those of the other.
        self._parts = list(self.model.layers)
        inner = {id(v) for part in self._parts for v in part.variables}
        self._own = [v for v in self.model.variables if id(v) not in inner]
        self.built = True  # what is not built is so by the model's first call

    @property
    def model(self) -> keras.Model:
        """The model that runs."""
        return self._model_of()

    def call(self, inputs: Any) -> Any:
        """Output of the layer, in the training mode of the call."""
        if not self.model.built:
            self.model(inputs)  # building runs the layers too
        outputs = self._recorded(inputs)
        if not outputs or not _are_here(outputs):
            # Inside a `tf.function`, whose tensors stay in its graph, or which was traced before
            # and calls no layer: without it, they are here.
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
    """Whether the tensors can be used where the program is now."""
    leaves = [leaf for leaf in keras.tree.flatten(outputs) if tf.is_tensor(leaf)]
    if tf.executing_eagerly():
        return all(hasattr(leaf, "numpy") for leaf in leaves)
    graph = tf.compat.v1.get_default_graph()
    return all(not tf.is_symbolic_tensor(leaf) or leaf.graph is graph for leaf in leaves)

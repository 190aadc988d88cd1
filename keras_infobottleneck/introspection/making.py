"""Making, building and completing layers by means of Keras for which there is no public name.

Seen to work in Keras 3.15.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src.backend.common import global_state

__all__ = [
    "arguments_given",
    "build_by_call",
    "charges_nothing",
    "made_without_values",
    "set_late",
    "without_values",
]


def arguments_given(layer: keras.layers.Layer) -> dict[str, Any]:
    """The arguments with which a layer was made, if all are numbers, texts and lists of them.

    Raises:
        NotImplementedError: There are others, which only a `get_config` of the layer could give.
    """
    if layer._auto_config is None:
        raise NotImplementedError(
            "A model whose constructor has arguments other than numbers and strings needs a "
            f"`get_config` from which it can be rebuilt. Received: model={layer.name!r}"
        )
    return dict(layer._auto_config.config)


def build_by_call(model: keras.Model, input_shape: Any) -> None:
    """Builds the layers that a model calls, by calling it on symbolic inputs of a shape."""
    model._build_by_run_for_single_pos_arg(input_shape)


def charges_nothing() -> bool:
    """Whether the layer being called is in a model that trains without the price of its noise.

    These are compiled models with the `train_step` and `compute_loss` of Keras, which add no
    divergence; a model with its own step or objective may add it.
    """
    context = global_state.get_global_attribute("current_call_ctx")
    model = getattr(context, "entry_layer", None)
    if not isinstance(model, keras.Model) or not model.compiled:
        return False
    steps = "train_step", "compute_loss"
    return all(getattr(type(model), name) is getattr(keras.Model, name) for name in steps)


def set_late(layer: keras.layers.Layer, name: str, value: keras.layers.Layer) -> None:
    """Sets an attribute to a layer after building, so that the layer is saved with the others.

    Keras locks the tracker of a layer once it is built; its low-rank adapters unlock it like this.
    """
    tracker = layer._tracker
    was_locked = tracker.locked
    tracker.unlock()
    try:
        setattr(layer, name, value)
    finally:
        if was_locked:
            tracker.lock()


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Variables made in this scope get no values, only shapes and types.

    Keras gives variables no values inside a stateless scope, but lists them to be initialised
    later; the variables made here are removed from that list. A variable with a value would also
    leave a TensorFlow kernel of 30 KiB behind until Keras' session is cleared.
    """
    name = "uninitialized_variables"
    waiting = list(global_state.get_global_attribute(name) or ())
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(name, waiting)


def made_without_values(make: Callable[[], keras.Model]) -> list[tuple[tuple[int, ...], str]]:
    """Shapes and types of the weights of a model, which is made without values and then dropped."""
    with without_values():
        model = make()
    return [(tuple(w.shape), keras.backend.standardize_dtype(w.dtype)) for w in model.weights]

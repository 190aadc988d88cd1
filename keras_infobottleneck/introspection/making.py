"""How Keras makes, builds and completes layers: what it keeps of that has no public name.

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
    """Arguments with which a layer was made, where all are numbers, texts and lists of them.

    Raises:
        NotImplementedError: others, of which only the layer itself could tell.
    """
    if layer._auto_config is None:
        raise NotImplementedError(
            "A model whose constructor takes more than numbers and texts needs a `get_config` that "
            f"says how it is made again. Received: model={layer.name!r}"
        )
    return dict(layer._auto_config.config)


def build_by_call(model: keras.Model, input_shape: Any) -> None:
    """Build the layers that a model calls, by a call on symbolic inputs of a shape."""
    model._build_by_run_for_single_pos_arg(input_shape)


def charges_nothing() -> bool:
    """Whether the layer that is being called belongs to a model that `fit` trains as Keras does.

    Such a model knows nothing of a divergence; one with a step or an objective of its own may.
    """
    context = global_state.get_global_attribute("current_call_ctx")
    model = getattr(context, "entry_layer", None)
    if not isinstance(model, keras.Model) or not model.compiled:
        return False
    steps = "train_step", "compute_loss"
    return all(getattr(type(model), name) is getattr(keras.Model, name) for name in steps)


def set_late(layer: keras.layers.Layer, name: str, value: keras.layers.Layer) -> None:
    """Set an attribute that holds a layer, which is saved and counted with the rest from now on.

    Keras locks what a layer tracks once it is built; its own low-rank adapters unlock it likewise.
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
    """Variables that are made here get no values: they are known by shape and type alone.

    Keras gives variables no values inside a stateless scope; it keeps a list of them, to be done
    when a scope ends, from which those made here are taken out. A variable that has a value also
    leaves a kernel of TensorFlow's behind, 30 KiB, until Keras' session is cleared.
    """
    name = "uninitialized_variables"
    waiting = list(global_state.get_global_attribute(name) or ())
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(name, waiting)


def made_without_values(make: Callable[[], keras.Model]) -> list[tuple[tuple[int, ...], str]]:
    """Shapes and types of the weights of a model that is made without values, and dropped."""
    with without_values():
        model = make()
    return [(tuple(w.shape), keras.backend.standardize_dtype(w.dtype)) for w in model.weights]

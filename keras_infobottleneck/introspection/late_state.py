"""Layers given to a layer that Keras regards as complete.

Keras locks what a layer tracks once it is built; its own low-rank adapters unlock it as is done
here. Seen to work in Keras 3.15.
"""

import keras

__all__ = ["set_late"]


def set_late(layer: keras.layers.Layer, name: str, value: keras.layers.Layer) -> None:
    """Set an attribute that holds a layer, which is saved and counted with the rest from now on."""
    tracker = layer._tracker
    was_locked = tracker.locked
    tracker.unlock()
    try:
        setattr(layer, name, value)
    finally:
        if was_locked:
            tracker.lock()

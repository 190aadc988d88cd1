"""`decompress`: a network from a compressed file."""

from __future__ import annotations

import copy
import math
import os
from typing import NoReturn

import keras

from keras_infobottleneck.arguments import check_count
from keras_infobottleneck.compression.architecture import unpacked
from keras_infobottleneck.compression.container import read_parts
from keras_infobottleneck.compression.planning import stored_dtype
from keras_infobottleneck.compression.refused import DamageError
from keras_infobottleneck.compression.weight_stream import read_weights
from keras_infobottleneck.introspection.contents import all_layers
from keras_infobottleneck.introspection.making import made_without_values

__all__ = ["decompress"]

MOST_WEIGHTS = 10**8


def decompress(path: str | os.PathLike, *, max_weights: int = MOST_WEIGHTS) -> keras.Model:
    """Reads a network written by `compress`: plain Keras layers, not compiled.

    The weights are the same bit by bit on every machine and under every version of Python, NumPy
    and TensorFlow. The file is data only: nothing in it is executed, and its architecture may name
    only layers of Keras and layers that are registered
    (`keras.saving.register_keras_serializable`) before the call.

    Args:
        path: Path of the file.
        max_weights: Largest number of weights of the network. A small file can describe a network
            of any size; it is refused before memory is allocated.

    Returns:
        A `keras.Model`, sequential or functional like the original; a network with augmentation
        layers is wrapped in a model that augments only in `fit`.

    Raises:
        TypeError: The path is not a path.
        OSError: The file cannot be opened.
        ValueError: The file was not written by `compress`, is damaged or malicious, or its network
            has more weights than `max_weights`.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        noisy = kib.make_variational(network, num_examples=100, verbose=0)
        kib.compress(noisy, "network.kib", seed=0, verbose=0)
        again = kib.decompress("network.kib")
        print(again(np.ones((1, 4), "float32")).shape)
        ```

        ```text
        (1, 3)
        ```
    """
    check_count("max_weights", max_weights)
    try:
        architecture, stream = read_parts(path)
        return _network(unpacked(architecture), stream, max_weights)
    except DamageError as error:
        _refuse(path, str(error))


def _refuse(path: str | os.PathLike, found: str) -> NoReturn:
    raise ValueError(
        f"`path` must be a file written by `compress`. Received: path={os.fspath(path)!r}, {found}"
    ) from None


def _network(entry: dict, stream: bytes, max_weights: int) -> keras.Model:
    def make() -> keras.Model:
        try:
            # Keras modifies the configuration that it is given.
            config = copy.deepcopy(entry)
            network = keras.saving.deserialize_keras_object(config, safe_mode=True)
        # Keras raises many types of errors for a configuration that it cannot use.
        except Exception as error:
            raise DamageError(
                f"a network that Keras {keras.__version__} cannot make ({type(error).__name__})"
            ) from None
        if not isinstance(network, keras.Model) or not network.built:
            raise DamageError("an architecture that is no network")
        return network

    sizes = made_without_values(make)
    num_weights = sum(math.prod(shape) for shape, _ in sizes)
    if num_weights > max_weights:
        raise DamageError(f"a network of {num_weights:,} weights, more than {max_weights:,}")
    values = read_weights(stream, [(shape, stored_dtype(dtype)) for shape, dtype in sizes])
    network = make()
    network.set_weights(values)
    for layer in all_layers(network):
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.finalize_state()
    return network

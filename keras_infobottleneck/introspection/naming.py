"""One name for each weight and each layer, by which all results of a model join.

The name is the Keras path; a second weight (or layer) of the same path is `path #2`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras

from keras_infobottleneck.introspection.walking import all_layers

__all__ = ["layer_names", "numbered", "weight_names"]


def numbered(paths: Iterable[str]) -> list[str]:
    """The paths in their order, repeated ones as `path #2`, `path #3`."""
    taken: set[str] = set()
    names = []
    for path in paths:
        name, count = path, 1
        while name in taken:
            count += 1
            name = f"{path} #{count}"
        taken.add(name)
        names.append(name)
    return names


def weight_names(model: keras.Model, variables: Sequence[keras.Variable]) -> tuple[str, ...]:
    """Names of some weights of a model, numbered among all of its weights.

    A weight has the same name whichever others are asked for beside it.
    """
    weights = model.weights
    names = dict(zip(map(id, weights), numbered(w.path for w in weights), strict=True))
    return tuple(names[id(variable)] for variable in variables)


def layer_names(model: keras.Model, layers: Sequence[keras.layers.Layer]) -> tuple[str, ...]:
    """Names of some layers of a model, numbered among all of its layers."""
    everything = all_layers(model)
    names = dict(zip(map(id, everything), numbered(x.path for x in everything), strict=True))
    return tuple(names[id(layer)] for layer in layers)

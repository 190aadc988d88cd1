"""One name for each weight and each layer, by which all results of a model join.

The name is the Keras path; a second weight (or layer) of the same path is `path #2`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras

from keras_infobottleneck.introspection.walking import layers_in_order

__all__ = ["layer_names", "numbered", "renumbered", "weight_names"]


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


def renumbered(names: Sequence[str]) -> tuple[str, ...]:
    """Names of version 0.1.0, which has `path`, `path_1`, `path_2`, as they are now.

    A name that ends like this without the others before it is a path of its own.
    """
    new: dict[str, str] = {}
    for name in names:
        path, _, number = name.rpartition("_")
        count = int(number) if number.isdecimal() and number == number.lstrip("0") else 0
        is_later = count > 0 and path in new and (count == 1 or f"{path}_{count - 1}" in new)
        new[name] = f"{path} #{count + 1}" if is_later else name
    return tuple(new.values())


def weight_names(model: keras.Model, variables: Sequence[keras.Variable]) -> tuple[str, ...]:
    """Names of some weights of a model, numbered among all of its weights.

    A weight has the same name whichever others are asked for beside it.
    """
    weights = model.weights
    names = dict(zip(map(id, weights), numbered(w.path for w in weights), strict=True))
    return tuple(names[id(variable)] for variable in variables)


def layer_names(model: keras.Model, layers: Sequence[keras.layers.Layer]) -> tuple[str, ...]:
    """Names of some layers of a model, numbered among all of its layers in the weights' order."""
    everything = layers_in_order(model)
    names = dict(zip(map(id, everything), numbered(x.path for x in everything), strict=True))
    return tuple(names[id(layer)] for layer in layers)

"""What a model is made of: its layers, also those inside others, its weights, and their names.

Keras has no public walk that reaches the layers of nested models and of custom layers, and no
public word on how often a layer was called. The private names used here were seen in Keras 3.15.

A weight or a layer is named by its Keras path; a second one of the same path is `path #2`. By these
names all results of a model join.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import check_instance, refusal

__all__ = [
    "all_layers",
    "check_finite",
    "chosen_variables",
    "inner_layers",
    "is_rematerialised",
    "layer_names",
    "layers_in_order",
    "layers_of_kind",
    "maker_of",
    "mask_of",
    "nodes_of",
    "noise_weights",
    "num_calls",
    "numbered",
    "own_losses",
    "own_metrics",
    "own_weights",
    "precision_of",
    "renumbered",
    "takes_training",
    "weight_names",
    "weights_of_predictions",
]

L = TypeVar("L")


def all_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layer itself and every layer inside it, each once."""
    return list(layer._flatten_layers())


def layers_in_order(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The same layers as `all_layers`, in the order of `layer.weights`.

    Keras' own walk goes backwards through the layers of a layer that sits in another.
    """
    found: dict[int, keras.layers.Layer] = {}
    left = [layer]
    while left:
        each = left.pop()
        if id(each) not in found:
            found[id(each)] = each
            left.extend(reversed(each._layers))
    return list(found.values())


def inner_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Every layer inside a layer or model, each once."""
    return list(layer._flatten_layers(include_self=False))


def layers_of_kind(layer: keras.layers.Layer, kind: type[L]) -> list[L]:
    """Every layer of a class, the layer itself and those inside it, each once."""
    return [each for each in all_layers(layer) if isinstance(each, kind)]


def num_calls(layer: keras.layers.Layer) -> int:
    """How often the layer was called in graphs of symbolic tensors."""
    return len(layer._inbound_nodes)


def mask_of(tensor: Any) -> Any:
    """The mask that Keras keeps with a tensor, None without."""
    return getattr(tensor, "_keras_mask", None)


def maker_of(tensor: Any) -> keras.Operation:
    """The layer or operation whose output a symbolic tensor is.

    Raises:
        AttributeError: a tensor that is no output of a Keras graph.
    """
    return tensor._keras_history.operation


def nodes_of(graph: keras.Function) -> list[Any]:
    """Every call of an operation in a graph, with its `operation` and `input_tensors`."""
    return [node for nodes in graph._nodes_by_depth.values() for node in nodes]


def own_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The weights that a layer made itself for training, frozen or not, without inner layers'."""
    return list(layer._trainable_variables)


def own_metrics(layer: keras.layers.Layer) -> list[Any]:
    """The metrics that a layer made itself."""
    return list(layer._metrics)


def own_losses(layer: keras.layers.Layer) -> list[Any]:
    """The losses that a layer itself has added in the forward pass that runs."""
    return layer._get_own_losses()


def is_rematerialised(layer: keras.layers.Layer) -> bool:
    """Whether Keras runs the layer again for its gradient."""
    return layer._remat_mode is not None


def takes_training(layer: keras.layers.Layer) -> bool:
    """Whether the layer's `call` has the argument `training`."""
    return layer._call_has_training_arg


def precision_of(model: keras.Model) -> str:
    """Types in which the layers with weights compute, such as "float16 and float32"."""
    found = {layer.compute_dtype for layer in all_layers(model) if own_weights(layer)}
    return " and ".join(sorted(found or {model.compute_dtype}))


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


def noise_weights(
    model: keras.Model, noise: Literal["weights", "activations"] | None = None
) -> list[keras.Variable]:
    """Scales, priors and prices of noisy layers; predictions without noise read none of them.

    Noisy layers name theirs in `noise_weights`; see `keras_infobottleneck.layers.NoisyLayer`.

    Args:
        model: the model.
        noise: only of layers whose noise is on these.
    """
    found: dict[int, keras.Variable] = {}
    for layer in all_layers(model):
        if noise in (None, getattr(layer, "noise", None)):
            found |= {id(weight): weight for weight in getattr(layer, "noise_weights", ())}
    return list(found.values())


def weights_of_predictions(model: keras.Model) -> list[keras.Variable]:
    """Trainable weights on which predictions depend: all but those that only noise is made from."""
    noise = {id(weight) for weight in noise_weights(model)}
    return [weight for weight in model.trainable_variables if id(weight) not in noise]


def chosen_variables(
    model: keras.Model, variables: Sequence[keras.Variable] | None
) -> list[keras.Variable]:
    """The variables asked for, or every trainable one.

    Raises:
        ValueError: none, one twice, one that is not the model's, or weights that are not floats
            of one type.
    """
    expected = "a list of weights of the model"
    check_instance("variables", variables, list | tuple, expected, optional=True)
    chosen = list(model.trainable_variables if variables is None else variables)
    if not all(isinstance(variable, keras.Variable) for variable in chosen):
        raise refusal(TypeError, "variables", f"be {expected}", variables)
    if not chosen:
        raise ValueError(
            "There must be at least one weight; name `variables` where none is trainable. "
            "Received: variables=[]"
        )
    own = {id(v) for v in model.weights}
    for variable in chosen:
        if id(variable) not in own:
            raise refusal(ValueError, "variables", "be weights of the model", [variable])
    if len({id(v) for v in chosen}) < len(chosen):
        raise ValueError(
            "`variables` must hold each weight once. "
            f"Received: variables={[v.path for v in chosen]}"
        )
    dtypes = sorted({str(v.dtype) for v in chosen})
    if len(dtypes) > 1 or dtypes[0] not in ("float32", "float64"):
        raise ValueError(
            f"`variables` must be all float32 or all float64. Received: dtypes={dtypes}"
        )
    check_finite(chosen)
    return chosen


def check_finite(variables: Sequence[keras.Variable]) -> None:
    """Refuses weights of which some are NaN or infinite.

    Raises:
        ValueError: with the first of them.
    """
    floating = [v for v in variables if tf.as_dtype(v.dtype).is_floating]
    finite = [tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(v.value))) for v in floating]
    # One answer from the device for all of them.
    if not finite or bool(tf.reduce_all(tf.stack(finite))):
        return
    found = next(v for v, each in zip(floating, finite, strict=True) if not bool(each))
    raise ValueError(
        "`model` must have weights that are finite. "
        f"Received: {found.path!r} with NaN or infinite values"
    )

"""The contents of a model: its layers, including layers inside layers, its weights, their names.

Keras has no public way to reach the layers of nested models and of custom layers, or to count the
calls of a layer. The private names used here exist in Keras 3.15.

A weight or a layer is named by its Keras path; a second one with the same path is `path #2`. These
names are the same in all results of one model.
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
    "frozen_weights",
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

QUANTIZED = ("int8", "uint8")  # the dtypes in which Keras stores quantised weights


def all_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layer itself and every layer inside it, each once."""
    return list(layer._flatten_layers())


def layers_in_order(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers of `all_layers`, in the order of `layer.weights`.

    Keras' own walk visits the layers inside a layer in reverse order.
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
    """Number of calls of the layer on symbolic tensors."""
    return len(layer._inbound_nodes)


def mask_of(tensor: Any) -> Any:
    """The mask that Keras attaches to a tensor, or None."""
    return getattr(tensor, "_keras_mask", None)


def maker_of(tensor: Any) -> keras.Operation:
    """The layer or operation that made a symbolic tensor.

    Raises:
        AttributeError: The tensor is not an output of a Keras graph.
    """
    return tensor._keras_history.operation


def nodes_of(graph: keras.Function) -> list[Any]:
    """Every call of an operation in a graph, with its `operation` and `input_tensors`."""
    return [node for nodes in graph._nodes_by_depth.values() for node in nodes]


def own_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The weights that a layer itself made for training, frozen or not, without inner layers."""
    return list(layer._trainable_variables)


def own_metrics(layer: keras.layers.Layer) -> list[Any]:
    """The metrics that a layer itself made."""
    return list(layer._metrics)


def own_losses(layer: keras.layers.Layer) -> list[Any]:
    """The losses that a layer itself has added during the current forward pass."""
    return layer._get_own_losses()


def is_rematerialised(layer: keras.layers.Layer) -> bool:
    """Whether Keras runs the layer again to compute its gradient (rematerialisation)."""
    return layer._remat_mode is not None


def takes_training(layer: keras.layers.Layer) -> bool:
    """Whether the layer's `call` has the argument `training`."""
    return layer._call_has_training_arg


def precision_of(model: keras.Model) -> str:
    """The compute dtypes of the layers with weights, such as "float16 and float32"."""
    found = {layer.compute_dtype for layer in all_layers(model) if own_weights(layer)}
    return " and ".join(sorted(found or {model.compute_dtype}))


def numbered(paths: Iterable[str]) -> list[str]:
    """The paths in their order, with repeated ones renamed to `path #2`, `path #3`."""
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
    """Converts names of version 0.1.0 (`path`, `path_1`, `path_2`) to the present form.

    A name with such an ending is left as it is unless the names before it in the series exist.
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

    The name of a weight does not depend on which other weights are asked for.
    """
    weights = model.weights
    names = dict(zip(map(id, weights), numbered(w.path for w in weights), strict=True))
    return tuple(names[id(variable)] for variable in variables)


def layer_names(model: keras.Model, layers: Sequence[keras.layers.Layer]) -> tuple[str, ...]:
    """Names of some layers of a model, numbered among all layers in the order of weights."""
    everything = layers_in_order(model)
    names = dict(zip(map(id, everything), numbered(x.path for x in everything), strict=True))
    return tuple(names[id(layer)] for layer in layers)


def noise_weights(
    model: keras.Model, noise: Literal["weights", "activations"] | None = None
) -> list[keras.Variable]:
    """The weights that only make noise: scales, priors and prices of noisy layers.

    Predictions without noise read none of them. Noisy layers list them in `noise_weights`; see
    `keras_infobottleneck.layers.NoisyLayer`.

    Args:
        model: The model.
        noise: If given, only layers with this kind of noise are considered.
    """
    found: dict[int, keras.Variable] = {}
    for layer in all_layers(model):
        if noise in (None, getattr(layer, "noise", None)):
            found |= {id(weight): weight for weight in getattr(layer, "noise_weights", ())}
    return list(found.values())


def weights_of_predictions(model: keras.Model) -> list[keras.Variable]:
    """The trainable weights on which predictions depend: all except `noise_weights`."""
    noise = {id(weight) for weight in noise_weights(model)}
    return [weight for weight in model.trainable_variables if id(weight) not in noise]


def frozen_weights(model: keras.Model) -> list[keras.Variable]:
    """The weights of predictions that are not trained: of frozen layers, and of int8 or int4."""
    noise = {id(weight) for weight in noise_weights(model)}
    once_trained = {id(weight) for layer in all_layers(model) for weight in own_weights(layer)}
    return [
        weight
        for weight in model.weights
        if id(weight) not in noise
        and (id(weight) in once_trained or weight.dtype in QUANTIZED)
        and not weight.trainable
    ]


def chosen_variables(
    model: keras.Model, variables: Sequence[keras.Variable] | None
) -> list[keras.Variable]:
    """The variables asked for, or all trainable ones.

    Raises:
        TypeError: `variables` is not a list of variables.
        ValueError: There is none, one is repeated or not a weight of the model, or the weights
            are not all float32 or all float64.
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
    """Refuses weights with NaN or infinite values.

    Raises:
        ValueError: There are such values; the message names the first such weight.
    """
    floating = [v for v in variables if tf.as_dtype(v.dtype).is_floating]
    finite = [tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(v.value))) for v in floating]
    # Reduced on the device, so that the host waits for one answer only.
    if not finite or bool(tf.reduce_all(tf.stack(finite))):
        return
    found = next(v for v, each in zip(floating, finite, strict=True) if not bool(each))
    raise ValueError(
        "`model` must have weights that are finite. "
        f"Received: {found.path!r} with NaN or infinite values"
    )

"""Follows the units of a layer through layers that treat each unit alone, to the one reader.

A unit can be removed only there: the layers between must not mix units, and one layer with a kernel
must read them all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.introspection.contents import nodes_of

__all__ = ["Chain", "chains_of", "has_kernel_of_units"]

KERNEL_LAYERS = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)
POINTWISE = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.ReLU,
)
PADDING = (
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)
# In inference, a value that is the same everywhere passes through these layers unchanged.
UNCHANGED = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.AveragePooling3D,
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling3D,
    keras.layers.Identity,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.MaxPooling3D,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.UpSampling1D,
    keras.layers.UpSampling2D,
    keras.layers.UpSampling3D,
)

Weights = dict[int, list[np.ndarray]]


@dataclass(frozen=True)
class Chain:
    """A layer, the layers that its units pass through, and the one that reads them.

    Args:
        layer: The layer with the units.
        passes: The layers between, in order, each with the number of entries that it sees for one
            unit: 1, or the number of positions behind a `Flatten`.
        reader: The layer that reads the units.
        positions: Number of positions at which the reader's kernel has weights for one unit.
    """

    layer: keras.layers.Layer
    passes: tuple[tuple[keras.layers.Layer, int], ...]
    reader: keras.layers.Layer
    positions: int

    def reading(self, weights: Weights) -> np.ndarray:
        """The reader's kernel as `[positions, units, outputs]`."""
        kernel = weights[id(self.reader)][0]
        units = weights[id(self.layer)][0].shape[-1]
        return kernel.reshape(-1, units, kernel.shape[-1])

    def constants(self, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
        """The constant inputs of the reader if no unit had incoming weights.

        Args:
            weights: Weights by the identity of each layer.

        Returns:
            `[positions, units]` in float64, and booleans `[units]`: whether the reader can add the
            constant to its bias.
        """
        kernel, *bias = weights[id(self.layer)]
        units = kernel.shape[-1]
        value = np.zeros(units) if not bias else bias[0].astype(np.float64)
        value = _applied(self.layer.activation, value)[None]
        known = np.ones(units, bool)
        for layer, positions in self.passes:
            value = np.repeat(value, positions // len(value), axis=0)
            if isinstance(layer, PADDING):
                known &= value[0] == 0
            elif isinstance(layer, keras.layers.BatchNormalization):
                value = _normalised(layer, weights[id(layer)], value)
            elif isinstance(layer, POINTWISE):
                value = _applied(layer, value)
        if _pads(self.reader):
            known &= (value == 0).all(0)
        return np.repeat(value, self.positions // len(value), axis=0), known & np.isfinite(
            value
        ).all(0)

    def without(self, goes: np.ndarray, weights: Weights) -> None:
        """Removes units from the weights of every layer of the chain."""
        stay = ~goes
        reading = self.reading(weights)[:, stay]
        kernel, *bias = weights[id(self.reader)]
        weights[id(self.reader)] = [
            reading.reshape(*kernel.shape[:-2], -1, kernel.shape[-1]),
            *bias,
        ]
        weights[id(self.layer)] = [w[..., stay] for w in weights[id(self.layer)]]
        for layer, positions in self.passes:
            arrays = weights.get(id(layer), [])
            weights[id(layer)] = [a.reshape(positions, -1)[:, stay].ravel() for a in arrays]


def has_kernel_of_units(layer: keras.layers.Layer) -> bool:
    """Whether a layer's units are the last axis of its kernel, and it has no other weights."""
    if type(layer) not in KERNEL_LAYERS or not layer.built:
        return False
    names = [weight.name for weight in layer.weights]
    is_whole = isinstance(layer, keras.layers.Dense) or layer.groups == 1
    return names in (["kernel"], ["kernel", "bias"]) and is_whole and _ends_in_channels(layer)


def chains_of(network: keras.Model) -> tuple[list[Chain], dict[int, str]]:
    """All chains of a network, and for other layers with units the reason why they begin none.

    Args:
        network: Sequential or functional. Layers in nested models begin no chain.
    """
    # A new graph contains only the nodes that lead to the outputs.
    graph = keras.Model(network.inputs, network.outputs)
    nodes = nodes_of(graph)
    readers: dict[int, list[Any]] = defaultdict(list)
    for node in nodes:
        for tensor in node.input_tensors:
            readers[id(tensor)].append(node)
    calls = Counter(id(node.operation) for node in nodes)
    outputs = {id(tensor) for tensor in graph.outputs}
    chains: list[Chain] = []
    reasons: dict[int, str] = {}
    for node in nodes:
        if not has_kernel_of_units(node.operation):
            continue
        found = _followed(node, readers, calls, outputs)
        if isinstance(found, Chain):
            chains.append(found)
        else:
            reasons[id(node.operation)] = found
    return chains, reasons


def _followed(node: Any, readers: Any, calls: Counter, outputs: set[int]) -> Chain | str:
    """The chain that a call of a layer begins, or the reason why there is none."""
    layer = node.operation
    if calls[id(layer)] > 1:
        return "it is used in several places"
    if not _is_pointwise(layer.activation):
        return "its activation mixes units"
    units, positions = layer.kernel.shape[-1], 1
    passes: list[tuple[keras.layers.Layer, int]] = []
    while True:
        tensor = node.output_tensors[0]
        if id(tensor) in outputs:
            return "they are an output of the model"
        behind = readers[id(tensor)]
        if len(behind) != 1:
            return f"{len(behind)} layers read them"
        (node,) = behind
        after = node.operation
        if calls[id(after)] > 1:
            return f"{after.name!r} behind them is used in several places"
        if has_kernel_of_units(after):
            return Chain(layer, tuple(passes), after, positions)
        if not _leaves_units_apart(after, len(tensor.shape)):
            return f"they go through {after.name!r}, of type {type(after).__name__}"
        if isinstance(after, keras.layers.Flatten):
            entries = node.output_tensors[0].shape[-1]
            if entries is None:
                return f"{after.name!r} behind them flattens any number of places"
            positions = entries // units
        passes.append((after, positions))


def _leaves_units_apart(layer: Any, rank: int) -> bool:
    """Whether a layer treats each unit, an entry of the last axis of its input, alone."""
    if not isinstance(layer, keras.layers.Layer):  # such as the sum of a skip connection
        return False
    if type(layer) is keras.layers.BatchNormalization:
        return layer.axis in (-1, rank - 1)
    if type(layer) in POINTWISE:
        return _is_pointwise(layer)
    return type(layer) in (*UNCHANGED, *PADDING) and _ends_in_channels(layer)


def _ends_in_channels(layer: keras.layers.Layer) -> bool:
    return layer.get_config().get("data_format") in (None, "channels_last")


def _pads(layer: keras.layers.Layer) -> bool:
    """Whether a layer reads zeros beyond the edges of its input."""
    return layer.get_config().get("padding", "valid") != "valid"


def _is_pointwise(function: Any) -> bool:
    """Whether no output entry depends on another input entry, tested on random numbers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 8))
    moved = np.where(np.arange(8) < 4, x + 1.0, x)
    try:
        before, after = _applied(function, x), _applied(function, moved)
    except (ValueError, TypeError):  # the function needs another shape
        return False
    return before.shape == x.shape and np.array_equal(before[:, 4:], after[:, 4:])


def _applied(function: Any, value: np.ndarray) -> np.ndarray:
    """A pointwise function of an array, in float32, the highest precision of the layers."""
    tensor = keras.ops.convert_to_tensor(value, "float32")
    return keras.ops.convert_to_numpy(keras.ops.cast(function(tensor), "float32")).astype("float64")


def _normalised(
    layer: keras.layers.BatchNormalization, arrays: list[np.ndarray], value: np.ndarray
) -> np.ndarray:
    """Batch normalisation of `[positions, units]` with the given weights of a layer."""
    named = dict(zip((w.name for w in layer.weights), arrays, strict=True))
    shaped = {name: a.astype(np.float64).reshape(value.shape) for name, a in named.items()}
    value = (value - shaped["moving_mean"]) / np.sqrt(shaped["moving_variance"] + layer.epsilon)
    return value * shaped.get("gamma", 1.0) + shaped.get("beta", 0.0)

"""Removes units that carry no information from a plain network, which becomes smaller and faster.

A unit is removed for one of two reasons. If all weights into it are zero, its output is a constant,
which is added to the bias of the layer that reads it. Or all weights from it are zero. Removing
units of one layer may leave units of another without weights, so this is repeated until nothing
changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from keras_infobottleneck.introspection.cloning import (
    fresh_copy,
    hand_on_adapted,
    uncompiled,
    uncompiled_clone,
)
from keras_infobottleneck.introspection.contents import all_layers
from keras_infobottleneck.models.unit_chains import (
    KERNEL_LAYERS,
    Chain,
    Weights,
    chains_of,
    has_kernel_of_units,
)

__all__ = ["UnitRemoval", "without_silent_units"]


@dataclass(frozen=True)
class UnitRemoval:
    """The units of one layer, and how many were removed.

    Attributes:
        layer: Name of the layer.
        units: Number of units (filters, for a convolution) before.
        removed: Number of units removed.
        silent: Number of units left that have no weights into them.
        reason: Why these are left; empty if there are none.
    """

    layer: str
    units: int
    removed: int
    silent: int
    reason: str


def without_silent_units(network: keras.Model) -> tuple[keras.Model, tuple[UnitRemoval, ...]]:
    """The network without units that carry no information, and a report for each layer.

    Predictions stay the same up to rounding. Units of dense layers and convolutions are removed if
    a single such layer reads them, with activations, normalisation, pooling or flattening between.

    Args:
        network: Sequential or functional, of plain Keras layers; it is not changed.
    """
    layers = [x for x in all_layers(network) if type(x) in KERNEL_LAYERS and x.built]
    chains, reasons = chains_of(network)
    begins = {id(chain.layer) for chain in chains}
    involved = [*layers, *(x for chain in chains for x, _ in chain.passes)]
    weights: Weights = {id(x): [w.numpy() for w in x.weights] for x in involved}
    while any(_shorten(chain, weights) for chain in chains):
        pass
    rows = []
    for layer in layers:
        units, left = layer.kernel.shape[-1], weights[id(layer)][0]
        silent = int(np.sum(_is_zero(left)))
        reason = reasons.get(id(layer), "it is inside another layer or has other weights")
        if id(layer) in begins:
            reason = (
                "a layer keeps one unit"
                if left.shape[-1] == 1
                else "their output is a constant, and zeros are padded to it before it is read"
            )
        row = layer.name, units, units - left.shape[-1], silent, reason if silent else ""
        rows.append(UnitRemoval(*row))
    return _resized(network, weights), tuple(rows)


def _shorten(chain: Chain, weights: Weights) -> bool:
    """Removes units without information from the weights of a chain; returns whether it did."""
    reading = chain.reading(weights)
    nothing_goes_out = ~reading.any(axis=(0, 2))
    nothing_comes_in = _is_zero(weights[id(chain.layer)][0])
    value, is_known = chain.constants(weights)
    goes = nothing_goes_out | (nothing_comes_in & is_known)
    if goes.all():
        goes[0] = False  # Keras has no layer without units
    if not goes.any():
        return False
    constant = goes & ~nothing_goes_out
    shift = np.einsum(
        "pu,puo->o", value[:, constant], reading[:, constant].astype(np.float64), optimize=True
    )
    if np.any(shift):
        kernel, *bias = weights[id(chain.reader)]
        total = shift + (bias[0] if bias else 0.0)
        weights[id(chain.reader)] = [kernel, total.astype(kernel.dtype)]
    chain.without(goes, weights)
    return True


def _is_zero(kernel: np.ndarray) -> np.ndarray:
    """Whether each unit has no nonzero weight into it."""
    return np.logical_not(kernel.reshape(-1, kernel.shape[-1]).any(0))


def _resized(network: keras.Model, weights: Weights) -> keras.Model:
    """The network with layers of the sizes of these weights."""
    pairs: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []

    def copy_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        arrays = weights.get(id(layer))
        if isinstance(layer, keras.layers.Layer) and arrays and has_kernel_of_units(layer):
            config = uncompiled(layer.get_config())
            size = "units" if isinstance(layer, keras.layers.Dense) else "filters"
            config |= {size: arrays[0].shape[-1], "use_bias": len(arrays) == 2}
            twin = type(layer).from_config(config)
        else:
            twin = fresh_copy(layer)
        if isinstance(layer, keras.layers.Layer):
            pairs.append((layer, twin))
        return twin

    smaller = uncompiled_clone(network, copy_of)
    if not smaller.built:
        smaller.build(network.input_shape)
    for layer, twin in pairs:
        twin.set_weights(weights.get(id(layer)) or layer.get_weights())
    hand_on_adapted(network, smaller)
    return smaller

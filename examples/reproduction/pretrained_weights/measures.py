"""Complexity of a network's bit planes beside those of other arrangements of its values."""

import numpy as np

import keras_infobottleneck as kib

BITS = 8
KINDS = ("within_rows", "within_columns", "renumbered")


def measure(weights: dict[str, np.ndarray], seed: int) -> dict:
    """Ratios by plane, from the least significant, to a random start and to rearrangements.

    A random start is uniform, as the framework of the paper has it, or normal. Positions are those
    of a convolution's kernel, shuffled for each pair of channels; null where there are none.
    """
    rng = np.random.default_rng(seed)
    options = {"num_bits": BITS, "seed": seed, "layout": "out_first"}
    found = kib.estimators.quantized_complexity(weights, rearrangements=KINDS, **options)
    nulls = {
        "uniform start": {n: rng.uniform(-1, 1, w.shape) for n, w in weights.items()},
        "normal start": {n: rng.normal(size=w.shape) for n, w in weights.items()},
    }
    if any(_positions(w) > 1 for w in weights.values()):
        nulls["positions"] = {n: _shuffled_positions(w, rng) for n, w in weights.items()}
    ratios = {}
    for name, arrays in nulls.items():
        other = kib.estimators.quantized_complexity(arrays, num_shuffles=2, **options)
        ratios[name] = found.by_plane / other.by_plane
    ratios["shuffled"] = found.against_shuffled.by_plane
    ratios |= {kind: found.rearranged[kind].by_plane for kind in KINDS}
    return {
        "num_weights": int(sum(w.size for w in weights.values())),
        "ratio_by_plane": {name: np.round(r, 4).tolist() for name, r in ratios.items()},
        "whole": {
            "shuffled": found.shuffled_ratio,
            **{kind: found.rearranged[kind].value for kind in KINDS},
        },
    }


def _positions(array):
    return int(np.prod(array.shape[2:]))


def _shuffled_positions(array, rng):
    """The taps of every kernel in an order of its own."""
    if _positions(array) == 1:
        return array
    flat = array.reshape(*array.shape[:2], -1)
    return rng.permuted(flat, axis=-1).reshape(array.shape)

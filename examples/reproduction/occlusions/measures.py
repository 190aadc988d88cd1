"""What the experiment measures: heat maps and their ROC, a reader of nuisances, a bound."""

import keras
import numpy as np
from scipy.stats import rankdata

import keras_infobottleneck as kib
from reproduction.frame.training import error_rate


def heat_maps(model: keras.Model, x) -> dict[str, np.ndarray]:
    """Nats per place, ``[examples, height, width]``, of every noisy layer, less the least place."""
    maps = {}
    for layer in model.layers:
        if isinstance(layer, kib.layers.InformationDropout):
            below = keras.Model(model.inputs[0], layer.input)
            parts = [
                layer.information(below(x[i : i + 500])).numpy().sum(-1)
                for i in range(0, len(x), 500)
            ]
            each = np.concatenate(parts)
            maps[layer.name] = each - each.min((1, 2), keepdims=True)
    return maps


def roc_areas(maps: dict[str, np.ndarray], own, around) -> dict[str, dict[str, float]]:
    """How well information tells the image from the rest: areas under the ROC, means over images.

    A place of a layer is inside where any of the pixels that it stands for belongs to the image
    (`own`), bool ``[examples, height, width]``; it is clutter where pixels of pieces only
    (`around`) do. "digit" ranks all places; "dilated" as well, with the image's pixels and all
    their neighbours inside; "digit_against_clutter" ranks inside and clutter alone.
    """
    areas = {}
    for name, nats in maps.items():
        inside, wide, pieces = (
            _at_resolution(mask, nats.shape[1]) for mask in (own, _dilated(own), around)
        )
        anywhere = np.ones_like(inside)
        areas[name] = {
            **_area("digit", nats, inside, anywhere),
            **_area("dilated", nats, wide, anywhere),
            **_area("digit_against_clutter", nats, inside, inside | pieces),
            "nats": float(nats.sum((1, 2)).mean()),
        }
    return areas


def _at_resolution(mask, side):
    """Whether any pixel of each place is in the mask."""
    block = mask.shape[1] // side
    return mask.reshape(len(mask), side, block, side, block).any((2, 4))


def _dilated(mask):
    """The mask and its eight neighbours."""
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    height, width = mask.shape[1:]
    shifts = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.any(shifts, axis=0)


def _area(name, nats, inside, among):
    """Mean over the images that have both kinds of place, and its standard error.

    An area is the share of pairs, one place inside and one not, that are ranked right.
    """
    nats, inside, among = (each.reshape(len(each), -1) for each in (nats, inside & among, among))
    ranks = rankdata(np.where(among, nats, np.nan), axis=1, nan_policy="omit")
    num_inside = inside.sum(1)
    num_pairs = num_inside * (among.sum(1) - num_inside)
    right = np.where(inside, ranks, 0.0).sum(1) - num_inside * (num_inside + 1) / 2
    areas = right[num_pairs > 0] / num_pairs[num_pairs > 0]
    error = float(np.std(areas, ddof=1) / np.sqrt(len(areas)))
    return {name: float(np.mean(areas)), f"{name}_standard_error": error}


def reading_error(z, y, z_test, y_test, *, seed: int) -> float:
    """Test error of a fresh network that reads `y` from draws of a noisy representation.

    Args:
        z, z_test: draws ``[draws, examples, ...]``, not negative; every draw is an example.
        y, y_test: classes ``[examples]``.
        seed: of the network and the order of the examples.
    """
    keras.utils.set_random_seed(seed)
    # Noise is multiplicative: its size is the same everywhere in the logarithm.
    z, z_test = (np.log1p(each.reshape(-1, *each.shape[2:])) for each in (z, z_test))
    y, y_test = (
        np.tile(each, len(draws) // len(each)) for each, draws in ((y, z), (y_test, z_test))
    )
    reader = keras.Sequential(
        [
            keras.layers.Flatten(),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(int(y.max()) + 1),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    reader.compile(keras.optimizers.Adam(1e-3), loss)
    reader.fit(z, y, batch_size=200, epochs=8, verbose=0)
    return error_rate(reader, z_test, y_test)


def activation_bound(layers, max_variance: float) -> float:
    """Bound on the information of the last layer's output about the input, nats.

    "Emergence", Corollary 5.3, with the one variance of log weights at which each layer would hold
    the information that it does.
    """
    shapes = [layer.layer.kernel.shape for layer in layers]
    nats = [float(layer.kl_divergence()) for layer in layers]
    sizes = [int(np.prod(shape)) for shape in shapes]
    alpha = kib.estimators.noise_variance_of_information(nats, sizes, max_variance=max_variance)
    units = [shape[-1] for shape in shapes]
    return kib.estimators.activation_information_bounds(alpha, units).network

"""Images with labels for the example scripts: the digits of scikit-learn, Keras, or a file."""

import os
from typing import NamedTuple

import numpy as np

from keras_infobottleneck.results.archives import Archive

KEYS = ("x_train", "y_train", "x_test", "y_test")
MAX_BYTES = 2**33  # of the arrays of a file, decompressed
MAX_CLASSES = 1_000_000  # an output each
NUM_DIGITS_FOR_TRAINING = 1200


class Images(NamedTuple):
    """Pixels in [0, 1], float32 ``[examples, height, width, channels]``; labels, int32."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @property
    def num_classes(self) -> int:
        """Number of classes of the training labels."""
        return int(self.y_train.max()) + 1


def load(name: str = "digits", path: str | None = None) -> Images:
    """The data set `name`, or the arrays of the file at `path`, checked.

    Raises:
        ValueError: one sentence on what is wrong with the file or its arrays.
    """
    if path:
        arrays, source = _read(path), path
    elif name == "digits":
        arrays, source = _digits(), name
    else:
        import keras

        (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
        arrays, source = dict(zip(KEYS, (x_train, y_train, x_test, y_test), strict=True)), name
    return _checked(arrays, source)


def _digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].reshape(-1, 8, 8), y[order]
    n = NUM_DIGITS_FOR_TRAINING
    return dict(zip(KEYS, (x[:n], y[:n], x[n:], y[n:]), strict=True))


def _read(path):
    if not os.path.exists(path):
        raise ValueError(f"The data file must exist. Received: {path}")
    rule = "The data file must be a complete .npz archive of arrays of numbers"
    archive = Archive(path, rule, "data", names=KEYS, max_bytes=MAX_BYTES)
    missing = [key for key in KEYS if key not in archive]
    if missing:
        raise ValueError(f"The file must hold {KEYS}. Received: {path} without {missing}")
    return {key: archive.take(key) for key in KEYS}


def _checked(arrays, source) -> Images:
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.ndim not in (3, 4) or 0 in x.shape or x.dtype.kind not in "fiu":
            raise ValueError(
                f"x_{part} must be numbers of shape [examples, height, width] or with channels. "
                f"Received: {x.dtype} of shape {x.shape} in {source}"
            )
        if not np.all(np.isfinite(x)) or x.min() < 0:
            raise ValueError(
                f"x_{part} must be finite and not negative. Received: values that are not, "
                f"in {source}"
            )
        if y.size != len(x) or y.dtype.kind not in "iu":
            raise ValueError(
                f"y_{part} must be one integer for each of {len(x)} examples. "
                f"Received: {y.dtype} of shape {y.shape} in {source}"
            )
        if arrays["y_train"].max() < 1:
            raise ValueError(f"y_train must hold two classes at least. Received: one in {source}")
        if arrays["y_train"].max() >= MAX_CLASSES:
            raise ValueError(
                f"y_train must hold classes below {MAX_CLASSES:,}. "
                f"Received: {arrays['y_train'].max():,} in {source}"
            )
        if y.min() < 0 or y.max() > arrays["y_train"].max():
            raise ValueError(
                f"y_{part} must hold classes from 0 to {arrays['y_train'].max()}, the last class "
                f"of y_train. Received: labels from {y.min()} to {y.max()} in {source}"
            )
    if arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        raise ValueError(
            "x_train and x_test must hold images of one shape. Received: "
            f"{arrays['x_train'].shape[1:]} and {arrays['x_test'].shape[1:]} in {source}"
        )
    # Of both parts: units of a Boltzmann machine lie in [0, 1], test images too.
    scale = float(max(arrays["x_train"].max(), arrays["x_test"].max())) or 1.0
    with np.errstate(all="ignore"):  # what float32 does not hold is said below
        pixels = {key: arrays[key].astype("float32") / scale for key in ("x_train", "x_test")}
    for key, x in pixels.items():
        if not np.all(np.isfinite(x)):
            raise ValueError(
                f"{key} must hold pixels of a size that float32 knows. "
                f"Received: {arrays[key].max():g} at most, in {source}"
            )
    pixels = {key: x if x.ndim == 4 else x[..., None] for key, x in pixels.items()}
    labels = {key: arrays[key].reshape(-1).astype("int32") for key in ("y_train", "y_test")}
    return Images(pixels["x_train"], labels["y_train"], pixels["x_test"], labels["y_test"])

"""The files that commands read: models, arrays and reports."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from absl import flags

from keras_infobottleneck.arguments import check_instance
from keras_infobottleneck.command_line.command import value_of
from keras_infobottleneck.results.archives import Archive

__all__ = ["define_data_flags", "define_model_flags", "read_array", "read_data", "read_model"]

DATA_RULE = "`--data` must be an .npz file with arrays of inputs and labels"
# Names that are tried if none are given.
USUAL = (("x", "y"), ("x_train", "y_train"))
MAX_BYTES = 2**40  # of compressed arrays; larger data are for a tf.data pipeline, in Python


def define_data_flags(values: flags.FlagValues) -> None:
    """Defines the flags that name the data file and its arrays."""
    usual = " or ".join(f"{x!r} and {y!r}" for x, y in USUAL)
    flags.DEFINE_string(
        "data", None, f"An .npz file of NumPy arrays; {usual} by default.", flag_values=values
    )
    flags.DEFINE_list(
        "x",
        [],
        "Name of the array of inputs in the file; several for a model whose inputs have "
        "these names.",
        flag_values=values,
    )
    flags.DEFINE_string("y", None, "Name of the array of labels.", flag_values=values)


def define_model_flags(values: flags.FlagValues) -> None:
    """Defines the flag that imports custom classes."""
    flags.DEFINE_list(
        "import",
        [],
        "Python modules to import first, such as one that registers layers or losses of your own "
        "with Keras.",
        flag_values=values,
    )


def read_model(path: str, values: flags.FlagValues) -> keras.Model:
    """A model from a `.keras` file, or from any other that Keras can read.

    Raises:
        ValueError: The file does not exist, is damaged, or needs unknown classes.
    """
    for module in value_of(values, "import"):
        sys.path.insert(0, os.getcwd())  # as Python does for its own scripts
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ValueError(
                f"`--import` must be a module that can be imported. Received: {module!r} ({error})"
            ) from error
        finally:
            sys.path.remove(os.getcwd())
    rule = "`MODEL` must be a file that keras.models.load_model reads"
    if not os.path.exists(path):
        raise ValueError(f"{rule}. Received: {path!r}, which is not there")
    try:
        model = keras.models.load_model(path)
    except Exception as error:  # damaged files and unknown classes: Keras raises many types
        words = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{rule}; --import=MODULE brings classes of your own. Received: {path!r}, on which it "
            f"raised {type(error).__name__}: {words}"
        ) from error
    return check_instance("MODEL", model, keras.Model, "a Keras model")


def read_data(values: flags.FlagValues) -> tuple[Any, ...]:
    """`(x, y)`, or `(x,)` if the file has no labels.

    Raises:
        ValueError: The file does not exist, is damaged, or lacks the requested arrays.
    """
    inputs, labels = value_of(values, "x"), value_of(values, "y")
    usual = [name for pair in USUAL for name in pair]
    archive = _archive(values, [*(inputs or usual), *([labels] if labels else usual)])
    if not inputs:
        known = [x for x, _ in USUAL if x in archive]
        if not known:
            archive.refuse(f"without {' or '.join(repr(x) for x, _ in USUAL)}; --x names another")
        inputs = known[:1]
    if labels is None:
        labels = dict(USUAL).get(inputs[0], "")
        labels = labels if labels in archive else None
    arrays = {name: archive.take(name) for name in inputs}
    x = arrays if len(inputs) > 1 else arrays[inputs[0]]
    return (x,) if labels is None else (x, archive.take(labels))


def read_array(values: flags.FlagValues, name: str) -> np.ndarray:
    """Another array of the same file."""
    return _archive(values, [name]).take(name)


def _archive(values: flags.FlagValues, names: Sequence[str]) -> Archive:
    path = value_of(values, "data")
    if not os.path.exists(path):
        raise ValueError(f"{DATA_RULE}. Received: --data={path!r}, which is not there")
    return Archive(path, DATA_RULE, "--data", names=names, max_bytes=MAX_BYTES)

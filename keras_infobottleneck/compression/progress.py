"""The state of an interrupted compression, stored next to the compressed file."""

from __future__ import annotations

import contextlib
import os

import keras
import numpy as np

from keras_infobottleneck.compression.drawn_weights import Choices
from keras_infobottleneck.models.anchoring.anchoring import weight_fingerprints
from keras_infobottleneck.results.archives import Archive, write_arrays

__all__ = ["Progress"]

RULE = "The file beside `path` must be one of an interrupted `compress`; remove it to start over"


class Progress:
    """Choices and weights after each stage; the file is removed at the end.

    Args:
        path: Path of the compressed file; ``.progress`` is appended.
        model: The model that is compressed.
        options: Numbers that determine what is coded.
    """

    def __init__(self, path: str, model: keras.Model, options: list[float]):
        self._path = f"{path}.progress"
        numbers = np.array(options, np.float64).view(np.int64)
        self._key = np.concatenate([numbers, weight_fingerprints(model.weights)])

    def restore(self, choices: Choices, model: keras.Model) -> bool:
        """Restores choices and weights of an interrupted run of the same model and options."""
        if not os.path.exists(self._path):
            return False
        archive = Archive(self._path, RULE, max_bytes=1 << 34)
        if not np.array_equal(archive.take("key"), self._key):
            return False
        seed, num_paths, num_weights = archive.array("numbers", (3,), kinds="i", least=0).tolist()
        choices.seed = seed
        choices.paths[:] = [archive.take(f"path_{index}").tolist() for index in range(num_paths)]
        model.set_weights([archive.take(f"weight_{index}") for index in range(num_weights)])
        return True

    def keep(self, choices: Choices, model: keras.Model) -> None:
        """Writes everything that `restore` needs."""
        weights = model.get_weights()
        arrays = {"key": self._key}
        arrays["numbers"] = np.array([choices.seed, len(choices.paths), len(weights)])
        arrays |= {f"path_{i}": np.array(path, np.int64) for i, path in enumerate(choices.paths)}
        arrays |= {f"weight_{index}": weight for index, weight in enumerate(weights)}
        write_arrays(self._path, arrays)

    def forget(self) -> None:
        """Removes the file."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(self._path)

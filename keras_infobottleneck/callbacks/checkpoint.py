"""`Checkpoint`: resumes a training with the same result as an uninterrupted run."""

import json
import os
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.arguments import check_file, check_model, refusal
from keras_infobottleneck.introspection.replicas import creating_weights_of, is_chief
from keras_infobottleneck.results.archives import Archive, write_arrays

__all__ = ["Checkpoint"]

RULE = "The checkpoint must be a complete file of this callback"


class Checkpoint(keras.callbacks.Callback):
    """Saves the state of a training after every epoch; a killed run resumes to the same result.

    Weights, optimizer, and the seeds of every layer (including Keras' own layers) are written
    atomically to one file of plain arrays. The order of the data is up to the caller: it must
    depend only on the epoch:

        checkpoint = kib.callbacks.Checkpoint("training.npz")
        first = checkpoint.restore(model)
        model.fit(..., initial_epoch=first, callbacks=[checkpoint])

    With several workers the chief writes, and all restore from the same file.

    Args:
        filepath: Path of the file for the state; its folder must exist.

    Raises:
        TypeError, ValueError: `filepath` is not a path, or not one of a file in an existing folder.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        x, y = np.ones((10, 4), "float32"), np.ones((10, 1), "float32")
        checkpoint = kib.callbacks.Checkpoint("training.npz")
        first = checkpoint.restore(model)  # 0: there is no file yet
        model.fit(x, y, initial_epoch=first, epochs=2, callbacks=[checkpoint], verbose=0)
        print(kib.callbacks.Checkpoint("training.npz").restore(model))  # epochs that are done
        ```

        ```text
        2
        ```
    """

    def __init__(self, filepath: str):
        super().__init__()
        check_file("filepath", filepath)
        self.filepath = os.fspath(filepath)
        self.history: dict[str, list] = {}

    def restore(self, model: keras.Model) -> int:
        """Restores the saved state to a built, compiled model; returns the epoch to continue with.

        Returns 0, and changes nothing, if there is no file.

        Raises:
            ValueError: The model is not compiled, or is not built although there is a file; the
                file is damaged, not of this callback, or of a model with other variables.
        """
        # A Keras model has no such attribute before it is compiled.
        if getattr(check_model("model", model), "optimizer", None) is None:
            raise refusal(ValueError, "model", "be compiled with an optimizer", model)
        if not os.path.exists(self.filepath):
            return 0
        if not model.built:
            raise refusal(ValueError, "model", "be built, by a call or an Input", model)
        with creating_weights_of(model):
            model.optimizer.build(model.trainable_variables)
        variables = _state(model)
        archive = Archive(self.filepath, RULE, "filepath")
        epoch, history = archive.count("epoch"), _history_of(archive.text("history"))
        count = archive.count("num_variables")
        values = [archive.take(f"variable_{i}") for i in range(count)]
        archive.close()
        if history is None:
            archive.refuse("with an invalid history")
        if not _fit(values, [variable.numpy() for variable in variables]):
            raise ValueError(
                "The checkpoint must be of the same model and optimizer. "
                f"Received: filepath={self.filepath!r}, with other variables"
            )
        self.history = history
        for variable, value in zip(variables, values, strict=True):
            # NumPy files cannot hold bfloat16: its bytes are read as values without a kind.
            bare = value.dtype.kind == "V"
            variable.assign(value.view(variable.numpy().dtype) if bare else value)
        return epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the logs to the history and writes the file."""
        for name, value in (logs or {}).items():
            # A metric may have a value for each class, which is stored as a list of numbers.
            self.history.setdefault(name, []).append(np.asarray(value, "float64").tolist())
        # Every worker must read its variables: some values are sums over all workers.
        values = {f"variable_{i}": v.numpy() for i, v in enumerate(_state(self.model))}
        if not is_chief(self.model):
            return
        about = {"epoch": epoch + 1, "num_variables": len(values)}
        history = json.dumps(self.history)
        write_arrays(self.filepath, {**about, "history": history, **values}, "filepath")


def _state(model: keras.Model) -> list[keras.Variable]:
    """Weights, seeds and metrics of a model, and the variables of its optimizer."""
    return [*model.variables, *model.optimizer.variables]


def _history_of(text: str) -> dict[str, list] | None:
    """Names of metrics to lists of their values; None if the text is something else."""
    try:
        history = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_history = isinstance(history, dict) and all(isinstance(v, list) for v in history.values())
    return history if is_history else None


def _fit(values: list[np.ndarray], own: list[np.ndarray]) -> bool:
    """Whether values have the shapes and types of a model's own."""
    return len(values) == len(own) and all(
        value.shape == mine.shape
        and (
            value.dtype == mine.dtype
            or (value.dtype.kind, value.dtype.itemsize) == ("V", mine.dtype.itemsize)
        )
        for value, mine in zip(values, own, strict=True)
    )

"""Resume training to the very result of the undisturbed run."""

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
    """Saves the whole state of a training after every epoch; a killed run resumes to the same end.

    Weights, optimizer, and the seeds of every layer (stock Keras layers too), written in one
    atomic step to one file of plain arrays. The order of the data is the caller's: it must depend
    on the epoch alone:

        checkpoint = kib.callbacks.Checkpoint("training.npz")
        first = checkpoint.restore(model)
        model.fit(..., initial_epoch=first, callbacks=[checkpoint])

    Of several workers the chief writes, and all restore from the same file.

    Args:
        filepath: where the state is kept; the folder must exist.

    Raises:
        TypeError, ValueError: `filepath` is no path, or no file in a folder that exists.

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
        """Restore the kept state to a built, compiled model; returns the epoch to go on with.

        Returns 0, and changes nothing, where no file is.

        Raises:
            ValueError: the model is not compiled, or not built where there is a file; the file is
                damaged, not of this callback, or of a model of other variables.
        """
        # A model of Keras has no such attribute before it is compiled.
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
            archive.refuse("with a history that is none")
        if not _fit(values, [variable.numpy() for variable in variables]):
            raise ValueError(
                "The checkpoint must be of the same model and optimizer. "
                f"Received: filepath={self.filepath!r}, of other variables"
            )
        self.history = history
        for variable, value in zip(variables, values, strict=True):
            # NumPy files have no bfloat16: they give back its bytes, as values of no kind.
            bare = value.dtype.kind == "V"
            variable.assign(value.view(variable.numpy().dtype) if bare else value)
        return epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the logs to the history and write the file."""
        for name, value in (logs or {}).items():
            # A metric may have a value for each class: a list of numbers, as JSON has it.
            self.history.setdefault(name, []).append(np.asarray(value, "float64").tolist())
        # Of several workers each reads: some values are sums over all of them.
        values = {f"variable_{i}": v.numpy() for i, v in enumerate(_state(self.model))}
        if not is_chief(self.model):
            return
        about = {"epoch": epoch + 1, "num_variables": len(values)}
        history = json.dumps(self.history)
        write_arrays(self.filepath, {**about, "history": history, **values}, "filepath")


def _state(model: keras.Model) -> list[keras.Variable]:
    """Weights, seeds and metrics of a model, and what its optimizer keeps."""
    return [*model.variables, *model.optimizer.variables]


def _history_of(text: str) -> dict[str, list] | None:
    """Names of metrics to lists of their values; None where the text is something else."""
    try:
        history = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_history = isinstance(history, dict) and all(isinstance(v, list) for v in history.values())
    return history if is_history else None


def _fit(values: list[np.ndarray], own: list[np.ndarray]) -> bool:
    """Whether values are of the shapes and types of a model's own."""
    return len(values) == len(own) and all(
        value.shape == mine.shape
        and (
            value.dtype == mine.dtype
            or (value.dtype.kind, value.dtype.itemsize) == ("V", mine.dtype.itemsize)
        )
        for value, mine in zip(values, own, strict=True)
    )

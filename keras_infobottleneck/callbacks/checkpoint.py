"""Resume training to the very result of the undisturbed run."""

import json
import os
import zipfile

import keras
import numpy as np

__all__ = ["Checkpoint"]


class Checkpoint(keras.callbacks.Callback):
    """Keeps all that training is after every epoch: killed and resumed, it ends the same.

    Weights, optimizer, and the seeds of every layer (stock Keras layers too), written in one
    atomic step to one file of plain arrays. The order of the data is the caller's: it must depend
    on the epoch alone:

        checkpoint = kib.callbacks.Checkpoint("training.npz")
        first = checkpoint.restore(model)
        model.fit(..., initial_epoch=first, callbacks=[checkpoint])

    Args:
        filepath: where the state is kept; the folder must exist.
    """

    def __init__(self, filepath: str):
        super().__init__()
        folder = os.path.dirname(os.path.abspath(filepath))
        if not os.path.isdir(folder):
            raise ValueError(
                f"The folder of `filepath` must exist. Received: filepath={os.fspath(filepath)!r}"
            )
        self.filepath = os.fspath(filepath)
        self.history: dict[str, list] = {}

    def restore(self, model: keras.Model) -> int:
        """Bring a built, compiled model to the state kept; returns the epoch to go on with.

        Returns 0, and changes nothing, where no file is.

        Raises:
            ValueError: the model is not compiled; the file is broken, or belongs to a model of
                other variables.
        """
        if getattr(model, "optimizer", None) is None:
            raise ValueError(
                f"`model` must be compiled with an optimizer. Received: model={model.name!r}"
            )
        if not os.path.exists(self.filepath):
            return 0
        model.optimizer.build(model.trainable_variables)
        variables = _state(model)
        try:
            with np.load(self.filepath, allow_pickle=False) as file:
                content = {name: file[name] for name in file.files}
            values = [content[f"variable_{i}"] for i in range(int(content["num_variables"]))]
            history, epoch = json.loads(str(content["history"])), int(content["epoch"])
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"The checkpoint must be a complete file of this callback. Received: "
                f"filepath={self.filepath!r} ({type(error).__name__})"
            ) from None
        if [v.shape for v in variables] != [value.shape for value in values]:
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

    def on_epoch_end(self, epoch, logs=None):
        """Add to the history and write the file."""
        for name, value in (logs or {}).items():
            # A metric may have a value for each class: a list of numbers, as JSON has it.
            self.history.setdefault(name, []).append(np.asarray(value, "float64").tolist())
        values = {f"variable_{i}": v.numpy() for i, v in enumerate(_state(self.model))}
        temporary = f"{self.filepath}.part"
        with open(temporary, "wb") as file:
            np.savez(
                file,
                epoch=epoch + 1,
                num_variables=len(values),
                history=json.dumps(self.history),
                **values,
            )
        os.replace(temporary, self.filepath)


def _state(model):
    """Weights, seeds and metrics of a model, and what its optimizer keeps."""
    return [*model.variables, *model.optimizer.variables]

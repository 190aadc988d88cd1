"""Show, and steer, while a model trains."""

import json
import math
import os
from collections.abc import Callable
from typing import Literal

import keras
import numpy as np

__all__ = ["BetaSchedule", "Checkpoint"]


class BetaSchedule(keras.callbacks.Callback):
    """Sets a beta at the start of every epoch; resumed training finds the value of its epoch.

    Args:
        beta: the variable to set: ``model.weight_beta``, or ``layer.beta`` of an
            `InformationDropout` layer.
        schedule: ``"linear"`` or ``"cosine"`` from `start` to `stop` over `num_epochs`, constant
            afterwards; ``"cyclic"``: linear over the first half of every `num_epochs`, constant
            over the second (Fu et al., 2019, arXiv 1903.10145); or a function from the epoch,
            counted from 0, to the value.
        start, stop: first and last value.
        num_epochs: length of the way, or of a cycle; 0 is at `stop` at once.
    """

    def __init__(
        self,
        beta: keras.Variable,
        schedule: Literal["linear", "cosine", "cyclic"] | Callable[[int], float] = "linear",
        *,
        start: float = 0.0,
        stop: float = 1.0,
        num_epochs: int = 10,
    ):
        super().__init__()
        if not isinstance(beta, keras.Variable):
            raise TypeError(
                "`beta` must be a variable, such as model.weight_beta or layer.beta. "
                f"Received: beta={beta!r}"
            )
        if not callable(schedule) and schedule not in ("linear", "cosine", "cyclic"):
            raise ValueError(
                '`schedule` must be "linear", "cosine", "cyclic" or a function of the epoch. '
                f"Received: schedule={schedule!r}"
            )
        for name, value in (("start", start), ("stop", stop)):
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"`{name}` must be zero or positive, and finite. Received: {name}={value!r}"
                )
        if num_epochs < 0:
            raise ValueError(
                f"`num_epochs` must be zero or positive. Received: num_epochs={num_epochs}"
            )
        self.beta, self.schedule = beta, schedule
        self.start, self.stop, self.num_epochs = start, stop, num_epochs

    def value(self, epoch: int) -> float:
        """The beta of an epoch, counted from 0."""
        if callable(self.schedule):
            return float(self.schedule(epoch))
        if self.num_epochs == 0:
            return self.stop
        if self.schedule == "cyclic":
            share = min(1.0, 2.0 * (epoch % self.num_epochs) / self.num_epochs)
        else:
            share = min(1.0, epoch / self.num_epochs)
        if self.schedule == "cosine":
            share = 0.5 - 0.5 * math.cos(math.pi * share)
        return self.start + (self.stop - self.start) * share

    def on_epoch_begin(self, epoch, logs=None):
        """Set the variable."""
        self.beta.assign(self.value(epoch))


class Checkpoint(keras.callbacks.Callback):
    """Keeps all that training is after every epoch: killed and resumed, it ends the same.

    Weights, optimizer, and the seeds of every layer (stock Keras layers too), written in one
    atomic step to one file of plain arrays. The order of the data is the caller's: it must depend
    on the epoch alone. ::

        checkpoint = kib.callbacks.Checkpoint("training.npz")
        first = checkpoint.restore(model)
        model.fit(..., initial_epoch=first, callbacks=[checkpoint])

    Args:
        filepath: where the state is kept; the folder must exist.
    """

    def __init__(self, filepath: str):
        super().__init__()
        self.filepath = filepath
        self.history: dict[str, list[float]] = {}

    def restore(self, model: keras.Model) -> int:
        """Bring a built, compiled model to the state kept; returns the epoch to go on with.

        Returns 0, and changes nothing, where no file is.

        Raises:
            ValueError: the file belongs to a model of other variables.
        """
        if not os.path.exists(self.filepath):
            return 0
        model.optimizer.build(model.trainable_variables)
        variables = _state(model)
        with np.load(self.filepath, allow_pickle=False) as file:
            values = [file[f"variable_{index}"] for index in range(int(file["num_variables"]))]
            if [v.shape for v in variables] != [value.shape for value in values]:
                raise ValueError(
                    "The checkpoint must be of the same model and optimizer. "
                    f"Received: filepath={self.filepath!r}, of other variables"
                )
            self.history = json.loads(str(file["history"]))
            epoch = int(file["epoch"])
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return epoch

    def on_epoch_end(self, epoch, logs=None):
        """Add to the history and write the file."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
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

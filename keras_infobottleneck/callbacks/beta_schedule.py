"""A schedule for the price of information in training."""

import math
from collections.abc import Callable
from typing import Any, Literal

import keras

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_instance,
    check_numbers,
    check_price,
    refusal,
)

__all__ = ["BetaSchedule"]


class BetaSchedule(keras.callbacks.Callback):
    """Sets a beta at the start of every epoch, from the epoch's number, also when training resumes.

    Args:
        beta: The variable to set: ``model.weight_beta``, or ``layer.beta`` of an
            `InformationDropout` or `GaussianBottleneck` layer.
        schedule: ``"linear"`` or ``"cosine"`` from `start` to `stop` over `num_epochs`, constant
            afterwards; ``"cyclic"``: linear over the first half of every `num_epochs`, constant
            over the second (Fu et al., 2019, arXiv 1903.10145); or a function from the epoch,
            counted from 0, to the value.
        start, stop: First and last value.
        num_epochs: Number of epochs of the schedule, or of a cycle; 0 for `stop` from the
            beginning.

    Raises:
        TypeError: `beta` is not a variable, or another argument, or the value of the function at
            the start of an epoch, is not a number.
        ValueError: The variable has several numbers, the schedule is unknown, or a beta is negative
            or not finite, here or, for a function, at the start of the epoch.

    Example:
        ```python
        import keras
        import keras_infobottleneck as kib

        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        model = kib.make_variational(network, num_examples=1000, verbose=0)
        rising = kib.callbacks.BetaSchedule(model.weight_beta, "linear", stop=0.1, num_epochs=10)
        print([round(rising.value(epoch), 2) for epoch in (0, 5, 10, 20)])
        ```

        ```text
        [0.0, 0.05, 0.1, 0.1]
        ```
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
        expected = "a variable, such as model.weight_beta or layer.beta"
        check_instance("beta", beta, keras.Variable, expected)
        if len(beta.shape):
            raise refusal(ValueError, "beta", "be a variable of one number, a price", beta)
        if not callable(schedule):
            check_choice("schedule", schedule, ("linear", "cosine", "cyclic"))
        check_price("start", start)
        check_price("stop", stop)
        check_count("num_epochs", num_epochs, least=0)
        self.beta, self.schedule = beta, schedule
        self.start, self.stop, self.num_epochs = start, stop, num_epochs

    def value(self, epoch: int) -> float:
        """The price in an epoch, counted from 0."""
        check_count("epoch", epoch, 0)
        if callable(self.schedule):
            name, value = f"schedule({epoch})", self.schedule(epoch)
            number = check_numbers(name, value, finite=False, nan=True)
            if number.size != 1:
                raise refusal(TypeError, name, "be one number", value)
            return check_price(name, number.item())
        if self.num_epochs == 0:
            return self.stop
        if self.schedule == "cyclic":
            share = min(1.0, 2.0 * (epoch % self.num_epochs) / self.num_epochs)
        else:
            share = min(1.0, epoch / self.num_epochs)
        if self.schedule == "cosine":
            share = 0.5 - 0.5 * math.cos(math.pi * share)
        return self.start + (self.stop - self.start) * share

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the price of the epoch."""
        self.beta.assign(self.value(epoch))

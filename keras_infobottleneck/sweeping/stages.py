"""One training along all prices: the start of each stage, and the values at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.models import InformationBottleneckModel
from keras_infobottleneck.sweeping.validation import Validation

__all__ = ["VALIDATION_ERROR", "Plan", "Stages", "num_weights", "share_kept"]

KEPT = "kept_weights"
VALIDATION_ERROR = "val_task_loss_standard_error"


@dataclass(frozen=True)
class Plan:
    """How the epochs of a training are divided among prices.

    Attributes:
        betas: Prices, one for each stage, increasing.
        first_epochs: Number of epochs of the first stage.
        epochs: Number of epochs of every other stage.
        warm_up: Number of epochs in which the price rises from the one before.
    """

    betas: Sequence[float]
    first_epochs: int
    epochs: int
    warm_up: int

    @property
    def ends(self) -> list[int]:
        """Number of completed epochs at the end of each stage."""
        return [self.first_epochs + self.epochs * stage for stage in range(len(self.betas))]

    @property
    def num_epochs(self) -> int:
        """Number of epochs of all stages."""
        return self.ends[-1]

    def place(self, epoch: int) -> tuple[int, int]:
        """The stage of an epoch, and the epoch's number in it, both counted from 0."""
        if epoch < self.first_epochs:
            return 0, epoch
        later, within = divmod(epoch - self.first_epochs, self.epochs)
        return later + 1, within

    def price(self, epoch: int) -> float:
        """The price of an epoch, counted from 0; the first stage rises from zero."""
        stage, within = self.place(epoch)
        before = self.betas[stage - 1] if stage else 0.0
        share = min(1.0, (within + 1) / (self.warm_up + 1))
        return before + share * (self.betas[stage] - before)


class Stages(keras.callbacks.Callback):
    """Resets the optimizer at every price, and also the weights without a warm start.

    At the end of a stage the share of weights kept is added to the logs, and the standard error of
    the validation loss.

    Args:
        model: The model, compiled, built and untrained: it defines the start of weights and
            optimizer.
        plan: The stages.
        warm_start: Whether the weights continue from the price before.
        prune_below: Signal-to-noise ratio from which a weight is kept.
        validation: The validation examples.
        verbose: Whether to print a line at the end of every stage.
    """

    def __init__(
        self,
        model: InformationBottleneckModel,
        plan: Plan,
        *,
        warm_start: bool,
        prune_below: float,
        validation: Validation,
        verbose: bool,
    ):
        super().__init__()
        model.optimizer.build(model.trainable_variables)
        self._plan, self._prune_below, self._verbose = plan, prune_below, verbose
        self._validation = validation
        self._weights = None if warm_start else model.get_weights()
        self._optimizer = [variable.numpy() for variable in model.optimizer.variables]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Resets the state if a stage begins."""
        if self._plan.place(epoch)[1]:
            return
        if self._weights is not None:
            self.model.set_weights(self._weights)
        for variable, value in zip(self.model.optimizer.variables, self._optimizer, strict=True):
            variable.assign(value)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures if a stage ends."""
        if logs is None or epoch + 1 not in self._plan.ends:
            return
        logs[KEPT] = share_kept(self.model, self._prune_below)
        if "val_task_loss" in logs:
            logs[VALIDATION_ERROR] = self._validation.standard_error(logs["val_task_loss"])
        if self._verbose:
            stage, _ = self._plan.place(epoch)
            print(
                f"price {stage + 1} of {len(self._plan.betas)}, {self._plan.betas[stage]:.3g}: "
                f"task loss {logs['task_loss']:.4g}, {logs['weight_information']:,.0f} nats",
                flush=True,
            )


def num_weights(model: InformationBottleneckModel) -> int:
    """Number of weights with a posterior."""
    return sum(math.prod(w.shape) for v in model.variational_layers for w in v.variational_weights)


def share_kept(model: InformationBottleneckModel, prune_below: float) -> float:
    """Share of the weights with a posterior whose signal-to-noise ratio is at least this."""
    ratios = [r for layer in model.variational_layers for r in layer.signal_to_noise().values()]
    return sum(int(np.sum(ratio >= prune_below)) for ratio in ratios) / num_weights(model)

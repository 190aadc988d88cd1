"""One training that passes along all prices: where each stage starts, and what it ends with."""

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
    """How the epochs of a training are shared out among prices.

    Attributes:
        betas: Prices, one for each stage, increasing.
        first_epochs: Epochs of the first stage.
        epochs: Epochs of every other stage.
        warm_up: How many of them the price takes to rise from the one before.
    """

    betas: Sequence[float]
    first_epochs: int
    epochs: int
    warm_up: int

    @property
    def ends(self) -> list[int]:
        """Completed epochs at the end of each stage."""
        return [self.first_epochs + self.epochs * stage for stage in range(len(self.betas))]

    @property
    def num_epochs(self) -> int:
        """Epochs of all stages."""
        return self.ends[-1]

    def place(self, epoch: int) -> tuple[int, int]:
        """The stage of an epoch, and the epoch's number in it, both counted from 0."""
        if epoch < self.first_epochs:
            return 0, epoch
        later, within = divmod(epoch - self.first_epochs, self.epochs)
        return later + 1, within

    def price(self, epoch: int) -> float:
        """The price of an epoch, counted from 0; the first stage rises from no price at all."""
        stage, within = self.place(epoch)
        before = self.betas[stage - 1] if stage else 0.0
        share = min(1.0, (within + 1) / (self.warm_up + 1))
        return before + share * (self.betas[stage] - before)


class Stages(keras.callbacks.Callback):
    """Starts the optimizer anew at every price, and the weights too where they are not followed.

    At the end of a stage the share of weights kept is added to the logs, and how sure the
    validation loss is.

    Args:
        model: As compiled and built, untrained: its weights and its optimizer's are the start.
        plan: The stages.
        warm_start: Whether the weights go on from the price before.
        prune_below: Signal-to-noise ratio from which on a weight is kept.
        validation: The validation examples.
        verbose: Whether a line is printed at the end of every stage.
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
        """Back to the start, where a stage begins."""
        if self._plan.place(epoch)[1]:
            return
        if self._weights is not None:
            self.model.set_weights(self._weights)
        for variable, value in zip(self.model.optimizer.variables, self._optimizer, strict=True):
            variable.assign(value)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures at the end of a stage."""
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
    """How many weights have a distribution."""
    return sum(math.prod(w.shape) for v in model.variational_layers for w in v.variational_weights)


def share_kept(model: InformationBottleneckModel, prune_below: float) -> float:
    """Share of the weights with a distribution whose signal-to-noise ratio is not below this."""
    ratios = [r for layer in model.variational_layers for r in layer.signal_to_noise().values()]
    return sum(int(np.sum(ratio >= prune_below)) for ratio in ratios) / num_weights(model)

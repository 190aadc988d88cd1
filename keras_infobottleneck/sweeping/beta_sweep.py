"""The result of a sweep over the price of information."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

import numpy as np

from keras_infobottleneck.plots.beta_sweep import plot_beta_sweep
from keras_infobottleneck.results.archives import Archive, write_arrays
from keras_infobottleneck.results.result import Result
from keras_infobottleneck.sweeping.turning_point import TurningPoint, turning_point

__all__ = ["BetaSweep"]

RULE = "`path` must be a file written by BetaSweep.to_npz"
VALIDATION_ERROR = "validation_task_loss_standard_error"
COLUMNS = {
    "beta": "beta",
    "task_loss": "task loss",
    "accuracy": "accuracy",
    "validation_task_loss": "val. loss",
    "validation_accuracy": "val. acc.",
    "nats": "nats",
    "kept_weights": "kept",
}


@dataclasses.dataclass(frozen=True, repr=False)
class BetaSweep(Result):
    """Result of `sweep_beta`: one point for each price, in arrays of the length of `beta`.

    Training values are those of the last epoch at each price, with weights drawn as in the
    objective; validation values use the posterior means.

    Attributes:
        beta: Prices, `weight_beta`, increasing.
        task_loss: Mean loss per training example, without any price, in nats for a cross-entropy.
        task_loss_spread: Standard deviation of the task loss over the epochs after the warm-up: how
            much it still changed.
        nats: Divergence of the weights from their prior, over all weights.
        kept_weights: Share of the weights whose signal-to-noise ratio, `|mean| / standard
            deviation`, is at least `prune_below`.
        accuracy: Accuracy in training; None if the model has no such metric.
        validation_task_loss, validation_accuracy: The same on validation data; None without them.
        label_nats: Largest information that the training labels hold, `N * H(y)`, in nats, with the
            entropy of their frequencies; None unless they are one class for each example.
        guessing_loss: Task loss of predicting these frequencies; None if it is not known.
        num_examples: Number N of training examples.
        num_weights: Number of weights with a posterior.
        epochs: Number of epochs at each price.
        prune_below: Threshold of `kept_weights`.
        seed: The seed that gives the same sweep again.
        validation_task_loss_standard_error: Standard error of the validation task loss over the
            validation examples; NaN if it is not known, None without them. All prices are measured
            on the same examples, so that differences between prices are more certain.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        points = {"beta": [0.01, 0.1, 1.0], "task_loss": [0.1, 0.3, 0.6], "nats": [80.0, 20.0, 1.0]}
        points |= {"task_loss_spread": [0.01, 0.01, 0.01], "kept_weights": [0.9, 0.5, 0.1]}
        sweep = kib.BetaSweep(
            **{name: np.array(values) for name, values in points.items()},
            **dict.fromkeys(["accuracy", "validation_task_loss", "validation_accuracy"]),
            **{"label_nats": 44.4, "guessing_loss": 0.693, "num_examples": 64, "num_weights": 8},
            **{"epochs": 4, "prune_below": 0.5, "seed": 0},
        )
        print(sweep.turn)
        ```

        ```text
        turns at 0.21 (between 0.1 and 1)
        ```
    """

    beta: np.ndarray
    task_loss: np.ndarray
    task_loss_spread: np.ndarray
    nats: np.ndarray
    kept_weights: np.ndarray
    accuracy: np.ndarray | None
    validation_task_loss: np.ndarray | None
    validation_accuracy: np.ndarray | None
    label_nats: float | None
    guessing_loss: float | None
    num_examples: int
    num_weights: int
    epochs: int
    prune_below: float
    seed: int
    validation_task_loss_standard_error: np.ndarray | None = None

    @property
    def turn(self) -> TurningPoint:
        """The price at which the curve turns, with a bracket.

        It is determined by the task loss on the training data: the curve turns where the loss
        crosses the middle between its smallest value and that of guessing (`guessing_loss`, or the
        largest value if that is None). For a cross-entropy, the network gives up half of its
        information about the labels there. The bracket is that of the grid, widened by prices whose
        loss still changed by more than half of its distance from the middle. It does not include
        the variation between seeds: repeat the sweep with others for that.
        """
        spread, guessing = self.task_loss_spread, self.guessing_loss
        return turning_point(self.beta, self.task_loss, spread, guessing)

    @property
    def best_beta(self) -> float:
        """The price with the smallest validation task loss; NaN without validation data."""
        if self.validation_task_loss is None:
            return math.nan
        return float(self.beta[np.argmin(self.validation_task_loss)])

    @property
    def _points(self) -> tuple[str, ...]:  # type: ignore[override]  # without the columns left out
        names = (*COLUMNS, "task_loss_spread", VALIDATION_ERROR)
        return tuple(name for name in names if getattr(self, name) is not None)

    def numbers(self) -> dict[str, float]:
        """The turning price and its bracket, the best price, and the numbers of the sweep."""
        turn = self.turn
        found = {
            "turning_beta": turn.beta,
            "turning_lower": turn.lower,
            "turning_upper": turn.upper,
        }
        return {**found, "best_beta": self.best_beta, **super().numbers()}

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, with the turning point and the best price."""
        return {**super().to_dict(), "turn": self.turn.to_dict(), "best_beta": self.best_beta}

    def table(self) -> str:
        """One line for each price, with explanations below.

        The last lines explain the columns, and give the largest information in the labels, the
        price of the smallest validation loss and the price at which the curve turns.
        """
        names = [name for name in COLUMNS if name in self._points]
        rows = [[COLUMNS[name] for name in names]]
        rows += [[self._cell(name, point) for name in names] for point in range(len(self.beta))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.rjust, row, widths)) for row in rows]
        return "\n".join([*lines, *self._legend(), *self._sentences()])

    def plot(self, ax: Any = None) -> np.ndarray:
        """Draws the task loss and accuracy, and below them nats and kept weights, over the price.

        The label information is marked by a line, and the bracket of the turning point is shaded.

        Args:
            ax: Two matplotlib axes, one for each panel; new ones by default.

        Returns:
            The two axes, an array `[2]`.
        """
        return plot_beta_sweep(
            self.beta,
            task_loss=self.task_loss,
            nats=self.nats,
            kept_weights=self.kept_weights,
            accuracy=self.accuracy,
            validation_task_loss=self.validation_task_loss,
            validation_accuracy=self.validation_accuracy,
            label_nats=self.label_nats,
            turn=self.turn,
            ax=ax,
        )

    def to_npz(self, path: str | os.PathLike) -> None:
        """Writes the sweep to a file atomically.

        Raises:
            TypeError, ValueError: The path is not that of a file in an existing folder.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        write_arrays(path, {name: value for name, value in fields.items() if value is not None})

    @classmethod
    def from_npz(cls, path: str | os.PathLike) -> BetaSweep:
        """Reads a sweep written by `to_npz`.

        Raises:
            TypeError: The path is not a path.
            OSError: The file cannot be opened.
            ValueError: The file is damaged, or is not one of a sweep.
        """
        archive = Archive(path, RULE)
        beta = archive.array("beta", (None,), least=0.0)
        names = {"task_loss_spread": 0.0, "nats": -math.inf, "kept_weights": 0.0}
        found: dict[str, Any] = {
            name: archive.array(name, beta.shape, least=low) for name, low in names.items()
        }
        found["task_loss"] = archive.array("task_loss", beta.shape)
        for name in ("accuracy", "validation_task_loss", "validation_accuracy"):
            found[name] = archive.array(name, beta.shape) if name in archive else None
        known = VALIDATION_ERROR in archive  # not in files of the first version
        found[VALIDATION_ERROR] = (
            archive.array(VALIDATION_ERROR, beta.shape, least=0.0, may_be_unknown=True)
            if known
            else None
        )
        for name in ("label_nats", "guessing_loss"):
            found[name] = float(archive.array(name, ())) if name in archive else None
        for name in ("num_examples", "num_weights", "epochs"):
            found[name] = archive.count(name)
        found["seed"] = archive.count("seed", 0)
        found["prune_below"] = float(archive.array("prune_below", (), least=0.0))
        archive.close()
        if np.any(np.diff(beta) <= 0):
            archive.refuse("with prices that do not increase")
        return cls(beta=beta, **found)

    def _cell(self, name: str, point: int) -> str:
        """A number of the table, with its error if it has one."""
        value, errors = getattr(self, name)[point], self.validation_task_loss_standard_error
        if name == "validation_task_loss" and errors is not None and np.isfinite(errors[point]):
            return f"{value:.4g} ± {errors[point]:.2g}"
        if name in ("accuracy", "validation_accuracy", "kept_weights"):
            return f"{value:.1%}"
        return f"{value:,.0f}" if name == "nats" else f"{value:.4g}"

    def _legend(self) -> list[str]:
        """Explanations of the columns."""
        found = [
            f"nats: in all {self.num_weights:,} weights with a distribution",
            f"kept: share of these whose |mean| is at least {self.prune_below:g} standard "
            "deviations of the noise",
        ]
        errors = self.validation_task_loss_standard_error
        if errors is not None and not np.all(np.isnan(errors)):
            found.append("val. loss: ± its standard error over the validation examples")
        return found

    def _sentences(self) -> list[str]:
        """The information in the labels, the best price and the turning point, in words."""
        found = []
        if self.label_nats is not None:
            found.append(f"{self.num_examples:,} labels hold {self.label_nats:,.0f} nats at most")
        if self.validation_task_loss is not None:
            found.append(f"least validation task loss at {self.best_beta:.3g}{self._within()}")
        return [*found, str(self.turn)]

    def _within(self) -> str:
        """The largest price whose validation loss is within one standard error of the smallest."""
        losses, errors = self.validation_task_loss, self.validation_task_loss_standard_error
        if losses is None or errors is None:
            return ""
        least = int(np.argmin(losses))
        largest = float(self.beta[losses <= losses[least] + np.nan_to_num(errors[least])].max())
        if largest == self.best_beta:
            return ""
        return f", within one standard error of it up to {largest:.3g}"

    def __repr__(self) -> str:
        ends = (
            f"{values[0]:.4g} to {values[-1]:.4g}"
            for values in (self.beta, self.task_loss, self.nats)
        )
        prices, losses, nats = ends
        return (
            f"BetaSweep({len(self.beta)} prices from {prices}: task loss {losses}, nats {nats}; "
            f"{'; '.join(self._sentences())})"
        )

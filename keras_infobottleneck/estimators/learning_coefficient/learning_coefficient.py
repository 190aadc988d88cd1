"""A learning coefficient, with diagnostics of its Markov chains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_infobottleneck.estimators.learning_coefficient.mixing import (
    effective_sample_size,
    r_hat,
)
from keras_infobottleneck.results.estimate import Estimate
from keras_infobottleneck.results.result import Result

__all__ = ["LearningCoefficient", "coefficient_of"]

# Limits beyond which `flags` reports a problem.
MOST_R_HAT = 1.05
FEWEST_EFFECTIVE = 50
LEAST_ACCEPTANCE = 0.3
DRIFT_ERRORS, DRIFT_SHARE = 4.0, 0.05  # four chains exceed three errors in 6 % of cases
ERRORS_ABOVE_REGULAR = 3.0


@dataclass(frozen=True, repr=False)
class LearningCoefficient(Result):
    """Local learning coefficient: half the effective number of weights at a minimum.

    Attributes:
        coefficient: The estimate; its standard error is the larger one of the spread over chains
            and of that from the effective number of draws.
        loss: Mean negative log-likelihood of all data at the weights, in nats.
        excess_loss: Mean over all draws of the mean loss, minus `loss`.
        beta: Price of a nat relative to the mean loss, by default `log(N) / N`.
        localization: Inverse variance of the Gaussian factor around the weights.
        step_size: Largest step of a chain, in units of the scales by the Fisher matrix.
        acceptance: Share of steps of this size that pass a Metropolis test.
        r_hat: Spread between chains and halves of chains relative to that within; 1 if all
            draw from one distribution.
        effective_sample_size: Number of independent draws with the same standard error.
        drift: Estimate of the second halves of the chains minus that of the first.
        information_slope: The same quantity by the Gaussian code: the number of nats by which the
            information in the weights grows for each unit of `log(1 / beta)`, at this price and
            with a prior of variance `1 / localization`.
        num_negative: Number of chains whose own estimate is below zero.
        num_weights: Number k of weights; a regular model has a coefficient of k/2.
        num_examples: Number N of examples.
        sampler: "hamiltonian" or "langevin".
        traces: `(loss of a draw - loss) / beta`, `[chains, draws]`, whose mean is the estimate.
        seed: Seed of the chains and of the sampled labels.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        model.compile(loss="mse")
        x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
        found = kib.estimators.local_learning_coefficient(
            model, (x, model(x)), beta=1e-3, num_draws=400, seed=0
        )
        print(round(float(found.coefficient), 1), found.num_weights / 2, found.flags)
        ```

        ```text
        1.0 1.0 ()
        ```
    """

    coefficient: Estimate
    loss: float
    excess_loss: float
    beta: float
    localization: float
    step_size: float
    acceptance: float
    r_hat: float
    effective_sample_size: float
    drift: Estimate
    information_slope: float
    num_negative: int
    num_weights: int
    num_examples: int
    sampler: str
    traces: np.ndarray
    seed: int | None = None

    def numbers(self) -> dict[str, float]:
        """The coefficient, its standard error, and the diagnostics of its chains."""
        numbers = super().numbers()
        coefficient = numbers.pop("coefficient")
        error = self.coefficient.standard_error
        return {"coefficient": coefficient, "standard_error": error, **numbers}

    @property
    def flags(self) -> tuple[str, ...]:
        """Warnings about the estimate, one sentence each; empty where no problem was found."""
        if not math.isfinite(self.coefficient):
            return ("The chains left the range of floating-point numbers: lower `step_size`.",)
        found = []
        num_chains = len(self.traces)
        if self.num_negative:
            found.append(
                f"{self.num_negative} of {num_chains} chains found a lower mean loss than that at "
                "the weights, which are not at a minimum: train further, or raise `localization`."
            )
        if self.r_hat > MOST_R_HAT:
            found.append(
                f"The chains draw from different distributions, R-hat is {self.r_hat:.3g}: raise "
                "`num_draws` and `num_warmup`."
            )
        if self.effective_sample_size < FEWEST_EFFECTIVE:
            found.append(
                f"The draws equal {self.effective_sample_size:.0f} independent ones: raise "
                "`num_draws` or `num_steps`."
            )
        moved = abs(self.drift) > DRIFT_ERRORS * self.drift.standard_error
        if moved and abs(self.drift) > DRIFT_SHARE * abs(self.coefficient):
            found.append(
                f"The chains still drift, by {float(self.drift):.3g} from their first halves to "
                "their second: raise `num_warmup`."
            )
        if self.acceptance < LEAST_ACCEPTANCE:
            found.append(
                f"Only {self.acceptance:.0%} of steps of this size pass a Metropolis test: lower "
                "`step_size`."
            )
        above = float(self.coefficient) - self.num_weights / 2
        if above > ERRORS_ABOVE_REGULAR * self.coefficient.standard_error:
            found.append(
                f"The estimate is above {self.num_weights / 2:g}, half the number of weights, "
                "which no minimum exceeds: the price or the step is too high."
            )
        return tuple(found)

    def plot(self, ax: Any = None) -> Any:
        """Draws the running estimate of every chain; needs matplotlib."""
        from keras_infobottleneck.plots import plot_traces

        return plot_traces(self.traces, ax=ax)

    def __repr__(self) -> str:
        lines = [
            f"LearningCoefficient({self.coefficient!r}, a regular model of {self.num_weights} "
            f"weights {self.num_weights / 2:g}; {len(self.traces)} {self.sampler} chains, "
            f"R-hat {self.r_hat:.3f}, {self.effective_sample_size:.0f} effective draws, "
            f"acceptance {self.acceptance:.2f})",
            *self.flags,
        ]
        return "\n".join(lines)


def coefficient_of(traces: np.ndarray) -> dict[str, Any]:
    """The estimate and its diagnostics, by field name.

    Args:
        traces: `[chains, draws]`, of at least two chains and four draws.
    """
    num_chains, num_draws = traces.shape
    means = traces.mean(1)
    half = num_draws // 2
    halves = np.concatenate([traces[:, :half], traces[:, -half:]])
    drifts = halves[num_chains:].mean(1) - halves[:num_chains].mean(1)
    effective = effective_sample_size(traces)
    errors = means.std(ddof=1) / num_chains**0.5, traces.std(ddof=1) / effective**0.5
    return {
        "coefficient": Estimate(float(means.mean()), float(max(errors))),
        "r_hat": r_hat(halves),
        "effective_sample_size": effective,
        "drift": Estimate(float(drifts.mean()), float(drifts.std(ddof=1)) / num_chains**0.5),
        "num_negative": int(np.sum(means < 0)),
        "traces": traces,
    }

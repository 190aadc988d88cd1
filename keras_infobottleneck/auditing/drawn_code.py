"""A test of the Gaussian code of the weights: its noise is drawn and the loss measured."""

from __future__ import annotations

import dataclasses
import math

from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.performance import TaskPerformance
from keras_infobottleneck.estimators import (
    FisherInformation,
    drawn_excess_loss,
    information_in_weights,
)
from keras_infobottleneck.results.estimate import Estimate
from keras_infobottleneck.results.result import Result

__all__ = ["DrawnCode", "draw_code"]

NUM_DRAWS = 4
# Factor between the prices that are tried, and their number, from 1/N downwards.
STEP, NUM_PRICES = 10**-0.5, 9


@dataclasses.dataclass(frozen=True, repr=False)
class DrawnCode(Result):
    """The highest price, from 1/N downwards, at which the network still works.

    Attributes:
        beta: This price of a nat relative to the mean loss.
        nats: Nats in the weights by their code at this price.
        by_variable: Nats of each weight at this price, which add up to the total.
        excess_loss: Measured loss that the code's noise adds, nats per example.
        standard_error: Standard error of the excess loss, over draws.
        excess_loss_at_full_price: Excess loss at 1/N.
        standard_error_at_full_price: Its standard error, over draws.
        loss_of_guessing: Loss per example of predicting the frequencies of the classes.
        num_draws: Number of draws of all weights at each price.
    """

    beta: float
    nats: float
    by_variable: dict[str, float]
    excess_loss: float
    standard_error: float
    excess_loss_at_full_price: float
    standard_error_at_full_price: float
    loss_of_guessing: float
    num_draws: int


def draw_code(
    exam: Examination, fisher: FisherInformation, task: TaskPerformance | None
) -> DrawnCode:
    """The code at the highest price at which its noise costs less than what the network knows.

    A lower price means less noise: after the full price the others are searched by bisection.

    Raises:
        ValueError: There are no classes to guess, the network is no better than guessing, or it is
            no better at any of the prices.
    """
    if task is None or task.label_entropy is None:
        raise ValueError("The code is tried where labels are classes. Received: none")
    guessing = _loss_of_guessing(task, exam.is_trial)
    # What the few examples of a trial cannot decide is counted as if it will be drawn.
    doubt = 2 * task.loss_standard_error if exam.is_trial else 0.0
    if not exam.decide("better than a guess", lambda: task.loss - doubt < guessing):
        raise ValueError(
            "The code is tried on a network that does better than a guess. "
            f"Received: a loss of {task.loss:.4g} where guessing has {guessing:.4g}"
        )
    prices = [exam.beta * STEP**number for number in range(NUM_PRICES)]
    sample = exam.examples("fisher")

    def drawn(number: int) -> Estimate:
        return drawn_excess_loss(
            exam.model,
            sample.data,
            fisher,
            beta=prices[number],
            num_draws=NUM_DRAWS,
            likelihood=exam.likelihood or task.likelihood,
            batch_size=min(exam.batch_size, sample.size),
            seed=exam.seed,
        )

    found: dict[int, Estimate] = {}

    def works(number: int) -> bool:
        found[number] = excess = drawn(number)
        return exam.decide(f"code works at {number}", lambda: task.loss + excess < guessing)

    # The first price that works lies between `least` and `most`.
    least, most = (0, 0) if works(0) else (1, NUM_PRICES)
    while least < most:
        middle = (least + most) // 2
        if works(middle):
            most = middle
        else:
            least = middle + 1
    if most not in found:
        raise ValueError(
            "The code's noise must leave the network better than a guess at some price. Received: "
            f"prices from {prices[0]:.2g} down to {prices[-1]:.2g}, at none of which it does"
        )
    held = information_in_weights(exam.model, fisher, beta=prices[most])
    return DrawnCode(
        beta=prices[most],
        nats=held.nats,
        by_variable=held.by_variable,
        excess_loss=float(found[most]),
        standard_error=found[most].standard_error,
        excess_loss_at_full_price=float(found[0]),
        standard_error_at_full_price=found[0].standard_error,
        loss_of_guessing=guessing,
        num_draws=NUM_DRAWS,
    )


def _loss_of_guessing(task: TaskPerformance, is_trial: bool) -> float:
    """Entropy of an example's labels, corrected for the few labels of a trial."""
    entropy, count = task.label_entropy or 0.0, task.labels_per_example or 1
    if is_trial:  # the Miller-Madow correction, with as many classes as the entropy suggests
        entropy += (math.exp(entropy) - 1) / (2 * task.num_examples * count)
    return entropy * count

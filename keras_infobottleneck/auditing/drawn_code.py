"""The Gaussian code of the weights put to the test: its noise is drawn and the loss measured."""

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
# Factor between the prices that are tried, and how many, from 1/N downwards.
STEP, NUM_PRICES = 10**-0.5, 9


@dataclasses.dataclass(frozen=True, repr=False)
class DrawnCode(Result):
    """The most expensive price, from 1/N downwards, at which the network still works.

    Attributes:
        beta: that price of a nat relative to the mean loss.
        nats: what the weights hold by their code at that price.
        by_variable: weight to nats at that price, which add up to all of them.
        excess_loss: measured loss that the code's noise adds there, nats per example.
        standard_error: of the excess loss, over draws.
        excess_loss_at_full_price: the same at 1/N.
        standard_error_at_full_price: of that, over draws.
        loss_of_guessing: of an example, by knowing only how frequent the classes are.
        num_draws: draws of all weights at each price.
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
    """The code at the largest price at which its noise costs less than what is known.

    The lower the price, the less noise: after the full price, halves of the others are left out.

    Raises:
        ValueError: no classes to guess, a network that knows no more than a guess, or none of the
            prices.
    """
    if task is None or task.label_entropy is None:
        raise ValueError("The code is tried where labels are classes. Received: none")
    guessing = _loss_of_guessing(task, exam.is_trial)
    # What few examples of a trial cannot tell is counted among what will be drawn.
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

    # The first price that works lies from `least` to `most`.
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
    """Entropy of an example's labels, of whose frequencies a trial sees too few."""
    entropy, count = task.label_entropy or 0.0, task.labels_per_example or 1
    if is_trial:  # Miller and Madow's term, with as many classes as the entropy is of
        entropy += (math.exp(entropy) - 1) / (2 * task.num_examples * count)
    return entropy * count

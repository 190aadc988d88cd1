"""One audit under way: what is examined, on which examples, and what could not be had."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.auditing.entries import Omission
from keras_infobottleneck.auditing.plan import AuditPlan
from keras_infobottleneck.data.sample import Sample

__all__ = ["Examination", "undisturbed"]


@dataclasses.dataclass(frozen=True)
class Examination:
    """What every measurement of one audit shares.

    Attributes:
        model: at its weights, which stay.
        plan: parts and layers to measure.
        sample: as many examples as the largest part takes.
        num_examples: N, the size of the training set.
        nuisance: one entry for each example of the data, or None.
        likelihood: as of `audit`.
        seed: of everything drawn.
        progress: bar over measurements.
        omissions: what could not be had so far.
    """

    model: keras.Model
    plan: AuditPlan
    sample: Sample
    num_examples: int
    nuisance: np.ndarray | None
    likelihood: str | Callable | None
    seed: int
    progress: keras.utils.Progbar
    omissions: list[Omission]

    @property
    def beta(self) -> float:
        """One nat of training loss for one nat in the weights, relative to the mean loss."""
        return 1 / self.num_examples

    def examples(self, part: str) -> Sample:
        """The examples of a part."""
        return self.sample.first(self.plan.examples[part])

    def attempt(self, part: str, where: str, measure: Callable[[], Any]) -> Any:
        """The result, or None and the reason among the omissions."""
        try:
            return measure()
        except Exception as error:  # a report is about any model there is
            self.omissions.append(Omission.of(part, where, error))
            return None

    def omit(self, part: str, where: str, reason: str) -> None:
        """Says what is missing, and why."""
        self.omissions.append(Omission(part, where, reason))

    def measured(self) -> None:
        """One more step of the progress bar."""
        self.progress.add(1)


@contextlib.contextmanager
def undisturbed(model: keras.Model) -> Iterator[None]:
    """Puts back what a forward pass may move, after an exception too: metrics, seeds, statistics.

    Nothing that measures assigns a trainable weight or the optimizer's variables: they are left
    out, which spares a copy of the model.
    """
    trainable = {id(variable) for variable in model.trainable_variables}
    movable = {
        id(variable): variable
        for variable in [*model.variables, *model.metrics_variables]
        if id(variable) not in trainable
    }
    before = [(variable, variable.numpy()) for variable in movable.values()]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)

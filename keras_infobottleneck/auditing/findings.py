"""Everything measured of one model, as plain data."""

from __future__ import annotations

import dataclasses

from keras_infobottleneck import estimators
from keras_infobottleneck.auditing.entries import Omission
from keras_infobottleneck.auditing.layers import LayerInformation
from keras_infobottleneck.auditing.noise import Pruning
from keras_infobottleneck.auditing.task import TaskPerformance

__all__ = ["Findings"]

# Noise that adds so much of the loss of guessing is not small.
LARGE_NOISE = 0.25


@dataclasses.dataclass(frozen=True, repr=False)
class Findings:
    """Everything this package measures, of one model. What was not measured is None and omitted.

    Attributes:
        model_name: of the model.
        num_weights: trainable weights, scales of noise not counted.
        num_examples: N, the size of the training set, by which nats are shared out.
        examples: part to how many examples it took.
        seed: of the sample and what was drawn.
        task: loss, accuracy and entropy of the predictions.
        fisher: diagonal of the Fisher matrix.
        output_derivatives: its trace for unit noise on the logits.
        weights: nats in the weights, of their Gaussian code at `beta = 1 / N` or as paid.
        curve: the Gaussian code at other prices.
        pruning: of weights with noise, those that stand above it, and accuracy without the rest.
        layers: name to what the layer tells.
        maximum_relevance: the most relevance that as many examples can have.
        complexity: of the quantised weights.
        omissions: what was not measured, and why.
    """

    model_name: str
    num_weights: int
    num_examples: int
    examples: dict[str, int]
    seed: int
    task: TaskPerformance | None = None
    fisher: estimators.FisherInformation | None = None
    output_derivatives: estimators.Estimate | None = None
    weights: estimators.WeightInformation | None = None
    curve: estimators.InformationCurve | None = None
    pruning: Pruning | None = None
    layers: dict[str, LayerInformation] = dataclasses.field(default_factory=dict)
    maximum_relevance: estimators.MaximumRelevance | None = None
    complexity: estimators.QuantizedComplexity | None = None
    omissions: tuple[Omission, ...] = ()

    @property
    def title(self) -> str:
        """Model, weights and training examples."""
        return (
            f"What {self.model_name!r} knows: {self.num_weights:,} weights, "
            f"{self.num_examples:,} training examples"
        )

    @property
    def noise_is_large(self) -> bool:
        """Whether the noise of the weights' code is too large for the code to be believed."""
        held, guessing = self.weights, getattr(self.task, "label_entropy", None)
        if held is None or held.excess_loss is None or guessing is None:
            return False
        return held.excess_loss > LARGE_NOISE * guessing

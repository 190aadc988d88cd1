"""All measurements of one model, as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from keras_infobottleneck import estimators
from keras_infobottleneck.auditing.entries import Omission
from keras_infobottleneck.auditing.noise import ActivationInformation
from keras_infobottleneck.auditing.performance import TaskPerformance
from keras_infobottleneck.auditing.pruning import Pruning
from keras_infobottleneck.results.result import Result, numbers_of_fields

__all__ = ["Findings", "LayerInformation"]


@dataclasses.dataclass(frozen=True, repr=False)
class LayerInformation(Result):
    """Everything that was measured of one layer; what was not measured is None.

    Attributes:
        num_units: Number of activations of an example.
        activations: Nats for which a layer with noisy activations is charged.
        effective: Information about the input that remains under noise in the weights.
        threshold: Threshold above which a unit counts as on.
        relevance, relevance_null: Relevance of the binary states, and its null.
        total_correlation, nuisance: Results for the activations.
        views: For each part, what it used of a layer with places, if that is not everything.
        others: Results of further parts, by name.

    Example:
        ```python
        from keras_infobottleneck.auditing import LayerInformation

        layer = LayerInformation(num_units=32, threshold=0.0)
        print(layer.num_units, layer.effective)  # None for what was not measured
        ```

        ```text
        32 None
        ```
    """

    num_units: int | None = None
    activations: ActivationInformation | None = None
    effective: estimators.EffectiveInformation | None = None
    threshold: float | None = None
    relevance: estimators.ResolutionRelevance | None = None
    relevance_null: estimators.RelevanceNull | None = None
    total_correlation: estimators.TotalCorrelation | None = None
    nuisance: estimators.NuisanceInformation | None = None
    views: Mapping[str, str] = dataclasses.field(default_factory=dict)
    others: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Self:
        """Makes the record from results by name; those without a field are in `others`."""
        return cls(**_sorted_out(cls, results))

    def taken(self, part: str) -> str:
        """Describes in words what a part used of the layer; empty if it is everything."""
        return self.views.get(part, "")

    def numbers(self) -> dict[str, float]:
        """The numbers of every result, each under the name of the result."""
        found = numbers_of_fields(self)
        results = {**{f.name: getattr(self, f.name) for f in _results_of(self)}, **self.others}
        for name, result in results.items():
            if isinstance(result, Result):
                found |= {f"{name}_{key}": value for key, value in result.numbers().items()}
        return found

    def to_dict(self) -> dict[str, Any]:
        """The results' own dictionaries; sensitivities are averaged over examples."""
        found = _plain_fields(self)
        if self.effective is not None:
            found["effective"]["sensitivity"] = self.effective.sensitivity.mean(0).tolist()
        return found


@dataclasses.dataclass(frozen=True, repr=False)
class Findings(Result):
    """Everything that was measured of one model; what was not measured is None.

    Attributes:
        model_name: Name of the model.
        num_weights: Number of trainable weights, without scales of noise.
        num_examples: Number N of training examples, by which nats in the weights are divided.
        examples: Number of examples that each part used.
        seed: Seed of the sample and of everything drawn.
        task: Loss, accuracy and entropy of the predictions.
        fisher: Diagonal of the Fisher matrix.
        output_derivatives: Its trace for unit noise on the logits.
        weights: Nats in the weights, by their Gaussian code at `beta = 1 / N` or as charged.
        curve: The Gaussian code at other prices.
        pruning: For noisy weights, their signal-to-noise ratios, and the accuracy after pruning.
        layers: Results of each layer, by its name.
        maximum_relevance: Largest relevance that this number of examples can have.
        complexity: Complexity of the quantized weights.
        omissions: What was not measured, and why.
        others: Results of further parts, by name.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
        x = np.ones((10, 8), "float32")
        report = kib.audit(model, x, include=["complexity"], likelihood="normal")
        print(report.complexity.num_bits, report.task)  # a report is `Findings`; the rest is None
        ```

        ```text
        8 None
        ```
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
    others: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, results: Mapping[str, Any], **about: Any) -> Self:
        """Makes findings from results by name; those without a field are in `others`."""
        return cls(**_sorted_out(cls, results), **about)

    @property
    def title(self) -> str:
        """Title with the model, its weights and the number of training examples."""
        return (
            f"What {self.model_name!r} knows: {self.num_weights:,} weights, "
            f"{self.num_examples:,} training examples"
        )

    @property
    def label_nats(self) -> float | None:
        """Largest information in the labels of an example; None if they are not classes."""
        if self.task is None or self.task.label_entropy is None:
            return None
        return self.task.label_entropy * (self.task.labels_per_example or 1)

    @property
    def labels_in_words(self) -> str:
        """Describes in words what is labelled in an example."""
        count = 1 if self.task is None else self.task.labels_per_example or 1
        return "one label" if count == 1 else f"an example's {round(count, 2):,} labels"

    def results_of_layers(self, name: str) -> dict[str, Any]:
        """Maps each layer that has a result of this name to the result."""
        found = {}
        for layer, results in self.layers.items():
            fields = {field.name: getattr(results, field.name) for field in _results_of(results)}
            result = {**results.others, **fields}.get(name)
            if result is not None:
                found[layer] = result
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists by name; arrays may be left."""
        found = _plain_fields(self)
        derivatives = self.output_derivatives
        if derivatives is not None:
            error = derivatives.standard_error
            found["output_derivatives"] = {"value": float(derivatives), "standard_error": error}
        found["layers"] = {name: layer.to_dict() for name, layer in self.layers.items()}
        found["omissions"] = [omission.to_dict() for omission in self.omissions]
        return found


def _results_of(findings: Findings | LayerInformation) -> tuple[dataclasses.Field, ...]:
    """All fields but `others`."""
    return tuple(field for field in dataclasses.fields(findings) if field.name != "others")


def _sorted_out(cls: type, results: Mapping[str, Any]) -> dict[str, Any]:
    """Results by field; those without one under `others`."""
    known = {field.name for field in dataclasses.fields(cls)}
    fields = {name: result for name, result in results.items() if name in known}
    others = {name: result for name, result in results.items() if name not in known}
    return {**fields, "others": others}


def _plain_fields(findings: Findings | LayerInformation) -> dict[str, Any]:
    """Every field and every other result, as its own dictionary if it has one."""
    found = {field.name: getattr(findings, field.name) for field in _results_of(findings)}
    return {
        name: value.to_dict() if dataclasses.is_dataclass(type(value)) else value
        for name, value in {**found, **findings.others}.items()
    }

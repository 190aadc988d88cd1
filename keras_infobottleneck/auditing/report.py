"""What a network knows, as one result."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import Any

import numpy as np

from keras_infobottleneck import estimators
from keras_infobottleneck.auditing.noisy_layers import ActivationInformation
from keras_infobottleneck.auditing.omission import Omission
from keras_infobottleneck.auditing.page import page_of
from keras_infobottleneck.auditing.pruning import Pruning
from keras_infobottleneck.auditing.readings import Reading, counterparts, readings_of
from keras_infobottleneck.auditing.sentences import in_short
from keras_infobottleneck.auditing.table import text_table
from keras_infobottleneck.auditing.task import TaskPerformance

__all__ = ["InformationReport", "LayerInformation"]

# Noise that adds so much of the loss of guessing is not small.
LARGE_NOISE = 0.25


@dataclasses.dataclass(frozen=True)
class LayerInformation:
    """What was measured of one layer; None for what was not.

    Attributes:
        num_units: activations of an example.
        activations: what an `InformationDropout` pays.
        effective: what weight noise leaves of the input.
        threshold: above which a unit counts as on.
        relevance, relevance_null: of the on-off states.
        total_correlation, nuisance: of the activations.
    """

    num_units: int | None = None
    activations: ActivationInformation | None = None
    effective: estimators.EffectiveInformation | None = None
    threshold: float | None = None
    relevance: estimators.ResolutionRelevance | None = None
    relevance_null: estimators.RelevanceNull | None = None
    total_correlation: estimators.TotalCorrelation | None = None
    nuisance: estimators.NuisanceInformation | None = None

    def to_dict(self) -> dict[str, Any]:
        """The results' own dictionaries; of sensitivities their mean over examples."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        found = {
            name: value.to_dict() if dataclasses.is_dataclass(value) else value
            for name, value in found.items()
        }
        if self.effective is not None:
            found["effective"]["sensitivity"] = self.effective.sensitivity.mean(0).tolist()
        return found


@dataclasses.dataclass(frozen=True, repr=False)
class InformationReport:
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

    @property
    def readings(self) -> list[Reading]:
        """Every number once, with its error and what to compare it with."""
        return readings_of(self)

    def in_short(self) -> list[str]:
        """A few sentences on what was found."""
        return in_short(self)

    def differences(self, baseline: InformationReport) -> list[str]:
        """In what two reports were measured differently, so that their numbers are not alike.

        Raises:
            TypeError: a baseline that is no report.
        """
        if not isinstance(baseline, InformationReport):
            raise TypeError(
                f"`baseline` must be an InformationReport. Received: baseline={baseline!r}"
            )
        ours = {"N": self.num_examples, "seed": self.seed, **self.examples}
        theirs = {"N": baseline.num_examples, "seed": baseline.seed, **baseline.examples}
        found = [
            f"{name}: {ours[name]:,} here, {theirs[name]:,} in the baseline"
            for name in ours
            if name in theirs and ours[name] != theirs[name]
        ]
        alone = len(baseline.readings) - len(counterparts(self.readings, baseline.readings))
        if alone:
            found.append(f"{alone} numbers of the baseline are of layers or measures not here")
        return found

    def table(self, baseline: InformationReport | None = None) -> str:
        """Every number with its unit, what to compare it with, and how to read it.

        Args:
            baseline: another report, such as of the network before, for one more column.
        """
        if baseline is not None:
            self.differences(baseline)
        return text_table(self, baseline)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, for JSON; infinite numbers and NaN are strings."""
        results = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("omissions", "layers", "output_derivatives")
        }
        derivatives = self.output_derivatives
        if derivatives is not None:
            error = derivatives.standard_error
            derivatives = {"value": float(derivatives), "standard_error": error}
        return _plain(
            {
                **{
                    k: v.to_dict() if dataclasses.is_dataclass(v) else v for k, v in results.items()
                },
                "output_derivatives": derivatives,
                "layers": {name: layer.to_dict() for name, layer in self.layers.items()},
                "omissions": [omission.to_dict() for omission in self.omissions],
                "readings": [reading.to_dict() for reading in self.readings],
            }
        )

    def to_json(self, path: str | os.PathLike) -> None:
        """Writes `to_dict()`; the file is there whole or not at all."""
        _check_folder(path)
        _write(path, json.dumps(self.to_dict(), indent=1, allow_nan=False))

    def to_html(self, path: str | os.PathLike, baseline: InformationReport | None = None) -> None:
        """Writes one self-contained page: no scripts, no other files, whole or not at all.

        Plots need matplotlib; without it the page says that they are left out.

        Args:
            path: of the file, in a folder that exists.
            baseline: as of `table`.
        """
        _check_folder(path)
        if baseline is not None:
            self.differences(baseline)
        _write(path, page_of(self, baseline))

    def __repr__(self) -> str:
        found = [f"{self.num_weights:,} weights, N={self.num_examples:,}"]
        if self.task is not None:
            found.append(f"loss {self.task.loss:.4g}")
        if self.weights is not None:
            found.append(f"{self.weights.nats:.4g} nats in the weights")
        found.append(f"{len(self.readings)} readings, {len(self.omissions)} omissions")
        return f"InformationReport({self.model_name!r}: {', '.join(found)})"


def _plain(value: Any) -> Any:
    """For JSON, which knows no arrays, no infinity and no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        # Not the value itself: an `Estimate` is a float whose text is not a number.
        return float(value) if math.isfinite(value) else str(float(value))
    return int(value) if isinstance(value, np.integer) else value


def _check_folder(path: str | os.PathLike) -> None:
    """Refuses a file that could not be written, before anything is made for it."""
    folder = os.path.dirname(os.path.abspath(os.fspath(path)))
    if not os.path.isdir(folder) or os.path.isdir(path):
        raise ValueError(
            f"`path` must be a file in a folder that exists. Received: path={os.fspath(path)!r}"
        )


def _write(path: str | os.PathLike, text: str) -> None:
    """The file is replaced as a whole: a reader never sees half of it."""
    partial = f"{os.fspath(path)}.partial"
    with open(partial, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(partial, path)

"""What each layer tells: the estimators' own calls."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_infobottleneck import estimators
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.noise import (
    ActivationInformation,
    activation_information,
    noisy_layers,
)
from keras_infobottleneck.auditing.plan import OF_HIDDEN_LAYERS
from keras_infobottleneck.auditing.weights import NO_FISHER
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.sample import Sample
from keras_infobottleneck.introspection.activations import activations_model
from keras_infobottleneck.layers import InformationDropout

__all__ = ["LayerInformation", "measure_layers"]

# Of the null of the total correlation, most of whose cost they are.
NUM_PERMUTATIONS = 5


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


def measure_layers(
    exam: Examination, fisher: estimators.FisherInformation | None
) -> dict[str, LayerInformation]:
    """Layer by layer, those that pay first."""
    found: dict[str, dict[str, Any]] = {}
    if "activations" in exam.plan:
        sample = exam.examples("activations")
        for layer in noisy_layers(exam.model, InformationDropout):
            found.setdefault(layer.name, {})["activations"] = exam.attempt(
                "activations",
                layer.name,
                lambda layer=layer: activation_information(exam.model, layer, sample),
            )
    for name, parts in exam.plan.layers.items():
        results = found.setdefault(name, {})
        results.update(_of_activations(exam, name, parts))
        if "effective" in parts:
            results["effective"] = exam.attempt(
                "effective", name, lambda name=name: _effective(exam, name, fisher)
            )
        exam.measured()
    return {name: LayerInformation(**results) for name, results in found.items()}


def _effective(exam: Examination, name: str, fisher) -> estimators.EffectiveInformation:
    """Effective information at one nat of training loss a nat."""
    if fisher is None:
        raise ValueError(NO_FISHER)
    return estimators.effective_information(
        exam.model, exam.examples("effective").inputs, layer=name, fisher=fisher, beta=exam.beta
    )


def _of_activations(exam: Examination, name: str, planned: tuple[str, ...]) -> dict[str, Any]:
    """What is read off a hidden layer's activations, which are made once."""
    parts = [part for part in OF_HIDDEN_LAYERS if part in planned]
    if not parts:
        return {}
    largest = max(parts, key=lambda part: exam.plan.examples[part])
    z = exam.attempt(largest, name, lambda: _activations(exam.model, name, exam.examples(largest)))
    if z is None:
        reason = exam.omissions[-1].reason
        for part in parts:
            if part != largest:
                exam.omit(part, name, reason)
        return {}
    results: dict[str, Any] = {"num_units": z.shape[1]}
    if "relevance" in parts:
        results.update(_relevance(exam, name, z[: exam.examples("relevance").size]))
    if "total_correlation" in parts:
        units = z[: exam.examples("total_correlation").size]
        results["total_correlation"] = exam.attempt(
            "total_correlation",
            name,
            lambda: estimators.total_correlation(
                units, num_permutations=NUM_PERMUTATIONS, seed=exam.seed
            ),
        )
    if "nuisance" in parts:
        sample = exam.examples("nuisance")
        nuisance = exam.nuisance[sample.indices]
        results["nuisance"] = exam.attempt(
            "nuisance",
            name,
            lambda: estimators.nuisance_information(z[: sample.size], nuisance, seed=exam.seed),
        )
    return results


def _relevance(exam: Examination, name: str, z: np.ndarray) -> dict[str, Any]:
    """The on-off states beside those of independent units, where there is anything to tell."""
    # A sigmoid is never off at 0.
    threshold = 0.0 if z.min() <= 0.0 else float(np.median(z))
    states = z > threshold
    point = exam.attempt("relevance", name, lambda: estimators.resolution_relevance(states))
    null = None
    if point and 1 < point.num_states < point.num_samples:
        null = exam.attempt(
            "relevance",
            f"null of {name}",
            lambda: estimators.relevance_null(states, seed=exam.seed),
        )
    return {"threshold": threshold, "relevance": point, "relevance_null": null}


def _activations(model: keras.Model, layer: str, sample: Sample) -> np.ndarray:
    """Activations, `[examples, units]` float32, in inference mode.

    Raises:
        ValueError: activations that are not finite.
    """
    cut = activations_model(model, layer)
    parts = []
    for batch in Batches(sample.inputs, needs_labels=False):
        rows = int(np.sum(batch.weights))
        values = keras.ops.cast(cut(batch.x, training=False), "float32")
        parts.append(keras.ops.convert_to_numpy(values)[:rows].reshape(rows, -1))
    z = np.concatenate(parts)
    if not np.all(np.isfinite(z)):
        raise ValueError("The activations must be finite. Received: NaN or infinite values")
    return z

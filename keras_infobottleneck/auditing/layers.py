"""What each layer tells: the estimators' own calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_infobottleneck import estimators
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.hidden_layers import activations_of
from keras_infobottleneck.auditing.noisy_layers import activation_information, noisy_layers
from keras_infobottleneck.auditing.plan import OF_HIDDEN_LAYERS
from keras_infobottleneck.auditing.report import LayerInformation
from keras_infobottleneck.auditing.weights import NO_FISHER
from keras_infobottleneck.layers import InformationDropout

__all__ = ["measure_layers"]

# Of the null of the total correlation, most of whose cost they are.
NUM_PERMUTATIONS = 5


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
        exam.model, exam.examples("effective").x, layer=name, fisher=fisher, beta=exam.beta
    )


def _of_activations(exam: Examination, name: str, planned: tuple[str, ...]) -> dict[str, Any]:
    """What is read off a hidden layer's activations, which are made once."""
    parts = [part for part in OF_HIDDEN_LAYERS if part in planned]
    if not parts:
        return {}
    largest = max(parts, key=lambda part: exam.plan.examples[part])
    z = exam.attempt(
        largest, name, lambda: activations_of(exam.model, name, exam.examples(largest))
    )
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

"""The measurements of one audit, each an estimator's own call."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_infobottleneck import estimators
from keras_infobottleneck.audit.hidden_layers import activations_of
from keras_infobottleneck.audit.measures import MEASURES, PARTS
from keras_infobottleneck.audit.noisy_layers import (
    activation_information,
    noisy_layers,
    paid_for_weights,
    weights_of_predictions,
)
from keras_infobottleneck.audit.omission import Omission
from keras_infobottleneck.audit.plan import OF_HIDDEN_LAYERS, AuditPlan
from keras_infobottleneck.audit.report import InformationReport, LayerInformation
from keras_infobottleneck.audit.sample import Sample
from keras_infobottleneck.audit.signal_to_noise import SignalToNoise, signal_to_noise_of_code
from keras_infobottleneck.audit.task import task_performance
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.layers import InformationDropout, VariationalWeights

__all__ = ["Measuring"]

# Up to so many outputs the expectation over labels is cheap enough to be exact.
MAX_EXPECTED = 20
NUM_PRICES, DECADES = 25, 3
NO_FISHER = "needs the Fisher matrix, which could not be measured or was switched off"


class Measuring:
    """One audit under way: results, and what could not be had.

    Args:
        model: at its weights, not changed.
        plan: parts and layers to measure.
        sample: as many examples as the largest part takes.
        num_examples: N, the size of the training set.
        nuisance: one entry for each example of the data, or None.
        likelihood, seed, verbose: as of `audit`.
    """

    def __init__(
        self,
        *,
        model: keras.Model,
        plan: AuditPlan,
        sample: Sample,
        num_examples: int,
        nuisance: np.ndarray | None,
        likelihood: str | Callable | None,
        seed: int,
        verbose: int,
    ):
        self.model, self.plan, self.sample = model, plan, sample
        self.num_examples, self.nuisance = num_examples, nuisance
        self.likelihood, self.seed = likelihood, seed
        self.omissions: list[Omission] = list(plan.omissions)
        self.hidden = {layer.name: layer for of in plan.layers.values() for layer in of}
        steps = sum(part in plan for part in ("task", "fisher", "weights", "complexity"))
        self.progress = keras.utils.Progbar(
            steps + len(self.hidden), verbose=verbose, unit_name="measurement"
        )

    def report(self) -> InformationReport:
        """Measures part by part. Nothing that an estimator refuses makes it fail."""
        task = self._part(
            "task", lambda: task_performance(self.model, self._of("task"), self.likelihood)
        )
        fisher = self._fisher()
        weights = self._weights(fisher, task)
        layers = self._layers(fisher)
        hull = None
        if any(layer.relevance for layer in layers.values()):
            hull = estimators.maximum_relevance_curve(self._of("relevance").size)
        complexity = self._part(
            "complexity", lambda: estimators.quantized_complexity(self.model, seed=self.seed)
        )
        return InformationReport(
            model_name=self.plan.model_name,
            num_weights=self.plan.num_weights,
            num_examples=self.num_examples,
            examples={part: self._of(part).size for part in self.plan.examples},
            seed=self.seed,
            task=task,
            fisher=fisher if "fisher" in self.plan else None,
            output_derivatives=self._output_derivatives() if fisher else None,
            **weights,
            layers=layers,
            maximum_relevance=hull,
            complexity=complexity,
            omissions=tuple(self.omissions),
        )

    def _of(self, part: str) -> Sample:
        """The examples of a part."""
        return self.sample.first(self.plan.examples[part])

    def _attempt(self, part: str, where: str, measure: Callable[[], Any]) -> Any:
        """The result, or None and the reason among the omissions."""
        try:
            return measure()
        except Exception as error:  # a report is about any model there is
            self.omissions.append(Omission.of(part, where, error))
            return None

    def _part(self, part: str, measure: Callable[[], Any]) -> Any:
        """A whole part, if it is planned."""
        if part not in self.plan:
            return None
        result = self._attempt(part, PARTS[part], measure)
        self.progress.add(1)
        return result

    def _fisher(self) -> estimators.FisherInformation | None:
        """The diagonal, which the weights and the effective information take too."""
        if "fisher" not in self.plan.examples:
            return None
        part = "fisher" if "fisher" in self.plan else "weights"
        fisher = self._attempt(part, "Fisher matrix", lambda: self._fisher_of(self.likelihood))
        self.progress.add(1)
        return fisher

    def _fisher_of(self, likelihood, labels: str | None = None) -> estimators.FisherInformation:
        """A diagonal over the weights that predictions depend on."""
        sample = self._of("fisher")
        if labels is None:
            outputs = keras.tree.flatten(self.model(sample.first(1).x))
            size = sum(math.prod(output.shape[1:]) for output in outputs)
            is_named = not callable(likelihood)
            labels = "expected" if size <= MAX_EXPECTED and is_named else "sampled"
        return estimators.fisher_information(
            self.model,
            sample.x,
            labels=labels,
            likelihood=likelihood,
            variables=weights_of_predictions(self.model),
            seed=self.seed,
        )

    def _output_derivatives(self) -> estimators.Estimate | None:
        """Trace of the Fisher matrix of unit noise on the logits, where outputs are logits."""
        if "fisher" not in self.plan:
            return None
        name = find_likelihood(self.model, self.likelihood).name
        if name not in ("categorical", "bernoulli"):
            reason = f"the outputs are not logits but those of likelihood={name!r}"
            where = MEASURES["output_derivatives"].label
            self.omissions.append(Omission("fisher", where, reason))
            return None
        where = MEASURES["output_derivatives"].label
        return self._attempt("fisher", where, lambda: self._fisher_of("normal", "sampled").trace())

    def _weights(self, fisher, task) -> dict[str, Any]:
        """Nats in the weights: paid, where they have noise, else those of their code."""
        if "weights" not in self.plan:
            return {}
        noisy = noisy_layers(self.model, VariationalWeights)
        if noisy:
            reason = "the weights have a trained posterior, whose nats are reported instead"
            self.omissions.append(Omission("weights", "Gaussian code over prices", reason))
            measures = {
                "weights": lambda: paid_for_weights(self.model, self.num_examples),
                "signal_to_noise": lambda: SignalToNoise.of(
                    ratio for layer in noisy for ratio in layer.signal_to_noise().values()
                ),
            }
        elif fisher is None:
            self.omissions.append(Omission("weights", PARTS["weights"], NO_FISHER))
            return {}
        else:
            measures = self._code(fisher, task)
        found = {}
        for name, measure in measures.items():
            found[name] = self._attempt("weights", name.replace("_", " "), measure)
        self.progress.add(1)
        return found

    def _code(self, fisher, task) -> dict[str, Callable[[], Any]]:
        """The Gaussian code at one nat of training loss a nat, and at other prices."""
        price = 1 / self.num_examples

        def code():
            held = estimators.information_in_weights(self.model, fisher, beta=price)
            # Fisher saw a sample; the weights hold nats of the whole training set.
            return dataclasses.replace(held, num_examples=self.num_examples)

        def curve():
            found = estimators.information_curve(
                self.model,
                fisher,
                beta=np.geomspace(10.0**-DECADES, 10.0**DECADES, NUM_PRICES) * price,
                loss=task.loss if task else 0.0,
            )
            unknown = (
                {} if task else {"loss": np.nan, "expected_loss": found.expected_loss + np.nan}
            )
            return dataclasses.replace(found, num_examples=self.num_examples, **unknown)

        def ratios():
            weights = weights_of_predictions(self.model)
            return signal_to_noise_of_code(weights, fisher, code())

        return {"weights": code, "curve": curve, "signal_to_noise": ratios}

    def _layers(self, fisher) -> dict[str, LayerInformation]:
        """What each layer tells."""
        found: dict[str, dict[str, Any]] = {}
        if "activations" in self.plan:
            for layer in noisy_layers(self.model, InformationDropout):
                paid = self._attempt(
                    "activations",
                    layer.name,
                    lambda layer=layer: activation_information(
                        self.model, layer, self._of("activations")
                    ),
                )
                found.setdefault(layer.name, {})["activations"] = paid
        for name in self.hidden:
            results = found.setdefault(name, {})
            results.update(self._states(name))
            if self._is_about("effective", name):
                results["effective"] = self._effective(name, fisher)
            self.progress.add(1)
        return {name: LayerInformation(**results) for name, results in found.items()}

    def _is_about(self, part: str, name: str) -> bool:
        """Whether a part measures a layer."""
        return any(layer.name == name for layer in self.plan.layers.get(part, ()))

    def _effective(self, name: str, fisher) -> estimators.EffectiveInformation | None:
        """Effective information at one nat of training loss a nat."""

        def measure():
            if fisher is None:
                raise ValueError(NO_FISHER)
            return estimators.effective_information(
                self.model,
                self._of("effective").x,
                layer=name,
                fisher=fisher,
                beta=1 / self.num_examples,
            )

        return self._attempt("effective", name, measure)

    def _states(self, name: str) -> dict[str, Any]:
        """What is read off a hidden layer's activations, which are made once."""
        parts = [part for part in OF_HIDDEN_LAYERS if self._is_about(part, name)]
        if not parts:
            return {}
        largest = max(parts, key=lambda part: self.plan.examples[part])
        z = self._attempt(
            largest, name, lambda: activations_of(self.model, name, self._of(largest))
        )
        if z is None:
            return {}
        results = {"num_units": z.shape[1]}
        if "relevance" in parts:
            results.update(self._relevance(name, z[: self._of("relevance").size]))
        if "total_correlation" in parts:
            part = z[: self._of("total_correlation").size]
            results["total_correlation"] = self._attempt(
                "total_correlation",
                name,
                lambda: estimators.total_correlation(part, seed=self.seed),
            )
        if "nuisance" in parts:
            part = self._of("nuisance")
            results["nuisance"] = self._attempt(
                "nuisance",
                name,
                lambda: estimators.nuisance_information(
                    z[: part.size], self.nuisance[part.indices], seed=self.seed
                ),
            )
        return results

    def _relevance(self, name: str, z: np.ndarray) -> dict[str, Any]:
        """The on-off states beside those of independent units."""
        # A sigmoid is never off at 0.
        threshold = 0.0 if z.min() <= 0.0 else float(np.median(z))
        states = z > threshold
        point = self._attempt("relevance", name, lambda: estimators.resolution_relevance(states))
        null = None
        if point and point.num_states > 1:
            null = self._attempt(
                "relevance",
                f"null of {name}",
                lambda: estimators.relevance_null(states, seed=self.seed),
            )
        return {"threshold": threshold, "relevance": point, "relevance_null": null}

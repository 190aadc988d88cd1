"""A minimum of the loss: the norm of its weights, and the curvature of the loss there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_flag,
    check_model,
    check_number,
    refusal,
)
from keras_infobottleneck.estimators.fisher import FisherInformation, fisher_information
from keras_infobottleneck.estimators.fisher.estimation import STRUCTURES
from keras_infobottleneck.estimators.information.eigenvector_memory import (
    check_eigenvectors_fit,
    check_eigenvectors_will_fit,
)
from keras_infobottleneck.estimators.information.gaussian_code import GaussianCode, gaussian_code
from keras_infobottleneck.introspection.contents import (
    all_layers,
    chosen_variables,
    inner_layers,
    renumbered,
    weight_names,
)
from keras_infobottleneck.linear_algebra.layout import Layout
from keras_infobottleneck.linear_algebra.spectrum import ExactSpectrum, Spectrum

__all__ = [
    "LARGEST",
    "SMALLEST",
    "Minimum",
    "check_code_options",
    "check_price_of_nat",
    "check_prior_scale",
    "variables_of",
]

# Within these limits, squares of prior scales and their ratios to prices stay well within float64.
SMALLEST, LARGEST = 1e-75, 1e75


@dataclass(frozen=True)
class Minimum:
    """The quantities on which the Gaussian code of the weights depends.

    Attributes:
        fisher: Curvature of the mean loss.
        spectrum: Its eigenvalues.
        squared_norms: `|w|^2` by variable.
        relative_error: Relative standard error of the curvature's trace, from drawn labels.
    """

    fisher: FisherInformation
    spectrum: Spectrum
    squared_norms: np.ndarray
    relative_error: float

    @classmethod
    def of(
        cls,
        model: keras.Model,
        data: Any,
        structure: str = "diagonal",
        fisher_options: dict[str, Any] | None = None,
        *,
        num_probes: int = 8,
        num_steps: int = 20,
    ) -> Minimum:
        """Makes a minimum from data, by measuring a Fisher matrix, or from a given Fisher matrix.

        Raises:
            ValueError, TypeError: As in `fisher_information` and `variables_of`; or options are
                given with a Fisher matrix.
        """
        check_model("model", model)
        options = dict(fisher_options or {})
        if options.get("dry_run"):
            raise ValueError(
                "`dry_run` is for `fisher_information`, which determines time and memory here. "
                "Received: dry_run=True"
            )
        if not isinstance(data, FisherInformation):
            if options.get("variables") is None:
                _check_no_noise(model)
            check_eigenvectors_will_fit(model, data, structure, options)
            fisher: Any = fisher_information(model, data, **{"structure": structure, **options})
            variables = chosen_variables(model, options.get("variables"))
        elif options.keys() - {"memory_limit"}:
            raise ValueError(
                "The options of a `FisherInformation` cannot be changed once it has been measured. "
                f"Received: {', '.join(f'{k}={v!r}' for k, v in options.items())}"
            )
        else:
            check_eigenvectors_fit(data, options.get("memory_limit"))
            fisher, variables = data, variables_of(model, data)
        norms = [_squared_norm(variable) for variable in variables]
        spectrum = fisher.spectrum(num_probes=num_probes, num_steps=num_steps)
        relative_error = 0.0
        if fisher.labels == "sampled" and (trace := fisher.trace()):
            relative_error = trace.standard_error / trace
        return cls(fisher, spectrum, np.array(norms), relative_error)

    @property
    def tells_variables_apart(self) -> bool:
        """Whether the spectrum has a row for each variable."""
        return isinstance(self.spectrum, ExactSpectrum)

    def code(
        self, beta: float, prior_scale: float | None, *, paper_form: bool = False
    ) -> GaussianCode:
        """The best code for a price; `prior_scale=None` uses the best scale for all weights."""
        norms, sizes = self.squared_norms, np.array(self.fisher.layout.sizes)
        if not self.tells_variables_apart:
            norms, sizes = norms.sum(keepdims=True), sizes.sum(keepdims=True)
        return gaussian_code(
            self.spectrum,
            norms,
            sizes,
            beta,
            prior_scale,
            relative_error=self.relative_error,
            paper_form=paper_form,
        )

    def codes_by_variable(self, beta: float, *, paper_form: bool = False) -> list[GaussianCode]:
        """The best code of each variable, each with its best scale; for a diagonal matrix."""
        spectrum: Any = self.spectrum  # of a diagonal, which tells variables apart
        return [
            gaussian_code(
                spectrum.of_variable(number),
                self.squared_norms[number : number + 1],
                np.array([size]),
                beta,
                None,
                relative_error=self.relative_error,
                paper_form=paper_form,
            )
            for number, size in enumerate(self.fisher.layout.sizes)
        ]


def variables_of(model: keras.Model, fisher: FisherInformation) -> list[keras.Variable]:
    """The model's weights that a Fisher matrix is about, in its order.

    Raises:
        ValueError: The model has no such weights of these shapes, their paths are ambiguous, or
            scales of noise are among them.
    """
    chosen = list(model.trainable_variables)
    is_default = Layout.of(weight_names(model, chosen), chosen) == fisher.layout
    if not is_default:
        chosen = _named(model, fisher)
    in_model, in_matrix = (Counter(v.path for v in group) for group in (model.weights, chosen))
    for path, count in in_matrix.items():
        # All trainable weights are in the model's order; others are found by an unambiguous path.
        if in_model[path] > (count if is_default else 1):
            raise ValueError(
                "The paths of a Fisher matrix must identify the model's weights; give its layers "
                f"different names. Received: {in_model[path]} weights with the path {path!r}"
            )
    _check_no_noise(model, chosen)
    return chosen


def _named(model: keras.Model, fisher: FisherInformation) -> list[keras.Variable]:
    """The model's weights with the paths and shapes of the matrix."""
    names = weight_names(model, model.weights)
    # In a file of 0.1.0, a path that ends in `_1` may also be the second weight of a path.
    named = dict(zip(renumbered(names), model.weights, strict=True))
    named |= dict(zip(names, model.weights, strict=True))
    chosen = []
    for path, shape in zip(fisher.layout.paths, fisher.layout.shapes, strict=True):
        if path not in named or tuple(named[path].shape) != shape:
            raise ValueError(
                "The Fisher matrix must be one of this model's weights. "
                f"Received: model={model.name!r}, a matrix with {path!r} of shape {shape}"
            )
        chosen.append(named[path])
    return chosen


@runtime_checkable
class _NoisyWeights(Protocol):
    """A layer with noise on its weights, which can compute their divergence."""

    name: str
    trainable: bool
    weights: list[keras.Variable]

    def kl_divergence(self) -> Any:
        """KL divergence of the posterior from the prior, in nats."""


def _check_no_noise(model: keras.Model, variables: list[keras.Variable] | None = None) -> None:
    """Refuses scales of noise among the variables, which by default are all trainable ones."""
    for layer in all_layers(model):
        if not isinstance(layer, _NoisyWeights):
            continue
        # The wrapped layer has the means; all other weights of the layer are scales.
        inner = {id(v) for part in inner_layers(layer) for v in part.weights}
        scales = {id(v) for v in layer.weights} - inner
        chosen = set() if variables is None else {id(v) for v in variables}
        if scales & chosen or (variables is None and layer.trainable):
            if getattr(layer, "noise", None) == "activations":
                raise ValueError(
                    "Weights of the noise on activations are no weights of a minimum, as they do "
                    "not predict; name by `variables` the trainable weights that are not among the "
                    f"layer's `noise_weights`. Received: layer={layer.name!r} with noise"
                )
            raise ValueError(
                "Scales of noise are no weights of a minimum; report a trained posterior by "
                "`WeightInformation.from_divergences`, or name the weights to measure by "
                f"`variables` of the Fisher matrix. Received: layer={layer.name!r} with noise"
            )


def check_price_of_nat(beta: float) -> float:
    """Returns the price, a positive number whose square is finite and not zero."""
    return check_number("beta", beta, SMALLEST, LARGEST)


def check_code_options(structure: str, paper_form: bool, num_probes: int, num_steps: int) -> None:
    """Checks the options that `information_in_weights` and `information_curve` share."""
    check_choice("structure", structure, STRUCTURES)
    check_flag("paper_form", paper_form)
    check_count("num_probes", num_probes, 2)
    check_count("num_steps", num_steps, 2)


def check_prior_scale(prior_scale: float | str, *names: str) -> float | None:
    """Returns a positive number whose square is finite and not zero, or None for a name."""
    if isinstance(prior_scale, str) and prior_scale in names:
        return None
    if isinstance(prior_scale, str):
        expected = f"be a positive number or {' or '.join(map(repr, names))}"
        raise refusal(ValueError, "prior_scale", expected, prior_scale)
    return check_number("prior_scale", prior_scale, SMALLEST, LARGEST)


def _squared_norm(variable: keras.Variable) -> float:
    """Squared norm of the weights, `|w|^2`, summed in float64."""
    values = variable.numpy()
    norm = float(np.sum(np.square(values, dtype=np.float64)))
    if not np.isfinite(norm):
        raise ValueError(f"The model's weights must be finite. Received: {variable.path!r} is not")
    return norm

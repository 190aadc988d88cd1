"""A minimum of the loss: how far its weights are from zero, and how curved the loss is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.estimators.fisher import FisherInformation, fisher_information
from keras_infobottleneck.estimators.information.gaussian_code import GaussianCode, gaussian_code
from keras_infobottleneck.estimators.layout import Layout
from keras_infobottleneck.estimators.spectrum import ExactSpectrum, Spectrum

__all__ = ["Minimum", "check_positive", "check_prior_scale", "variables_of"]


@dataclass(frozen=True)
class Minimum:
    """What the Gaussian code of the weights depends on.

    Attributes:
        fisher: the curvature of the mean loss.
        spectrum: its eigenvalues.
        squared_norms: `|w|^2` by variable.
        relative_error: standard error of the curvature's trace, relative to it, from drawn labels.
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
        """From data, by one Fisher matrix, or from a Fisher matrix of the model.

        Raises:
            ValueError, TypeError: as of `fisher_information`; options beside a Fisher matrix, or
                one of other weights.
        """
        if not isinstance(model, keras.Model):
            raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
        options = fisher_options or {}
        if options.get("dry_run"):
            raise ValueError(
                "`dry_run` is for `fisher_information`, which this takes its time and memory from. "
                "Received: dry_run=True"
            )
        if not isinstance(data, FisherInformation):
            fisher = fisher_information(model, data, structure=structure, **options)
        elif options:
            raise ValueError(
                "A `FisherInformation` has been measured: its options cannot be chosen any more. "
                f"Received: {', '.join(f'{k}={v!r}' for k, v in options.items())}"
            )
        else:
            fisher = data
        norms = [_squared_norm(variable) for variable in variables_of(model, fisher)]
        spectrum = fisher.spectrum(num_probes=num_probes, num_steps=num_steps)
        trace = fisher.trace() if fisher.labels == "sampled" else 0.0
        relative_error = trace.standard_error / trace if trace else 0.0
        return cls(fisher, spectrum, np.array(norms), relative_error)

    @property
    def tells_variables_apart(self) -> bool:
        """Whether the spectrum has a row for each variable."""
        return isinstance(self.spectrum, ExactSpectrum)

    def code(
        self, beta: float, prior_scale: float | None, *, paper_form: bool = False
    ) -> GaussianCode:
        """The best code for a price; `prior_scale=None` for the best scale of all weights."""
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
        """The best code of each variable, with the best scale of each; for a diagonal."""
        return [
            gaussian_code(
                self.spectrum.of_variable(number),
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
        ValueError: weights that the model does not have in this shape.
    """
    if Layout.of(model.trainable_variables) == fisher.layout:
        return list(model.trainable_variables)
    named = dict(zip(Layout.of(model.weights).paths, model.weights, strict=True))
    chosen = []
    for path, shape in zip(fisher.layout.paths, fisher.layout.shapes, strict=True):
        if path not in named or tuple(named[path].shape) != shape:
            raise ValueError(
                "The Fisher matrix must be one of this model's weights. "
                f"Received: model={model.name!r}, a matrix with {path!r} of shape {shape}"
            )
        chosen.append(named[path])
    return chosen


def check_positive(name: str, value: float, others: str = "") -> float:
    """Refuses anything but a finite positive number."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or value <= 0:
        raise ValueError(f"`{name}` must be {others}a positive number. Received: {name}={value!r}")
    return float(value)


def check_prior_scale(prior_scale: float | str, *names: str) -> float | None:
    """A positive number, or None for one of the names."""
    if isinstance(prior_scale, str) and prior_scale in names:
        return None
    choices = "".join(f"{name!r} or " for name in names)
    return check_positive("prior_scale", prior_scale, choices)


def _squared_norm(variable: keras.Variable) -> float:
    """`|w|^2`, summed in float64."""
    values = variable.numpy()
    norm = float(np.sum(np.square(values, dtype=np.float64)))
    if not np.isfinite(norm):
        raise ValueError(f"The model's weights must be finite. Received: {variable.path!r} is not")
    return norm

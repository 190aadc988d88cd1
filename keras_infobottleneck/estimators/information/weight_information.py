"""Information in the weights about the training set, by the Gaussian code at a minimum."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np

from keras_infobottleneck.arguments import (
    check_count,
    check_keywords,
    check_named_numbers,
    check_price,
)
from keras_infobottleneck.estimators.fisher import FisherInformation, fisher_information
from keras_infobottleneck.estimators.information.minimum import (
    Minimum,
    check_code_options,
    check_price_of_nat,
    check_prior_scale,
)
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.result import Result

__all__ = ["WeightInformation", "information_in_weights"]


@dataclasses.dataclass(frozen=True)
class WeightInformation(Result):
    """Information in the weights: the divergence of a code for them from a prior, in nats.

    Attributes:
        nats: Nats in all weights together.
        by_variable: Maps paths to nats, which add up to `nats`; empty if they cannot be separated.
        num_examples: N.
        beta: Price of a nat relative to the *mean* loss, `weight_beta / N`.
        prior_scale: Standard deviation of the prior, or a map from paths to those of variables;
            None for a trained posterior, whose layers have their priors.
        standard_error: Standard error of `nats`, from the Fisher estimate; 0.0 if it is exact for
            the data.
        excess_loss: Increase of the mean loss by the code's noise, for a quadratic loss; None for a
            trained posterior, whose loss was measured in training.
        size: Number of weights; None for a trained posterior.
        structure: Structure of the Fisher matrix; "posterior" for a trained posterior.
        labels: Labels of the Fisher matrix; None for a trained posterior.
        paper_form: Whether `nats` are those of the printed formula.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
        model.compile(loss="mse")
        x = np.ones((10, 4), "float32")
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        held = kib.estimators.information_in_weights(model, fisher, beta=1 / 10)
        print(list(held.by_variable), np.isclose(sum(held.by_variable.values()), held.nats))
        ```

        ```text
        ['sequential/head/kernel', 'sequential/head/bias'] True
        ```
    """

    nats: float
    by_variable: dict[str, float]
    num_examples: int
    beta: float
    prior_scale: float | dict[str, float] | None
    standard_error: float
    excess_loss: float | None = None
    size: int | None = None
    structure: str = "posterior"
    labels: str | None = None
    paper_form: bool = False

    @classmethod
    def from_divergences(
        cls, divergences: Mapping[str, float], *, num_examples: int, beta: float
    ) -> WeightInformation:
        """The result for a trained posterior, from its divergences.

        For an `InformationBottleneckModel`:
        `from_divergences(model.weight_information(by_layer=True),
        num_examples=model.num_examples, beta=float(model.weight_beta) / model.num_examples)`.

        Args:
            divergences: Maps names of parts to their divergence from the prior, in nats.
            num_examples: N.
            beta: Price of a nat relative to the mean loss; 0 for none.

        Raises:
            ValueError: There are no parts, a divergence is not finite, there are no examples, or
                the price is negative.
        """
        parts = check_named_numbers("divergences", divergences)
        count = check_count("num_examples", num_examples)
        price = check_price("beta", beta)
        return cls(sum(parts.values()), parts, count, price, None, 0.0)

    @property
    def nats_per_example(self) -> float:
        """Nats in the weights per training example, `nats / num_examples`."""
        return self.nats / self.num_examples

    def numbers(self) -> dict[str, float]:
        """Total nats and nats per example, then the quantities they depend on."""
        nats = {"nats": self.nats, "nats_per_example": self.nats_per_example}
        return {**nats, **super().numbers()}

    def _columns(self) -> dict[str, Any]:
        if not self.by_variable:
            return super()._columns()
        return {"variable": list(self.by_variable), "nats": list(self.by_variable.values())}

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers, for JSON."""
        return {**super().to_dict(), "nats_per_example": self.nats_per_example}

    def __repr__(self) -> str:
        error = f" ± {self.standard_error:.2g}" if self.standard_error else ""
        scale = f"{self.prior_scale:.4g}" if isinstance(self.prior_scale, float) else "its own"
        return (
            f"WeightInformation({self.nats:.6g}{error} nats, {self.nats_per_example:.4g} per "
            f"example, beta={self.beta:.4g}, prior_scale={scale}, structure={self.structure!r})"
        )


@on_replicas
def information_in_weights(
    model: keras.Model,
    data: Any,
    *,
    beta: float,
    prior_scale: float | Literal["optimal", "optimal_by_variable"] = "optimal",
    structure: str = "diagonal",
    paper_form: bool = False,
    num_probes: int = 8,
    num_steps: int = 20,
    **fisher_options: Any,
) -> WeightInformation:
    """Information in the weights of a deterministic model, from its Fisher matrix, in nats.

    At a minimum of the mean loss with curvature F, prior `N(0, prior_scale^2 I)` and price `beta`,
    the Gaussian `N(w, S)` that minimises `mean loss + beta KL` has
    `S = beta (F + beta / prior_scale^2 I)^-1` and

        KL = 1/2 sum_i [log(1 + r_i) - r_i / (1 + r_i)] + |w|^2 / (2 prior_scale^2),
        r_i = f_i prior_scale^2 / beta,  f_i the eigenvalues of F.

    How accurate it is:

    - Exact for a loss that is quadratic in the weights, with F its Hessian. In general it is a
      local approximation, as good as F approximates the Hessian.
    - It is the divergence of one code. On average over training sets it is an upper bound on
      `I(w; D)`, and may be far above the information in the labels.
    - For a structure that omits entries of F (diagonal, Kronecker) it is the exact divergence of
      the best code for that approximation of F.
    - The number depends on the parametrisation.
    - A layer with noise of its own has the scales of that noise among its weights, and is refused:
      name `variables`, or use `WeightInformation.from_divergences` for the trained posterior.
    - The standard error treats the relative error of F's trace as that of F as a whole (delta
      method); for the implicit structure it also includes that of the spectrum, at the prior scale
      found. The error of the trace is an upper estimate. Not included: the logarithm of a noisy F
      is too low on average, by an amount that more labels per example (`num_samples`) reduce.

    Args:
        model: Any Keras model, at its trained weights.
        data: As in `fisher_information`; or a `FisherInformation` of this model, which needs no
            pass (`structure` and the options of the pass are then not used).
        beta: Price of a nat relative to the *mean* loss; `1 / N` gives the negative evidence lower
            bound, and `weight_beta / N` is that of an `InformationBottleneckModel`.
        prior_scale: Standard deviation of the prior; "optimal" for the single scale that minimises
            the Lagrangian (one solution, found by Newton's method), so that the information is the
            derivative of the minimal Lagrangian by `beta`; "optimal_by_variable" for one scale per
            variable (structure "diagonal").
        structure: Structure of the Fisher matrix.
        paper_form: The printed formula, which drops the factor one half of the Taylor expansion and
            has `-k` instead of `-k/2`: it equals `KL(beta / 2) - k / 2`, with the KL above.
        num_probes: Number of random vectors for the implicit structure.
        num_steps: Number of passes over the data for each of them.
        fisher_options: As in `fisher_information`, such as `labels="expected"`; its `memory_limit`
            also applies to the eigenvectors of "dense" and "gram".

    Returns:
        A `WeightInformation`. Its `by_variable` has each variable's part of the trace of the
        formula's matrix, and its own `|w|^2`; it is empty for the implicit structure. Cost: that
        of the Fisher matrix, and of its eigenvectors for "dense" and "gram".

    Raises:
        ValueError, TypeError: An argument is invalid.

    References:
        Achille, Paolini & Soatto, 2019, "Where is the Information in a Deep Neural Network?",
        arXiv 1905.12213, Proposition 2.5 and equation 8, corrected.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(loss="mse")
        x = np.ones((10, 4), "float32")
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        held = kib.estimators.information_in_weights(model, fisher, beta=1 / 10, prior_scale=1.0)
        print(held.size, held.nats > 0, held.nats_per_example == held.nats / 10)
        ```

        ```text
        15 True True
        ```
    """
    check_keywords(information_in_weights, fisher_information, fisher_options)
    beta = check_price_of_nat(beta)
    scale = check_prior_scale(prior_scale, "optimal", "optimal_by_variable")
    check_code_options(structure, paper_form, num_probes, num_steps)
    by_variable = isinstance(prior_scale, str) and prior_scale == "optimal_by_variable"
    chosen = data.structure if isinstance(data, FisherInformation) else structure
    if by_variable and chosen != "diagonal":
        raise ValueError(
            "`prior_scale='optimal_by_variable'` needs structure='diagonal', whose variables are "
            f"independent. Received: structure={chosen!r}"
        )
    minimum = Minimum.of(
        model, data, structure, fisher_options, num_probes=num_probes, num_steps=num_steps
    )
    fisher = minimum.fisher
    if by_variable:
        codes = minimum.codes_by_variable(beta, paper_form=paper_form)
        scales = [code.prior_scale for code in codes]
        found_scale = dict(zip(fisher.variables, scales, strict=True))
    else:
        codes = [minimum.code(beta, scale, paper_form=paper_form)]
        found_scale = codes[0].prior_scale
    nats = np.concatenate([code.nats for code in codes])
    apart = minimum.tells_variables_apart
    return WeightInformation(
        nats=float(nats.sum()),
        by_variable=dict(zip(fisher.variables, nats.tolist(), strict=True)) if apart else {},
        num_examples=fisher.num_examples,
        beta=beta,
        prior_scale=found_scale,
        # All have the same relative error of F, so their errors add up.
        standard_error=sum(code.standard_error for code in codes),
        excess_loss=sum(code.excess_loss for code in codes),
        size=fisher.size,
        structure=fisher.structure,
        labels=fisher.labels,
        paper_form=paper_form,
    )

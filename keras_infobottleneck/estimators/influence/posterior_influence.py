"""What one more copy of each example would do to a loss, by draws or by curvature."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np

from keras_infobottleneck.arguments import (
    check_count,
    check_keywords,
    check_model,
    check_verbose,
    seed_or_fresh,
)
from keras_infobottleneck.estimators.fisher import FisherInformation, fisher_information
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.influence.code_at_minimum import (
    check_code,
    check_order,
    check_plain,
    curvature_for,
    price_of_nat,
)
from keras_infobottleneck.estimators.influence.influence_by_curvature import on_test, on_themselves
from keras_infobottleneck.estimators.influence.influence_by_draws import by_draws
from keras_infobottleneck.estimators.information.minimum import (
    check_price_of_nat,
)
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.models.posterior_draws import has_posterior
from keras_infobottleneck.results.archived_result import ArchivedResult
from keras_infobottleneck.results.archives import Archive

__all__ = ["PosteriorInfluence", "posterior_influence"]

METHODS = ("draws", "curvature")


@dataclasses.dataclass(frozen=True, repr=False)
class PosteriorInfluence(ArchivedResult):
    """By how much a loss would change if each example counted once more, in nats.

    Attributes:
        influences: Influence of each example, in the order of the data, `[examples]`. If positive,
            the example raises the loss. Leaving it out changes the loss by minus this much, to
            first order.
        standard_errors: Their standard errors, `[examples]`: over draws (jackknife), or from the
            labels drawn for the Fisher matrix.
        losses: Loss of each example, in nats, `[examples]`: the mean over draws, or the loss at the
            trained weights.
        is_own: Whether the loss is each example's own; otherwise it is the mean over the test data.
        method: "draws" from the posterior of noisy weights, or "curvature" for a plain network.
        beta: Price of a nat relative to the *mean* loss.
        num_draws: Number of draws of the weights; 0 for "curvature".
        num_examples: Number N of training examples.
        seed: Seed of what was drawn; None in files of earlier versions.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        found = kib.estimators.PosteriorInfluence(
            influences=np.array([-0.1, 0.4, -0.2]),
            standard_errors=np.full(3, 0.05),
            losses=np.array([0.1, 2.0, 0.1]),
            is_own=False,
            method="draws",
            beta=1 / 3,
            num_draws=32,
            num_examples=3,
        )
        print(found.most_harmful(1))
        ```

        ```text
        [1]
        ```
    """

    influences: np.ndarray
    standard_errors: np.ndarray
    losses: np.ndarray
    is_own: bool
    method: str
    beta: float
    num_draws: int
    num_examples: int
    seed: int | None = None

    _points = ("influences", "standard_errors", "losses")

    def most_harmful(self, count: int = 10) -> np.ndarray:
        """Indices of the `count` examples that raise the test loss or lower their own the most."""
        signed = self.influences if self.is_own else -self.influences
        return np.argsort(signed, kind="stable")[: check_count("count", count, 0)]

    def numbers(self) -> dict[str, float]:
        """Mean, largest and smallest influence, their mean standard error, and the settings."""
        found = {
            "mean_influence": float(self.influences.mean()),
            "largest_influence": float(self.influences.max()),
            "smallest_influence": float(self.influences.min()),
            "mean_standard_error": float(self.standard_errors.mean()),
        }
        return {**found, **super().numbers()}

    def __repr__(self) -> str:
        of = "each example's own loss" if self.is_own else "the test loss"
        return (
            f"PosteriorInfluence({len(self.influences)} examples on {of}, "
            f"{self.influences.min():.4g} to {self.influences.max():.4g} nats, "
            f"error {self.standard_errors.mean():.2g}, method={self.method!r}, "
            f"num_draws={self.num_draws})"
        )

    @classmethod
    def _fields_in(cls, archive: Archive) -> dict[str, Any]:
        """Reads the fields of an archive, in which every array has one entry per example."""
        influences = archive.array("influences", (None,))
        return {
            "influences": influences,
            "standard_errors": archive.array("standard_errors", influences.shape, least=0),
            "losses": archive.array("losses", influences.shape),
            "is_own": bool(archive.array("is_own", (), kinds="b")),
            "method": archive.text("method", METHODS),
            "beta": float(archive.array("beta", (), least=0)),
            "num_draws": archive.count("num_draws", 0),
            "num_examples": archive.count("num_examples"),
            "seed": archive.seed("seed"),
        }


@on_replicas
def posterior_influence(
    model: keras.Model,
    data: Any,
    test_data: Any = None,
    *,
    num_draws: int = 64,
    beta: float | None = None,
    fisher: FisherInformation | None = None,
    prior_scale: float | Literal["optimal"] = "optimal",
    structure: str = "kronecker",
    likelihood: str | Callable[[Any], Any] | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    verbose: int = 0,
    **fisher_options: Any,
) -> PosteriorInfluence:
    """Influence of each training example on a loss: its change if the example counted once more.

    For the posterior `q(w)` proportional to `prior * exp(-sum_j l_j(w) / (N beta))`, the derivative
    of the mean of `phi(w)` by the number of times that example i counts is

        -Cov_{w ~ q}(l_i(w), phi(w)) / (N beta)

    where `phi` is the mean loss over `test_data`, or `l_i` itself without test data. If the model
    has `VariationalWeights`, its weights are drawn: no Hessian and no Markov chain is needed. For a
    plain network, with the Gaussian code as the posterior and losses approximated as linear in the
    weights, it is the classical influence function,
    `-grad l_i^T (F + beta / prior_scale^2 I)^-1 grad phi / N`.

    The method by draws is consistent: exact for the derivative as `num_draws` grows, if the
    posterior is that of the formula; a factorised posterior neglects correlations of weights. The
    method by curvature is an approximation. Both are of first order: if the network has fitted an
    example by itself, the influence on its own loss is too small; see
    `unique_information(leverage=True)`.

    Args:
        model: Any Keras model; if it has noisy weights, all of them by `VariationalWeights`.
        data: `(x, y)`, examples of the training set: arrays, a `tf.data.Dataset` or a
            `keras.utils.PyDataset`.
        test_data: `(x, y)` whose mean loss is observed; may be a single example. By default each
            example's own loss is observed.
        num_draws: Number of draws of all weights, at least 3; not used for a plain network.
        beta: Price of a nat relative to the *mean* loss. By default that of the model:
            `weight_beta / num_examples` of an `InformationBottleneckModel`, otherwise `1 / N`.
        fisher, prior_scale, structure, fisher_options: For a plain network, as in
            `unique_information`.
        likelihood, batch_size, verbose: As in `fisher_information`.
        seed: Seed of the draws, and of the labels drawn for the Fisher matrix.

    Returns:
        A `PosteriorInfluence`. Standard errors of draws are by the jackknife over them, those of
        curvature by the relative error of the Fisher matrix's trace. Cost: two passes without
        gradients for each draw (one without `test_data`), or the Fisher matrix and two passes with
        gradients.

    Raises:
        ValueError, TypeError: An argument cannot be used; the message says why.

    References:
        Kreer et al., 2025, "Bayesian influence functions for Hessian-free data attribution",
        arXiv 2509.26544, on the covariance; Koh & Liang, 2017, arXiv 1703.04730, on curvature.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        random = np.random.default_rng(0)
        x = random.normal(size=(60, 4)).astype("float32")
        y = x.sum(1, keepdims=True)
        y[7] += 5.0  # one label is off
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", loss="mse")
        model.fit(x[:50], y[:50], epochs=50, verbose=0)
        train, test = (x[:50], y[:50]), (x[50:], y[50:])
        found = kib.estimators.posterior_influence(model, train, test, labels="expected")
        print(found.method, found.most_harmful(1))
        ```

        ```text
        curvature [7]
        ```
    """
    check_keywords(posterior_influence, fisher_information, fisher_options)
    check_model("model", model)
    check_count("num_draws", num_draws, 3)
    price = None if beta is None else check_price_of_nat(beta)
    check_code(fisher, prior_scale, structure)
    check_verbose("verbose", verbose)
    seed = seed_or_fresh("seed", seed)
    found = find_likelihood(model, likelihood)
    batches = batches_for(model, data, batch_size)
    test = None
    if test_data is not None:
        test = batches_for(model, test_data, batch_size, name="test_data")
    if has_posterior(model):
        check_plain(model, fisher, fisher_options)
        price, count = price_of_nat(model, batches, price, fisher)
        losses, influences, errors = by_draws(model, found, batches, test, num_draws, seed)
        return PosteriorInfluence(
            influences=influences / (count * price),
            standard_errors=errors / (count * price),
            losses=losses,
            is_own=test is None,
            method="draws",
            beta=price,
            num_draws=num_draws,
            num_examples=count,
            seed=seed,
        )
    check_order(batches)  # draws make several passes, which are compared without this one
    price, _ = price_of_nat(model, batches, price, fisher)
    options = {"likelihood": likelihood, "batch_size": batch_size, "verbose": verbose}
    if fisher is None:
        options |= {"seed": seed, **fisher_options}
    else:
        options |= fisher_options
    matrix, scale, error = curvature_for(
        model, data, fisher, price, prior_scale, structure, options
    )
    shift = price / scale**2
    if test is None:
        losses, influences, slopes = on_themselves(model, found, batches, matrix, shift, verbose)
    else:
        losses, influences, slopes = on_test(model, found, batches, test, matrix, shift, verbose)
    return PosteriorInfluence(
        influences=influences,
        standard_errors=error * np.abs(slopes),
        losses=losses,
        is_own=test is None,
        method="curvature",
        beta=price,
        num_draws=0,
        num_examples=matrix.num_examples,
        seed=seed,
    )

"""How many nats each example contributes to the weights, or to the predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np

from keras_infobottleneck.arguments import (
    check_choice,
    check_count,
    check_flag,
    check_keywords,
    check_model,
    check_probability,
    check_verbose,
)
from keras_infobottleneck.estimators.fisher import FisherInformation, fisher_information
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.influence.code_at_minimum import (
    check_code,
    check_order,
    curvature_for,
)
from keras_infobottleneck.estimators.influence.example_passes import gathered
from keras_infobottleneck.estimators.influence.without_one import (
    Removal,
    norms_of_removals,
    removals,
)
from keras_infobottleneck.estimators.information.minimum import (
    check_price_of_nat,
    variables_of,
)
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.archived_result import ArchivedResult
from keras_infobottleneck.results.archives import Archive

__all__ = ["UniqueInformation", "unique_information"]

SPACES = ("weights", "outputs")
# Share of the examples whose part of all nats `numbers` gives.
TOP = 0.01


@dataclasses.dataclass(frozen=True, repr=False)
class UniqueInformation(ArchivedResult):
    """Nats that each example contributes to the weights, or to the predictions.

    Attributes:
        nats: Nats of each example, in the order of the data, `[examples]`.
        standard_errors: Their standard errors, from the labels drawn for the Fisher matrix,
            `[examples]`; zeros if it is exact for the data.
        losses: Minus the log-probability of each label by the whole network, in nats,
            `[examples]`.
        space: "weights" or "outputs".
        beta: Price of a nat relative to the *mean* loss.
        prior_scale: Standard deviation of the prior.
        num_examples: Number N of examples in the training set of the Fisher matrix.
        structure: Structure of the Fisher matrix.
        leverage: Whether the step is Newton's rather than the first-order one.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        held = kib.estimators.UniqueInformation(
            nats=np.array([0.1, 3.0, 0.2]),
            standard_errors=np.zeros(3),
            losses=np.array([0.1, 2.0, 0.1]),
            space="weights",
            beta=0.1,
            prior_scale=1.0,
            num_examples=3,
            structure="diagonal",
            leverage=False,
        )
        print(held.largest(2), round(held.top_share(1 / 3), 2))
        ```

        ```text
        [1 2] 0.91
        ```
    """

    nats: np.ndarray
    standard_errors: np.ndarray
    losses: np.ndarray
    space: str
    beta: float
    prior_scale: float
    num_examples: int
    structure: str
    leverage: bool

    _points = ("nats", "standard_errors", "losses")

    def largest(self, count: int = 10) -> np.ndarray:
        """Indices of the `count` examples with the most nats, the largest first."""
        return np.argsort(-self.nats, kind="stable")[: check_count("count", count, 0)]

    def top_share(self, fraction: float = TOP) -> float:
        """Share of all nats contributed by this fraction of the examples, those with the most."""
        count = max(1, round(check_probability("fraction", fraction) * len(self.nats)))
        total = float(self.nats.sum())
        return float(np.sort(self.nats)[::-1][:count].sum()) / total if total else float("nan")

    def numbers(self) -> dict[str, float]:
        """Mean, largest and total nats, the share of the top percent, and the settings."""
        nats = {
            "mean_nats": float(self.nats.mean()),
            "largest_nats": float(self.nats.max()),
            "total_nats": float(self.nats.sum()),
            "share_of_top_percent": self.top_share(),
        }
        return {**nats, **super().numbers()}

    def __repr__(self) -> str:
        return (
            f"UniqueInformation({len(self.nats)} examples, mean={self.nats.mean():.4g} nats, "
            f"largest={self.nats.max():.4g}, top percent holds {self.top_share():.1%}, "
            f"space={self.space!r}, beta={self.beta:.4g}, structure={self.structure!r})"
        )

    @classmethod
    def _fields_in(cls, archive: Archive) -> dict[str, Any]:
        """Reads the fields of an archive, in which every array has one entry per example."""
        nats = archive.array("nats", (None,), least=0)
        shape = nats.shape
        return {
            "nats": nats,
            "standard_errors": archive.array("standard_errors", shape, least=0),
            "losses": archive.array("losses", shape),
            "space": archive.text("space", SPACES),
            "beta": float(archive.array("beta", (), least=0)),
            "prior_scale": float(archive.array("prior_scale", (), least=0)),
            "num_examples": archive.count("num_examples"),
            "structure": archive.text("structure"),
            "leverage": bool(archive.array("leverage", (), kinds="b")),
        }


@on_replicas
def unique_information(
    model: keras.Model,
    data: Any,
    *,
    beta: float,
    fisher: FisherInformation | None = None,
    prior_scale: float | Literal["optimal"] = "optimal",
    structure: str = "kronecker",
    space: Literal["weights", "outputs"] = "weights",
    test_data: Any = None,
    leverage: bool = False,
    likelihood: str | Callable[[Any], Any] | None = None,
    batch_size: int | None = None,
    verbose: int = 0,
    **fisher_options: Any,
) -> UniqueInformation:
    """Nats that each example contributes to the weights of a deterministic model.

    Without example i the minimum of the mean loss would move by

        d_i = w_without_i - w = (F + beta / prior_scale^2 I)^-1 grad l_i(w) / N

    to first order. `space="weights"`: the best Gaussian code of the weights has the covariance
    `S = beta (F + beta / prior_scale^2 I)^-1`; the divergence between the codes with and without
    the example is `1/2 d_i^T S^-1 d_i`. It measures how well an observer of weights with the code's
    noise could tell whether the example was in the training set. `space="outputs"`: how far the
    predicted distribution of a label moves on average over `test_data`, `1/2 d_i^T F_test d_i`, the
    second order of the divergence between the predictions with and without the example.

    This is an approximation: exact for a loss that is quadratic in the weights, with F its Hessian,
    `leverage=True`, and the prior part of the loss. Away from a minimum it describes the step that
    one more example would cause. With `structure="gram"`, `labels="empirical"` and all
    training examples the nats in the weights add up to `tr(F (F + shift)^-1) / (2 N beta)`.

    Args:
        model: Any Keras model without noisy weights, at its trained weights.
        data: `(x, y)` of the examples, all of the training set or some of it: arrays, a
            `tf.data.Dataset` or a `keras.utils.PyDataset`.
        beta: Price of a nat relative to the *mean* loss, `1 / N` for the negative evidence.
        fisher: `FisherInformation` of this model on its training set, of any structure but
            "implicit"; by default it is measured on `data`, which must then be the whole set.
        prior_scale: Standard deviation of the prior of the weights, or "optimal", as in
            `information_in_weights`.
        structure: Structure of the Fisher matrix, if it is measured. The diagonal neglects
            correlations of weights: its influences say little more than products of gradients.
        space: "weights" or "outputs".
        test_data: For `space="outputs"`, the examples on which predictions are compared; their
            labels are not used. By default those of `fisher`.
        leverage: Whether the example's own curvature is removed too (a step of Newton's method, at
            a backward pass for each output). Exact for ridge regression.
        likelihood, batch_size, verbose: As in `fisher_information`.
        fisher_options: Other arguments of `fisher_information`, if the matrix is measured.

    Returns:
        A `UniqueInformation`. Its standard errors are those due to the labels drawn for the Fisher
        matrix, by the relative error of its trace (delta method); the error of the approximation
        itself is not included. Cost: the Fisher matrix, and for "diagonal" and "kronecker" one to
        five gradient passes, or with `leverage` as many for each output. With `test_data`, and for
        other structures, a product with the inverse for each example, on the host, and memory for
        the gradients of a batch.

    Raises:
        ValueError, TypeError: An argument cannot be used; the message says why.

    References:
        Harutyunyan et al., 2021, "Estimating informativeness of samples with smooth unique
        information", arXiv 2101.06640, equations 9 and 13, with the noise of the Gaussian code
        in place of that of stochastic gradients.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        random = np.random.default_rng(0)
        x = random.normal(size=(50, 4)).astype("float32")
        y = x.sum(1, keepdims=True)
        y[7] += 5.0  # one label is off
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", loss="mse")
        model.fit(x, y, epochs=50, verbose=0)
        held = kib.estimators.unique_information(model, (x, y), beta=1 / 50, labels="expected")
        print(held.largest(1))
        ```

        ```text
        [7]
        ```
    """
    check_keywords(unique_information, fisher_information, fisher_options)
    check_model("model", model)
    beta = check_price_of_nat(beta)
    check_code(fisher, prior_scale, structure)
    check_choice("space", space, SPACES)
    check_flag("leverage", leverage)
    check_verbose("verbose", verbose)
    if test_data is not None and space == "weights":
        raise ValueError(
            "`test_data` is for space='outputs'. Received: test_data beside space='weights'"
        )
    found = find_likelihood(model, likelihood)
    batches = batches_for(model, data, batch_size)
    check_order(batches)
    options: dict[str, Any] = {
        "likelihood": likelihood,
        "batch_size": batch_size,
        "verbose": verbose,
    }
    matrix, scale, error = curvature_for(
        model, data, fisher, beta, prior_scale, structure, {**options, **fisher_options}
    )
    shift = beta / scale**2
    test: Any = None
    if test_data is not None:
        options |= {"structure": matrix.structure, "variables": variables_of(model, matrix)}
        of_labels = {"labels": "expected" if matrix.labels == "empirical" else matrix.labels}
        test = fisher_information(model, test_data, **{**of_labels, **fisher_options, **options})
    options = {"leverage": leverage, "verbose": verbose}
    unit = 2 * matrix.num_examples**2
    if test is None:
        losses, whole, of_shift = norms_of_removals(model, matrix, shift, found, batches, **options)
        change = whole - of_shift  # g A^-1 F A^-1 g
    else:
        parts = removals(model, matrix, shift, found, batches, **options)
        losses, change = gathered((part.losses, _prediction_change(part, test)) for part in parts)
    if space == "weights":
        nats, slopes = whole / (unit * beta), -change / (unit * beta)
    else:
        # An upper estimate of the slope: the two inverses move by at most this much, F by the rest.
        nats, slopes = np.maximum(change, 0.0) / unit, -change / unit
    return UniqueInformation(
        nats=nats,
        standard_errors=error * np.abs(slopes),
        losses=losses,
        space=space,
        beta=beta,
        prior_scale=scale,
        num_examples=matrix.num_examples,
        structure=matrix.structure,
        leverage=bool(leverage),
    )


def _prediction_change(part: Removal, test: FisherInformation) -> np.ndarray:
    """How far each removal moves the predictions on the test data, `d^T F_test d`, `[n]`."""
    return np.einsum("nw,nw->n", part.solved, test.power_product(part.solved, 1.0))

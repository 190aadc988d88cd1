"""Detection of wrong labels: a ranking by probability, and its expected precision."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_count,
    check_keywords,
    check_model,
    check_number,
    check_verbose,
    seed_or_fresh,
)
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.estimators.fisher import FisherInformation, fisher_information
from keras_infobottleneck.estimators.fisher.label_pairs import label_of_each
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.fisher.terms import Term
from keras_infobottleneck.estimators.influence.code_at_minimum import (
    check_code,
    check_plain,
    curvature_for,
    price_of_nat,
)
from keras_infobottleneck.estimators.influence.held_out_predictions import (
    by_curvature,
    by_draws,
    class_log_probabilities,
)
from keras_infobottleneck.estimators.influence.label_noise import LabelNoise, log_softmax
from keras_infobottleneck.estimators.information.minimum import (
    check_price_of_nat,
)
from keras_infobottleneck.introspection.contents import layers_in_order, own_weights
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.models.posterior_draws import has_posterior
from keras_infobottleneck.results.archived_result import ArchivedResult
from keras_infobottleneck.results.archives import Archive
from keras_infobottleneck.results.estimate import Estimate

__all__ = ["WrongLabels", "find_wrong_labels"]

MOST_WRONG = 0.5  # share of wrong labels above which a poor network is the likelier cause
NO_LIMIT = 10**9  # passes over the last layer alone are cheap, so the user is not asked
METHODS = ("draws", "curvature")


@dataclasses.dataclass(frozen=True, repr=False)
class WrongLabels(ArchivedResult):
    """Probability that each label is wrong, and the most probable correct label.

    Attributes:
        probabilities: Probability that the label of each example is wrong, in the order of the
            data, `[examples]`.
        suggested: The most probable correct label, `[examples]`.
        losses: Minus the log-probability of the given label, by the network without the example,
            in nats, `[examples]`.
        confusion: Probability of a given label (column) for a true one (row),
            `[classes, classes]`.
        temperature: Divisor of the network's logits; above one if it is too certain.
        method: "draws" from the posterior of noisy weights, or "curvature" for a plain network.
        seed: Seed of what was drawn; None in files of earlier versions.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        found = kib.estimators.WrongLabels(
            probabilities=np.array([0.01, 0.95, 0.6]),
            suggested=np.array([0, 1, 1]),
            losses=np.array([0.1, 3.0, 1.0]),
            confusion=np.eye(2),
            temperature=1.0,
            method="curvature",
        )
        print(found.flagged(), round(found.expected_share, 2), found.expected_precision())
        ```

        ```text
        [1 2] 0.52 0.775
        ```
    """

    probabilities: np.ndarray
    suggested: np.ndarray
    losses: np.ndarray
    confusion: np.ndarray
    temperature: float
    method: str
    seed: int | None = None

    _points = ("probabilities", "suggested", "losses")

    @property
    def expected_share(self) -> Estimate:
        """Expected share of wrong labels among all.

        Its standard error is that for independent labels with these probabilities.
        """
        p = self.probabilities
        return Estimate(float(p.mean()), float(np.sqrt((p * (1 - p)).sum()) / len(p)))

    def ranking(self, count: int | None = None) -> np.ndarray:
        """Indices of all examples, or of the first `count`, the label most probably wrong first."""
        # Ties, such as probabilities that round to one, are broken by the losses.
        count = check_count("count", count, 0, optional=True)
        return np.lexsort((-self.losses, -self.probabilities))[:count]

    def flagged(self, threshold: float = 0.5) -> np.ndarray:
        """Indices of the examples whose label is wrong with more than this probability, ranked."""
        check_number("threshold", threshold, 0.0, 1.0)
        order = self.ranking()
        return order[self.probabilities[order] > threshold]

    def expected_precision(self, threshold: float = 0.5) -> float:
        """Expected share of wrong labels among the flagged ones; NaN if none is flagged."""
        flagged = self.flagged(threshold)
        return float(self.probabilities[flagged].mean()) if len(flagged) else float("nan")

    def numbers(self) -> dict[str, float]:
        """Expected share of wrong labels; number and precision of those flagged at 0.5."""
        share = self.expected_share
        return {
            "expected_share": float(share),
            "standard_error": share.standard_error,
            "num_flagged": float(len(self.flagged())),
            "expected_precision": self.expected_precision(),
            "temperature": self.temperature,
        }

    def __repr__(self) -> str:
        return (
            f"WrongLabels({len(self.probabilities)} examples, expected share "
            f"{self.expected_share!r}, {len(self.flagged())} flagged of which "
            f"{self.expected_precision():.1%} are expected to be wrong, method={self.method!r})"
        )

    @classmethod
    def _fields_in(cls, archive: Archive) -> dict[str, Any]:
        """Reads the fields of an archive, in which every array has one entry per example."""
        probabilities = archive.array("probabilities", (None,), least=0)
        confusion = archive.array("confusion", (None, None), least=0)
        return {
            "probabilities": probabilities,
            "suggested": archive.array("suggested", probabilities.shape, kinds="iu", least=0),
            "losses": archive.array("losses", probabilities.shape),
            "confusion": confusion,
            "temperature": float(archive.array("temperature", (), least=0)),
            "method": archive.text("method", METHODS),
            "seed": archive.seed("seed"),
        }


@on_replicas
def find_wrong_labels(
    model: keras.Model,
    data: Any,
    *,
    num_draws: int = 64,
    beta: float | None = None,
    fisher: FisherInformation | None = None,
    prior_scale: float | Literal["optimal"] = "optimal",
    structure: str = "diagonal",
    likelihood: str | Callable[[Any], Any] | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    verbose: int = 0,
    **fisher_options: Any,
) -> WrongLabels:
    """Ranks training examples by the probability that their label is wrong.

    A network that has learned a wrong label assigns it a high probability. So each example is first
    removed from the network: for a plain network by a Newton step of its last layer, whose leverage
    says how far the layer fitted the example by itself; for a network with `VariationalWeights` by
    drawn networks, among which those that predict the label well count less. Then a model of the
    labels is fitted to these predictions, by its greatest posterior probability: the true class
    follows the prediction at some temperature, and the given label follows the true class by a
    confusion matrix, whose prior favours correct labels. The probability that a label is wrong is
    that of this model. The mean of the probabilities is the expected share of wrong labels, and the
    threshold of one half flags those that are more probably wrong than right.

    The probabilities are as well calibrated as the model holds: if predictions without the example
    are good up to their temperature, and errors of labels depend on the class and not on the
    example. They are not calibrated if the network learned the wrong labels as a rule, nor for a
    network that fits everything so closely that a quadratic step does not undo it: stop its
    training earlier, or charge it for its weights.

    Args:
        model: A classifier: any Keras model; if it has noisy weights, all by `VariationalWeights`.
        data: `(x, y)`, all of the training set: arrays, a `tf.data.Dataset` or a
            `keras.utils.PyDataset`; labels as integers or one-hot.
        num_draws: Number of draws of all weights, at least 3; not used for a plain network.
        beta: For a plain network, price of a nat relative to the *mean* loss. By default that of
            the model: `weight_beta / num_examples` of an `InformationBottleneckModel`, otherwise
            `1 / N`.
        fisher, prior_scale, structure, fisher_options: For a plain network, as in
            `unique_information`. The step is in the variables of the Fisher matrix, by default
            those of the last layer: for all weights, an approximate inverse gives far too much
            leverage, and too many labels seem wrong. The exact inverse for the last layer ("dense")
            is better early in training; later its leverage is too low, because the layers before it
            have learned the labels too, for which the diagonal compensates in part.
        likelihood, batch_size, verbose: As in `fisher_information`.
        seed: Seed of the draws, and of the labels drawn for the Fisher matrix.

    Returns:
        A `WrongLabels`. Cost: a pass without gradients for each draw; or the Fisher matrix of the
        last layer, and a backward pass through it for each class.

    Raises:
        ValueError, TypeError: An argument cannot be used; the message says why.

    References:
        Gelfand, Dey & Chang, 1992, on leaving one out by weighting draws; Natarajan et al., 2013,
        and Patrini et al., 2017, arXiv 1609.03683, on confusion matrices.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        random = np.random.default_rng(0)
        x = random.normal(size=(300, 4)).astype("float32")
        y = (x.sum(1) > 0).astype(int)
        y[:30] = 1 - y[:30]
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.05), loss)
        model.fit(x, y, epochs=20, verbose=0)
        found = kib.estimators.find_wrong_labels(model, (x, y), labels="expected")
        print(np.mean(found.ranking(20) < 30) > 0.9)
        ```

        ```text
        True
        ```
    """
    check_keywords(find_wrong_labels, fisher_information, fisher_options)
    check_model("model", model)
    check_count("num_draws", num_draws, 3)
    price = None if beta is None else check_price_of_nat(beta)
    check_code(fisher, prior_scale, structure)
    check_verbose("verbose", verbose)
    seed = seed_or_fresh("seed", seed)
    found = find_likelihood(model, likelihood)
    batches = batches_for(model, data, batch_size)
    terms = found.terms(model(batches.first_inputs(), training=False))
    # This pass over the labels also fixes the order of the data, with which later passes are
    # compared.
    labels = _labels(terms, batches, class_log_probabilities(terms).shape[1])
    is_drawn = has_posterior(model)
    if is_drawn:
        check_plain(model, fisher, fisher_options)
        scores = by_draws(model, found, batches, num_draws, seed)
    else:
        price, _ = price_of_nat(model, batches, price, fisher)
        options: dict[str, Any] = {"likelihood": likelihood, "batch_size": batch_size}
        options["verbose"] = verbose
        if fisher is None:
            last = _last_weights(model)
            options |= {"seed": seed, "labels": "expected", "variables": last}
            options |= {"pass_limit": NO_LIMIT, **fisher_options}
        else:
            options |= fisher_options
        matrix, scale, _ = curvature_for(
            model, data, fisher, price, prior_scale, structure, options
        )
        scores = by_curvature(model, found, batches, matrix, price / scale**2, verbose)
    noise = LabelNoise.fitted(scores, labels)
    share = float(noise.wrong.mean())
    if share > MOST_WRONG:
        warnings.warn(
            f"{share:.0%} of the labels seem wrong, which more often means that the network does "
            "not predict them: compare its loss with the entropy of the class frequencies "
            "before you trust these probabilities.",
            stacklevel=3,
        )
    return WrongLabels(
        probabilities=noise.wrong,
        suggested=noise.suggested,
        losses=-log_softmax(scores)[np.arange(len(labels)), labels],
        confusion=noise.confusion,
        temperature=noise.temperature,
        method=METHODS[not is_drawn],
        seed=seed,
    )


def _last_weights(model: keras.Model) -> list[keras.Variable]:
    """Trainable weights of the last layer that has any."""
    for layer in reversed(layers_in_order(model)):
        own = [weight for weight in own_weights(layer) if weight.trainable]
        if own:
            return own
    return list(model.trainable_variables)


def _labels(terms: list[Term], batches: Batches, classes: int) -> np.ndarray:
    """The given labels as integers, `[examples]`.

    Raises:
        ValueError: The labels have another shape, or are not numbers of classes.
    """
    parts = [label_of_each(terms, y)[0] for _, y in batches.parts()]
    labels = np.concatenate([np.asarray(tf.convert_to_tensor(y)) for y in parts])
    if labels.shape[1:] == (classes,):
        is_bit = (labels == 0) | (labels == 1)
        one_hot = is_bit.all(1) & (labels.sum(1) == 1)
        if not np.all(one_hot):
            raise ValueError(
                f"`data` must hold one label of {classes} classes for each example, rows one-hot. "
                f"Received: labels of shape {labels.shape}, with {labels[~one_hot][0].tolist()}"
            )
        return labels.argmax(1)
    flat = labels.reshape(-1)
    is_class = np.isin(flat, np.arange(classes))
    if labels.size != len(labels) or not np.all(is_class):
        wrong = "" if np.all(is_class) else f", with {flat[~is_class][0]}"
        raise ValueError(
            f"`data` must hold one label of {classes} classes for each example. "
            f"Received: labels of shape {labels.shape}{wrong}"
        )
    return flat.astype(int)

"""From a model's outputs to the distribution of its label."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.fisher import draws, terms
from keras_infobottleneck.estimators.fisher.categorical import Categorical, CategoricalProbabilities
from keras_infobottleneck.estimators.fisher.compiled_loss import likelihood_of_loss

__all__ = [
    "DistributionLikelihood",
    "Labels",
    "Likelihood",
    "NamedLikelihood",
    "check_labels",
    "find_likelihood",
]

Labels = Literal["expected", "sampled", "empirical"]
Tensors = list[tf.Tensor]

TOLERANCE = 1e-2  # by which probabilities in half precision may miss a sum of one

NAMES = (
    "categorical",
    "categorical_probabilities",
    "bernoulli",
    "bernoulli_probabilities",
    "normal",
)


class Likelihood(abc.ABC):
    """How outputs become terms; `name` is what a result or an error says."""

    name: str

    @abc.abstractmethod
    def terms(self, outputs: Any) -> list[terms.Term]:
        """The independent terms of the label's distribution, in the order of the labels."""

    def terms_of_rows(self, outputs: Any, num_rows: int) -> list[terms.Term]:
        """The same for so many examples, whose number layers of text and others forget."""

        def counted(tensor: Any) -> Any:
            if not tf.is_tensor(tensor) or tensor.shape.rank in (None, 0):
                return tensor
            if tensor.shape[0] is not None:
                return tensor
            return tf.ensure_shape(tensor, [num_rows, *tensor.shape[1:]])

        return self.terms(tf.nest.map_structure(counted, outputs))

    def labels(self, y: Any, count: int) -> list[Any]:
        """The label of each term."""
        if count == 1:
            return [y]
        leaves = tf.nest.flatten(y)
        if len(leaves) != count:
            raise ValueError(
                f"The labels must match the {count} distributions of the likelihood. "
                f"Received: {len(leaves)} label arrays"
            )
        return leaves


class NamedLikelihood(Likelihood):
    """One of `NAMES`, for a model with one output."""

    def __init__(self, name: str):
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedLikelihood) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def terms(self, outputs):
        """The term of the output; probabilities are traced back to logits where they are one op."""
        if not tf.is_tensor(outputs):
            raise ValueError(
                f"`likelihood={self.name!r}` is for one output tensor; give a callable from the "
                f"outputs to a TFP distribution. Received: outputs={type(outputs).__name__}"
            )
        eta = _as_float(outputs)
        if len(eta.shape) < 2 or None in eta.shape[1:]:
            raise ValueError(
                "The model's output must have the shape [batch, ..., outputs]. "
                f"Received: shape={tuple(eta.shape)}"
            )
        if tf.executing_eagerly():  # tried on one example, before it is traced
            self._check_probabilities(eta)
        if self.name == "normal":
            return [terms.Normal(eta)]
        if self.name == "categorical":
            return [Categorical(eta)]
        if self.name == "bernoulli":
            return [terms.Bernoulli(eta)]
        # Gradients through a saturated softmax or sigmoid are lost; those of its logits are not.
        if self.name == "categorical_probabilities":
            logits = _input_of(eta, "Softmax")
            return [CategoricalProbabilities(eta) if logits is None else Categorical(logits)]
        logits = _input_of(eta, "Sigmoid")
        return [terms.BernoulliProbabilities(eta) if logits is None else terms.Bernoulli(logits)]

    def _check_probabilities(self, eta: tf.Tensor) -> None:
        """Refuses logits where the name, or the loss that it was read from, says probabilities."""
        values, sums = eta.numpy(), tf.reduce_sum(eta, -1).numpy()
        if not self.name.endswith("_probabilities") or not np.all(np.isfinite(values)):
            return
        is_share = np.all((values >= 0) & (values <= 1 + TOLERANCE))
        if is_share and (self.name.startswith("bernoulli") or np.allclose(sums, 1, atol=TOLERANCE)):
            return
        logits = self.name.removesuffix("_probabilities")
        raise ValueError(
            "The outputs must be probabilities, as a loss without `from_logits=True` takes them; "
            "where they are logits compile with that, such as "
            "`keras.losses.SparseCategoricalCrossentropy(from_logits=True)`, or write "
            f"likelihood={logits!r}. Received: outputs from {values.min():.4g} to "
            f"{values.max():.4g}, the first sum {np.ravel(sums)[0]:.4g}"
        )


class DistributionLikelihood(Likelihood):
    """A callable from outputs to a TFP distribution, or a nest of independent ones."""

    def __init__(self, distribution: Callable[[Any], Any]):
        self.distribution = distribution
        self.name = getattr(distribution, "__name__", type(distribution).__name__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DistributionLikelihood) and other.distribution is self.distribution

    def __hash__(self) -> int:
        return hash(self.distribution)

    def terms(self, outputs):
        """Closed forms where every distribution has one, else one term by differentiation."""
        from tensorflow_probability import distributions as tfd

        outputs = tf.nest.map_structure(_as_float, outputs)
        made = self.distribution(outputs)
        leaves = [made] if isinstance(made, tfd.Distribution) else tf.nest.flatten(made)
        for leaf in leaves:
            if not isinstance(leaf, tfd.Distribution):
                raise TypeError(
                    "`likelihood` must return a TFP distribution or a nest of them. "
                    f"Received: likelihood returned {type(leaf).__name__}"
                )
        known = [_closed_form(leaf, tfd) for leaf in leaves]
        if all(term is not None for term in known):
            return known
        if len(leaves) > 1:
            raise ValueError(
                "A nest of distributions may hold Categorical, Bernoulli and Normal only; use a "
                f"joint distribution. Received: {[type(leaf).__name__ for leaf in leaves]}"
            )
        return [_AnyDistribution(self.distribution, outputs)]


class _AnyDistribution(terms.Term):
    """Any TFP distribution: `eta` are the outputs, the score is a gradient, draws are its own."""

    def __init__(self, distribution: Callable[[Any], Any], outputs: Any):
        super().__init__(*tf.nest.flatten(outputs))
        self.distribution = distribution
        self.outputs = outputs

    @property
    def num_columns(self):
        """Refused: the expectation over labels has no closed form here."""
        raise ValueError(
            "`labels='expected'` needs a Categorical, Bernoulli or Normal likelihood; use "
            f"labels='sampled'. Received: {type(self.distribution(self.outputs)).__name__}"
        )

    def draw(self, key, first, num_samples):
        """Draws differ with the batch size: the distribution takes one seed for a batch."""
        made = self.distribution(self.outputs)
        return made.sample(num_samples, seed=draws.seed_pair(key, first))

    def score(self, y):
        """By differentiation with respect to the outputs."""
        with tf.GradientTape() as tape:
            outputs = tf.nest.map_structure(tf.identity, self.outputs)
            tape.watch(tf.nest.flatten(outputs))
            log_prob = tf.reduce_sum(self._log_prob(outputs, y))
        return tape.gradient(
            log_prob, tf.nest.flatten(outputs), unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    def log_prob(self, y):
        """Summed over whatever the distribution leaves beside examples."""
        log_prob = self._log_prob(self.outputs, y)
        return tf.reduce_sum(tf.reshape(log_prob, [tf.shape(log_prob)[0], -1]), 1)

    def _log_prob(self, outputs: Any, y: Any) -> tf.Tensor:
        """Of labels of the distribution's shape: others pair with each other's examples."""
        made = self.distribution(outputs)
        if made.dtype in (tf.float32, tf.float64):  # counts come as integers, numbers as float64
            y = tf.cast(y, made.dtype)
        log_prob = made.log_prob(y)
        # A joint distribution may have a shape for each part.
        if isinstance(made.batch_shape, tf.TensorShape) and log_prob.shape != made.batch_shape:
            raise ValueError(
                f"{type(made).__name__} labels must have the distribution's shape "
                f"{(*made.batch_shape, *made.event_shape)}. "
                f"Received: y.shape={tuple(y.shape)}"
            )
        return log_prob

    def column(self, k):
        """Refused, see `num_columns`."""
        return self.num_columns

    def multiply(self, tangents):
        """Refused, see `num_columns`."""
        return self.num_columns


def find_likelihood(model: keras.Model, likelihood: str | Callable | None) -> Likelihood:
    """The likelihood asked for, or the one that the compiled loss is minus the logarithm of."""
    if likelihood is None:
        return NamedLikelihood(likelihood_of_loss(model))
    if isinstance(likelihood, str) and likelihood in NAMES:
        return NamedLikelihood(likelihood)
    if callable(likelihood) and not isinstance(likelihood, type):
        return DistributionLikelihood(likelihood)
    raise ValueError(
        f"`likelihood` must be one of {NAMES}, a callable from outputs to a TFP distribution, or "
        f"None. Received: likelihood={likelihood!r}"
    )


def check_labels(labels: str) -> None:
    """Refuses any other word."""
    if labels not in ("expected", "sampled", "empirical"):
        raise ValueError(
            f"`labels` must be 'expected', 'sampled' or 'empirical'. Received: labels={labels!r}"
        )


def _closed_form(distribution: Any, tfd: Any) -> terms.Term | None:
    """The term of a TFP distribution of a known family, without its `Independent` wrapping."""
    while isinstance(distribution, tfd.Independent):
        distribution = distribution.distribution
    if type(distribution) in (tfd.Categorical, tfd.OneHotCategorical):
        return Categorical(distribution.logits_parameter())
    if type(distribution) is tfd.Bernoulli:
        return terms.Bernoulli(distribution.logits_parameter())
    if type(distribution) is tfd.Normal:
        loc, scale = distribution.loc, distribution.scale
        shape = tf.broadcast_static_shape(loc.shape, scale.shape)
        return terms.Normal(tf.broadcast_to(loc, shape), scale)
    return None


def _as_float(outputs: tf.Tensor) -> tf.Tensor:
    """At least float32: scores are formed in it."""
    outputs = tf.convert_to_tensor(outputs)
    return outputs if outputs.dtype == tf.float64 else tf.cast(outputs, tf.float32)


def _input_of(tensor: tf.Tensor, kind: str) -> tf.Tensor | None:
    """What went into the traced operation that made the tensor, if it is of that kind."""
    if tf.executing_eagerly() or tensor.op.type != kind:
        return None
    return _as_float(tensor.op.inputs[0])

"""A likelihood given as a callable from outputs to a TFP distribution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import tensorflow as tf

from keras_infobottleneck.estimators.fisher.independent_outputs import Bernoulli, Normal
from keras_infobottleneck.estimators.fisher.masked_positions import (
    constant_where_masked,
    masks_of_losses,
    without_masked,
)
from keras_infobottleneck.estimators.fisher.terms import (
    Categorical,
    Likelihood,
    Tensors,
    Term,
    as_float,
    seed_pair,
)

__all__ = ["DistributionLikelihood"]


class DistributionLikelihood(Likelihood):
    """A callable from outputs to a TFP distribution, or a nest of independent ones."""

    def __init__(self, distribution: Callable[[Any], Any]):
        self.distribution = distribution
        self.name = getattr(distribution, "__name__", type(distribution).__name__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DistributionLikelihood) and other.distribution is self.distribution

    def __hash__(self) -> int:
        return hash(self.distribution)

    def _terms(self, outputs: Any, masks: list[list[tf.Tensor]]) -> list[Term]:
        """Closed forms if every distribution has one, else a single term by differentiation."""
        leaves = [as_float(output) for output in tf.nest.flatten(outputs)]
        if not any(masks):
            return self._of_outputs(tf.nest.pack_sequence_as(outputs, leaves))
        of_leaves, of_terms = self._masks_of_losses(outputs, leaves, masks)
        cut = [constant_where_masked(*pair) for pair in zip(leaves, of_leaves, strict=True)]
        terms = self._of_outputs(tf.nest.pack_sequence_as(outputs, cut))
        for term, of_term in zip(terms, of_terms, strict=True):
            term.masks = of_term
        return terms

    def _masks_of_losses(
        self, outputs: Any, leaves: list[tf.Tensor], masks: list[list[tf.Tensor]]
    ) -> tuple[list[list[tf.Tensor]], list[list[tf.Tensor]]]:
        """The masks that apply to losses, for each output and for each term."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(leaves)
            terms = self._of_outputs(tf.nest.pack_sequence_as(outputs, leaves))
        of_leaves: list[list[tf.Tensor]] = [[] for _ in leaves]
        of_terms: list[list[tf.Tensor]] = [[] for _ in terms]
        for term, of_term in zip(terms, of_terms, strict=True):
            for leaf, of_leaf, found in zip(leaves, masks, of_leaves, strict=True):
                if all(tape.gradient(eta, leaf) is None for eta in term.eta):
                    continue
                # The axes of positions are those of the distribution or those of the output.
                rank = term.loss_rank
                if rank is not None:
                    rank = max(rank, leaf.shape.rank - 1)
                kept = masks_of_losses(of_leaf, rank)
                of_term += kept
                found += kept
        return of_leaves, of_terms

    def _of_outputs(self, outputs: Any) -> list[Term]:
        """The terms of outputs that are constant at masked positions."""
        from tensorflow_probability import distributions as tfd

        made = self.distribution(outputs)
        leaves = _leaves(made)
        for leaf in leaves:
            if not isinstance(leaf, tfd.Distribution):
                raise TypeError(
                    "`likelihood` must return a TFP distribution or a nest of them. "
                    f"Received: likelihood returned {type(leaf).__name__}"
                )
        known = [_closed_form(leaf, tfd) for leaf in leaves]
        found: list[Term] = [term for term in known if term is not None]
        if len(leaves) == 1 and not found:
            found = [_AnyDistribution(self.distribution, outputs)]
            found[0].takes_nests = isinstance(leaves[0], tfd.JointDistribution)
        if len(found) != len(leaves):
            raise ValueError(
                "A nest of distributions may hold Categorical, Bernoulli and Normal only; use a "
                f"joint distribution. Received: {[type(leaf).__name__ for leaf in leaves]}"
            )
        for leaf, term in zip(leaves, found, strict=True):
            if isinstance(leaf.batch_shape, tf.TensorShape):
                term.loss_rank = leaf.batch_shape.rank
        if isinstance(made, Mapping) and len(made) == len(found):
            for key, term in zip(sorted(made), found, strict=True):
                term.key, term.needs_key = key, list(made) != sorted(made)
        return found


def _leaves(made: Any) -> list[Any]:
    """The distributions in a nest, or a single one."""
    from tensorflow_probability import distributions as tfd

    return [made] if isinstance(made, tfd.Distribution) else tf.nest.flatten(made)


class _AnyDistribution(Term):
    """Any TFP distribution: `eta` are the outputs, the score is a gradient, TFP draws labels."""

    def __init__(self, distribution: Callable[[Any], Any], outputs: Any):
        super().__init__(*tf.nest.flatten(outputs))
        self.distribution = distribution
        self.outputs = outputs

    @property
    def num_columns(self) -> NoReturn:
        """Refused: the expectation over labels has no closed form here."""
        raise ValueError(
            "`labels='expected'` needs a Categorical, Bernoulli or Normal likelihood; use "
            f"labels='sampled'. Received: {type(self.distribution(self.outputs)).__name__}"
        )

    def draw(self, key: tf.Tensor, first: tf.Tensor, num_samples: int) -> Any:
        """Draws by TFP, with one seed for a batch: they depend on the batch size."""
        (made,) = _leaves(self.distribution(self.outputs))
        return made.sample(num_samples, seed=seed_pair(key, first))

    def score(self, y: Any) -> Tensors:
        """Gradient of the log-density with respect to the outputs, by differentiation."""
        with tf.GradientTape() as tape:
            outputs = tf.nest.map_structure(tf.identity, self.outputs)
            tape.watch(tf.nest.flatten(outputs))
            log_prob = tf.reduce_sum(self._log_prob(outputs, y))
        return tape.gradient(
            log_prob, tf.nest.flatten(outputs), unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    def log_prob(self, y: Any) -> tf.Tensor:
        """Log-density summed over all axes except that of examples."""
        log_probs = self.log_probs(y)
        return tf.reduce_sum(tf.reshape(log_probs, [tf.shape(log_probs)[0], -1]), 1)

    def log_probs(self, y: Any) -> tf.Tensor:
        """Log-density of every member of the distribution's batch."""
        return self._log_prob(self.outputs, y)

    def _log_prob(self, outputs: Any, y: Any) -> tf.Tensor:
        """Log-density of labels, whose shape is checked: TFP would broadcast other shapes."""
        (made,) = _leaves(self.distribution(outputs))
        y = tf.nest.map_structure(lambda part: without_masked(part, self.masks), y)
        if made.dtype in (tf.float32, tf.float64):  # labels may be integers or float64
            y = tf.cast(y, made.dtype)
        log_prob = without_masked(made.log_prob(y), self.masks)
        # A joint distribution may have a batch shape for each part.
        if isinstance(made.batch_shape, tf.TensorShape) and log_prob.shape != made.batch_shape:
            raise ValueError(
                f"{type(made).__name__} labels must have the distribution's shape "
                f"{(*made.batch_shape, *made.event_shape)}. "
                f"Received: y.shape={tuple(y.shape)}"
            )
        return log_prob

    def column(self, k: int | tf.Tensor) -> Tensors:
        """Refused, see `num_columns`."""
        return self.num_columns

    def multiply(self, tangents: Tensors) -> Tensors:
        """Refused, see `num_columns`."""
        return self.num_columns


def _closed_form(distribution: Any, tfd: Any) -> Term | None:
    """The term of a TFP distribution of a known family, also inside `Independent`; else None."""
    while isinstance(distribution, tfd.Independent):
        distribution = distribution.distribution
    if type(distribution) in (tfd.Categorical, tfd.OneHotCategorical):
        return Categorical(distribution.logits_parameter())
    if type(distribution) is tfd.Bernoulli:
        return Bernoulli(distribution.logits_parameter())
    if type(distribution) is tfd.Normal:
        loc, scale = distribution.loc, distribution.scale
        shape = tf.broadcast_static_shape(loc.shape, scale.shape)
        return Normal(tf.broadcast_to(loc, shape), scale)
    return None

"""Base class of layers whose weights have a distribution: parameters, prior and price."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_flag
from keras_infobottleneck.introspection.contents import numbered
from keras_infobottleneck.layers.noisy_layer import NoisyWrapper
from keras_infobottleneck.layers.posteriors import Posterior
from keras_infobottleneck.layers.prior_scales import GRIDS, chosen_scales

__all__ = ["AnchoredPrior", "GaussianPrior", "PricedWeights", "gaussian_priors", "nats_of"]


class AnchoredPrior(keras.layers.Layer):
    """Location and log-scale of a frozen Gaussian prior for each of several weight tensors.

    Its variables are created when the prior is anchored, or when an anchored layer is loaded.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        # Marked as built, because Keras traces a model with unbuilt layers again at every `fit`.
        self.built = True

    def build(self, shapes: Iterable[tuple[int, ...]]) -> None:
        """Creates the two variables for every shape in `shapes`, a tuple of tuples."""
        self.loc: list[keras.Variable] = []
        self.spread: list[keras.Variable] = []
        for index, shape in enumerate(shapes):
            for name, variables in (("loc", self.loc), ("log_scale", self.spread)):
                variables.append(
                    self.add_weight(
                        shape=shape,
                        initializer="zeros",
                        name=f"{name}_{index}",
                        dtype="float32",
                        autocast=False,
                        trainable=False,
                    )
                )

    def load_own_variables(self, store: Any) -> None:
        """Loads the prior; it must be anchored both in the file and in the layer, or in neither."""
        num_saved = len(store.keys())
        if num_saved != len(self.weights):
            raise ValueError(
                "The prior must be anchored both in the file and in the layer, or in neither: "
                "anchor as it was before the weights were saved. "
                f"Received: a file with {num_saved} variables of it, a layer with "
                f"{len(self.weights)}"
            )
        super().load_own_variables(store)

    def values_of(
        self, variables: Iterable[keras.Variable]
    ) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Pairs of the weights, then their log-scales, with the values of the anchored prior."""
        kept = [*self.loc, *self.spread]
        return [(v, tf.cast(k.value, v.dtype)) for v, k in zip(variables, kept, strict=True)]

    def assign(self, index: int, loc: tf.Tensor, spread: tf.Tensor) -> None:
        """Sets the frozen prior of weight tensor `index`."""
        self.loc[index].assign(loc)
        self.spread[index].assign(spread + 0.0 * loc)


class GaussianPrior(NamedTuple):
    """The prior of one weight tensor.

    Attributes:
        loc, log_scale: Float32, scalars or of shapes that broadcast to the weight's.
        nats: Price of having chosen this scale after seeing the data.
    """

    loc: tf.Tensor
    log_scale: tf.Tensor
    nats: tf.Tensor


def gaussian_priors(
    parameters: Sequence[tuple[tf.Tensor, tf.Tensor]],
    prior_scale: float | str | None,
    anchor: AnchoredPrior | None = None,
) -> list[GaussianPrior | None]:
    """A prior for each weight tensor; None for the optimal scale without a price.

    Args:
        parameters: Pairs of mean and log-scale of the posterior.
        prior_scale: A number, None, or one of `GRIDS`.
        anchor: The `AnchoredPrior`, if the prior is anchored.
    """
    zero = tf.zeros([])
    if anchor is not None:
        return [
            GaussianPrior(tf.convert_to_tensor(loc), tf.convert_to_tensor(spread), zero)
            for loc, spread in zip(anchor.loc, anchor.spread, strict=True)
        ]
    if prior_scale is None:
        return [None for _ in parameters]
    if prior_scale in GRIDS:
        per_unit = prior_scale == "grid_per_unit"
        choices = [chosen_scales(loc, spread, per_unit) for loc, spread in parameters]
        return [GaussianPrior(zero, choice.log_scale, choice.nats) for choice in choices]
    return [GaussianPrior(zero, tf.constant(np.log(prior_scale), tf.float32), zero)] * len(
        parameters
    )


def nats_of(
    posterior: Posterior,
    parameters: Sequence[tuple[tf.Tensor, tf.Tensor]],
    priors: Sequence[GaussianPrior | None],
    dtype: str,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Total nats of the weights given the prior's scales, and total nats of the scales.

    Args:
        posterior: The posterior, as returned by `posterior_of`.
        parameters: Pairs of mean and spread of each weight tensor.
        priors: Their priors; None for the optimal scale without a price.
        dtype: Type of the sums.
    """
    zero = tf.zeros([], dtype)
    weights, scales = [zero], [zero]
    for (loc, spread), prior in zip(parameters, priors, strict=True):
        pair = None
        if prior is not None:
            pair = tf.cast(prior.loc, dtype), tf.cast(prior.log_scale, dtype)
            scales.append(tf.cast(prior.nats, dtype))
        weights.append(posterior.kl_divergence(tf.cast(loc, dtype), tf.cast(spread, dtype), pair))
    return tf.add_n(weights), tf.add_n(scales)


class PricedWeights(NoisyWrapper):
    """Abstract: a layer whose weights have a distribution, with a price in nats.

    A subclass sets `posterior_name` and `prior_scale` in its constructor and calls
    `_set_posterior` there. In `build` it makes `_spread`, with one entry for each of its
    `variational_weights`.
    """

    noise = "weights"
    posterior_name: str
    prior_scale: float | str | None
    _spread: list[keras.Variable]

    def _set_posterior(self, posterior: Posterior) -> None:
        """Sets the form of the posterior, and prepares for an anchored prior."""
        self._posterior = posterior
        self._anchor = AnchoredPrior(name="anchored_prior")
        self.anchored = False

    def _by_path(self, values: Iterable) -> dict:
        """A value for each of `variational_weights`, by its path."""
        paths = numbered(weight.path for weight in self.variational_weights)
        return dict(zip(paths, values, strict=True))

    def _parameters(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Pairs of mean and spread, float32."""
        if not self.built:
            raise ValueError(
                "The layer has no weights yet; build it or call it on an input first. "
                f"Received: {self!r}"
            )
        weights = self.variational_weights
        if len(weights) != len(self._spread):
            raise ValueError(
                "`layer` must keep the weights it was built with: quantize it, or give it LoRA, "
                f"after make_deterministic. Received: layer={self.layer!r} with {len(weights)} "
                f"weights to draw, {len(self._spread)} scales"
            )
        return [
            (tf.cast(loc.value, tf.float32), tf.convert_to_tensor(spread.value))
            for loc, spread in zip(weights, self._spread, strict=True)
        ]

    def _priors(self, prior_scale: float | str | None) -> list[GaussianPrior | None]:
        """The prior of every weight tensor; None for the optimal scale without a price."""
        anchor = self._anchor if self.anchored else None
        return gaussian_priors(self._parameters(), prior_scale, anchor)

    def kl_divergence(self, dtype: str = "float32") -> tf.Tensor:
        """Information in the weights, including the price of scales on a grid: total nats.

        Args:
            dtype: ``"float64"`` keeps the digits of a divergence that is small beside its terms.
        """
        return tf.add_n(self._nats(self.prior_scale, dtype))

    def code_length(self, dtype: str = "float32") -> tuple[tf.Tensor, tf.Tensor]:
        """Nats of the weights and of the prior's scales; optimal scales are moved to the grid."""
        is_free = self.prior_scale is None and self.posterior_name == "gaussian"
        return self._nats("grid" if is_free else self.prior_scale, dtype)

    def _nats(self, prior_scale: float | str | None, dtype: str) -> tuple[tf.Tensor, tf.Tensor]:
        """Total nats of the weights given the prior's scales, and total nats of the scales."""
        return nats_of(self._posterior, self._parameters(), self._priors(prior_scale), dtype)

    def at_prior(self) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Each weight, then each spread, with its value in the anchored prior."""
        return self._anchor.values_of([*self.variational_weights, *self._spread])

    @property
    def prior_weights(self) -> list[keras.Variable]:
        """Variables of the anchored prior; none before it is anchored."""
        return list(self._anchor.weights)

    @property
    def prior_is_fixed(self) -> bool:
        """Whether the prior is fixed during training, or the choice of its scales is priced."""
        return self.anchored or self.prior_scale is not None

    def posterior(self) -> dict:
        """TFP distributions of all variational weights by variable path, made on request.

        Log-space posteriors are distributions of the magnitude ``|w|``; the sign is that of the
        mean.
        """
        return self._by_path(self._posterior.distribution(*pair) for pair in self._parameters())

    def prior(self) -> dict:
        """TFP priors of all variational weights by variable path, made on request."""
        pairs = zip(self._parameters(), self._priors(self.prior_scale), strict=True)
        return self._by_path(
            self._posterior.prior_distribution(*pair, prior and prior[:2]) for pair, prior in pairs
        )

    def signal_to_noise(self) -> dict:
        """``|mean| / standard deviation`` of all variational weights, by variable path."""
        moments = [self._posterior.mean_and_variance(*pair) for pair in self._parameters()]
        return self._by_path(
            tf.where(mean == 0.0, 0.0, tf.abs(mean) / tf.sqrt(variance))
            for mean, variance in moments
        )

    def make_room_for_prior(self) -> None:
        """Creates the variables of an anchored prior, before it is loaded or set."""
        if self.built and not self.anchored:
            self._anchor.build(tuple(tuple(weight.shape) for weight in self._spread))
        self.anchored = True

    def anchor_prior(self, scale: bool = True) -> None:
        """Moves the prior to the current posterior and freezes it there.

        Args:
            scale: Whether the prior also takes the posterior's scale, weight by weight; otherwise
                it keeps its present scale.
        """
        check_flag("scale", scale)
        if self.posterior_name != "gaussian":
            raise ValueError(
                "Only a Gaussian prior can be moved to the posterior. "
                f"Received: posterior={self.posterior_name!r}"
            )
        parameters = self._parameters()
        spreads = [spread for _, spread in parameters]
        if not scale:
            spreads = [tf.math.log(prior.scale) for prior in self.prior().values()]
        self.make_room_for_prior()
        for index, ((loc, _), spread) in enumerate(zip(parameters, spreads, strict=True)):
            self._anchor.assign(index, loc, spread)

"""A prior that was a posterior: kept apart, so that a layer without one carries no such weights."""

import keras
import tensorflow as tf

__all__ = ["AnchoredPrior"]


class AnchoredPrior(keras.layers.Layer):
    """Location and log-scale of a frozen Gaussian prior for each of several weight tensors.

    It has no variables until it is built, which anchoring or loading an anchored layer does.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Without variables there is nothing to build: Keras would trace a model that has unbuilt
        # layers once more at every `fit`.
        self.built = True

    def build(self, shapes):
        """Create the two tensors for every shape in `shapes`, a tuple of tuples."""
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

    def load_own_variables(self, store):
        """Load the prior, if there is one on either side or on neither."""
        num_saved = len(store.keys())
        if num_saved != len(self.weights):
            raise ValueError(
                "The prior must be anchored both in the file and in the layer, or in neither: "
                "anchor as it was before the weights were saved. "
                f"Received: a file with {num_saved} variables of it, a layer with "
                f"{len(self.weights)}"
            )
        super().load_own_variables(store)

    def values_of(self, variables) -> list:
        """Pairs of the weights, then their log-scales, with the values that are kept of them."""
        kept = [*self.loc, *self.spread]
        return [(v, tf.cast(k.value, v.dtype)) for v, k in zip(variables, kept, strict=True)]

    def assign(self, index: int, loc, spread):
        """Freeze the prior of weight tensor `index`."""
        self.loc[index].assign(loc)
        self.spread[index].assign(spread + 0.0 * loc)

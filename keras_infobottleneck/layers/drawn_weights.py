"""Which weights of a layer are drawn, and a layer called with drawn weights in their place."""

import keras

from keras_infobottleneck.introspection.contents import all_layers, own_weights
from keras_infobottleneck.layers.linear_part import ADDED_LOSS

__all__ = ["DrawnWeights", "weights_to_draw"]

# Weights that stay deterministic: they are few, and noise on them costs accuracy for no nats.
DETERMINISTIC = ("bias", "beta", "gamma", "scale")


def weights_to_draw(layer: keras.layers.Layer, variational_bias: bool) -> list[keras.Variable]:
    """The weights of a layer that get a distribution, frozen ones included, each once."""
    # Not `trainable_weights`: frozen layers still draw. A weight held twice is one weight.
    created_trainable = {
        id(weight): weight for inner in all_layers(layer) for weight in own_weights(inner)
    }
    return [
        weight
        for weight in created_trainable.values()
        if variational_bias or not (weight.name in DETERMINISTIC or weight.name.endswith("_bias"))
    ]


class DrawnWeights(keras.StatelessScope):
    """Inside, some variables have the values given; what the layer assigns is kept for later.

    What a layer assigns are recurrent states, moving statistics and seeds; Keras would drop them
    with the scope. Call `assign_updates` after it.

    Args:
        values: pairs of a Keras variable and the tensor that stands for it.

    Raises:
        ValueError: when a layer adds a loss inside, which would be lost.
    """

    def __init__(self, values):
        super().__init__(values, collect_losses=True)
        self._updates = {}

    def add_loss(self, loss):
        """Refuse: the loss would be lost with the scope."""
        raise ValueError(ADDED_LOSS.format(loss))

    def add_update(self, update):
        """Remember what the layer assigns."""
        super().add_update(update)
        self._updates[id(update[0])] = update

    def get_current_value(self, variable):
        """The value given or assigned, else that of the scope around this one."""
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            return self.original_scope.get_current_value(variable)
        return value

    def assign_updates(self):
        """Give the variables that the layer assigned their new values."""
        for variable, value in self._updates.values():
            variable.assign(value)

"""A layer called with drawn weights in the place of its own."""

import keras

from keras_infobottleneck.layers.linear_part import ADDED_LOSS

__all__ = ["DrawnWeights"]


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

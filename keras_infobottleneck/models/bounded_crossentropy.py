"""A cross-entropy in [0, 1], of which a mean over examples can be certified."""

from typing import Any

import keras

from keras_infobottleneck import pac_bayes
from keras_infobottleneck.arguments import check_flag, check_probability, check_text

__all__ = ["BoundedCrossentropy"]


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class BoundedCrossentropy(keras.losses.Loss):
    """``-log max(p(label), min_probability) / log(1 / min_probability)``, between 0 and 1.

    The loss of the PAC-Bayes objectives of `InformationBottleneckModel`. Labels are classes
    ``[batch]`` or one-hot rows ``[batch, classes]``.

    Args:
        from_logits: whether the network ends in logits rather than probabilities.
        min_probability: the floor, beyond which nothing is charged (and nothing is learned).
        reduction, name, dtype: as of `keras.losses.Loss`.

    References:
        Perez-Ortiz et al. (2021), arXiv 2007.12911, section 5.
    """

    def __init__(
        self,
        from_logits: bool = False,
        min_probability: float = 1e-4,
        reduction: str = "sum_over_batch_size",
        name: str = "bounded_crossentropy",
        dtype: Any = None,
    ):
        check_text("name", name, optional=True)
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        self.from_logits = bool(check_flag("from_logits", from_logits))
        self.min_probability = check_probability("min_probability", min_probability)

    def call(self, y_true, y_pred):
        """The loss of every example."""
        return pac_bayes.bounded_crossentropy(
            pac_bayes.classes(y_true, y_pred.shape[-1]),
            y_pred,
            from_logits=self.from_logits,
            min_probability=self.min_probability,
        )

    def get_config(self) -> dict:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "min_probability": self.min_probability,
        }

"""A cross-entropy in [0, 1], whose mean over examples can be certified."""

from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck import pac_bayes
from keras_infobottleneck.arguments import check_flag, check_probability, check_text

__all__ = ["BoundedCrossentropy"]


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class BoundedCrossentropy(keras.losses.Loss):
    """Cross-entropy scaled to [0, 1], as PAC-Bayes bounds require.

    The loss is ``-log max(p(label), min_probability) / log(1 / min_probability)``.

    It is the loss for the PAC-Bayes objectives of `InformationBottleneckModel`. Labels are classes
    ``[batch]`` or one-hot rows ``[batch, classes]``; scores are ``[batch, classes]``, with two
    columns for two classes.

    Args:
        from_logits: Whether the network ends in logits rather than probabilities.
        min_probability: The floor; lower probabilities cost no more, and have no gradient.
        reduction, name, dtype: As in `keras.losses.Loss`.

    References:
        Perez-Ortiz et al. (2021), arXiv 2007.12911, section 5.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        loss = kib.models.BoundedCrossentropy(from_logits=True, min_probability=1e-4)
        print(float(loss(np.array([0]), np.array([[-100.0, 100.0]]))))  # surely wrong: the largest
        ```

        ```text
        1.0
        ```
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

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of every example."""
        if len(y_pred.shape) < 2 or y_pred.shape[-1] == 1:
            raise ValueError(
                "BoundedCrossentropy needs a score for each class, two for two classes. "
                f"Received: y_pred of shape {tuple(y_pred.shape)}"
            )
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

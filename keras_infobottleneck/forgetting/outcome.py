"""The result of `forget`: nats left in the weights; losses and accuracies before and after."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras_infobottleneck.results.estimate import Estimate
from keras_infobottleneck.results.result import Result

__all__ = ["Forgetting"]


@dataclasses.dataclass(frozen=True, repr=False)
class Forgetting(Result):
    """Effect of `kib.forget` on a network, before and after.

    Losses are minus log-probabilities of labels, in nats per example; accuracies and attacks
    are None if they do not apply.

    Attributes:
        nats: How much can still be read about the forgotten examples from the weights: divergence
            between the distributions of weights after forgetting, for the network that was trained
            with them and for one that was not, by the remaining gradient.
        nats_before: The same with the noise alone, without the step.
        forgotten_loss_before, forgotten_loss: Mean loss of the examples to be forgotten.
        retained_loss_before, retained_loss: Mean loss of the examples that are kept.
        forgotten_accuracy_before, forgotten_accuracy: Accuracy of a classifier.
        retained_accuracy_before, retained_accuracy: Accuracy of a classifier.
        attack_before, attack: Area under the ROC curve of distinguishing forgotten examples from
            unseen ones by their loss, with its standard error; 0.5 is chance.
        descent: By how much a Newton step would have lowered the mean loss of all
            examples before, in nats: 0 at a minimum.
        step_norm: Norm of the step of the weights.
        noise_norm: Norm of the noise that was added to them.
        price: Price of the noise, as given.
        shift: Shift added to the Fisher matrix.
        structure: Structure of the Fisher matrix.
        num_forgotten, num_retained: Numbers of examples.
        seed: Seed of the noise.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
        y = x.sum(1, keepdims=True)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1), loss="mse")
        model.fit(x, y, epochs=20, verbose=0)
        _, result = kib.forget(model, (x[:5], y[:5]), (x[5:], y[5:]), price=1e-6)
        print(result.num_forgotten, result.retained_accuracy)  # a regression has no accuracy
        ```

        ```text
        5 None
        ```
    """

    nats: float
    nats_before: float
    forgotten_loss_before: float
    forgotten_loss: float
    retained_loss_before: float
    retained_loss: float
    forgotten_accuracy_before: float | None
    forgotten_accuracy: float | None
    retained_accuracy_before: float | None
    retained_accuracy: float | None
    attack_before: Estimate | None
    attack: Estimate | None
    descent: float
    step_norm: float
    noise_norm: float
    price: float
    shift: float
    structure: str
    num_forgotten: int
    num_retained: int
    seed: int

    def _columns(self) -> dict[str, Any]:
        names = ["forgotten_loss", "retained_loss", "forgotten_accuracy", "retained_accuracy"]
        names += ["attack", "nats"]
        return {
            "measure": names,
            "before": [getattr(self, f"{name}_before") for name in names],
            "after": [getattr(self, name) for name in names],
        }

    def __repr__(self) -> str:
        def both(name: str) -> str:
            before, after = getattr(self, f"{name}_before"), getattr(self, name)
            return "none" if after is None else f"{float(before):.4g} -> {float(after):.4g}"

        return (
            f"Forgetting({self.num_forgotten} of {self.num_forgotten + self.num_retained} "
            f"examples; nats {both('nats')}, forgotten loss {both('forgotten_loss')}, "
            f"retained loss {both('retained_loss')}, forgotten accuracy "
            f"{both('forgotten_accuracy')}, retained accuracy {both('retained_accuracy')}, "
            f"attack {both('attack')})"
        )

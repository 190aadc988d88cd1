"""The losses that a model was compiled with, and the labels and outputs that they expect."""

from __future__ import annotations

import inspect
from typing import Any

import keras

__all__ = ["compiled_losses", "kind_of_labels", "only_loss", "takes_logits"]

KINDS_OF_LABELS = {
    "sparsecategoricalcrossentropy": "sparse",
    "categoricalcrossentropy": "rows",
    "binarycrossentropy": "bits",
}


def compiled_losses(model: keras.Model) -> list[Any]:
    """Losses of all outputs as objects or functions; empty if the model has none."""
    given = keras.tree.flatten(getattr(model, "loss", None))
    return [keras.losses.get(loss) for loss in given if loss is not None]


def only_loss(model: keras.Model) -> Any:
    """The loss of a model with exactly one, else None."""
    losses = compiled_losses(model)
    return losses[0] if len(losses) == 1 else None


def kind_of_labels(loss: Any) -> str | None:
    """The labels of a cross-entropy: "sparse" (numbers), "rows" (one-hot) or "bits", else None."""
    name = getattr(loss, "__name__", type(loss).__name__)
    return KINDS_OF_LABELS.get(name.lower().replace("_", ""))


def takes_logits(loss: Any) -> bool | None:
    """Whether a loss expects logits; None if it does not say.

    A loss that Keras finds by name is a function, which says it by the default of its argument.
    """
    if isinstance(loss, keras.losses.Loss):
        said = loss.get_config().get("from_logits")
    else:
        try:
            argument = inspect.signature(loss).parameters.get("from_logits")
        except (TypeError, ValueError):  # not a function, or a built-in without a signature
            return None
        said = argument.default if argument is not None else None
    return said if isinstance(said, bool) else None

"""What a model was compiled with: its losses, and what they take."""

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
    """Losses of all outputs, names and classes looked up; none of a model that has none."""
    given = keras.tree.flatten(getattr(model, "loss", None))
    return [keras.losses.get(loss) for loss in given if loss is not None]


def only_loss(model: keras.Model) -> Any:
    """The loss of a model that was compiled with one, None of every other."""
    losses = compiled_losses(model)
    return losses[0] if len(losses) == 1 else None


def kind_of_labels(loss: Any) -> str | None:
    """Labels of a cross-entropy: "sparse" for numbers, "rows" for one-hot rows, "bits"."""
    name = getattr(loss, "__name__", type(loss).__name__)
    return KINDS_OF_LABELS.get(name.lower().replace("_", ""))


def takes_logits(loss: Any) -> bool | None:
    """Whether a loss takes logits, None where it does not say.

    What Keras looks up by name is a function, which says it by the default of its argument.
    """
    if isinstance(loss, keras.losses.Loss):
        said = loss.get_config().get("from_logits")
    else:
        try:
            argument = inspect.signature(loss).parameters.get("from_logits")
        except (TypeError, ValueError):  # no function, or one of C without a signature
            return None
        said = argument.default if argument is not None else None
    return said if isinstance(said, bool) else None

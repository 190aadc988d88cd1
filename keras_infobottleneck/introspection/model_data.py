"""The reader of data for a model, which refuses data that the model does not accept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import check_model
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.replicas import creating_weights_of

__all__ = ["batches_for", "float_types"]

# Exceptions of Keras, TensorFlow and Python on inputs of the wrong form. Others are passed on.
DATA_ERRORS = (
    *(AttributeError, LookupError, TypeError, ValueError),
    *(tf.errors.InvalidArgumentError, tf.errors.UnimplementedError),
)


@dataclass(frozen=True)
class _Form:
    """The shape of an array, whose first axis is examples, and its dtype if known."""

    shape: tuple[int | None, ...]
    dtype: str | None

    def __str__(self) -> str:
        sizes = ", ".join(["batch", *("any" if n is None else str(n) for n in self.shape[1:])])
        return f"[{sizes}] of {self.dtype}" if self.dtype else f"[{sizes}]"

    def takes(self, other: _Form) -> bool:
        """Whether an array of another form fits. A different rank is left to Keras to convert."""
        pairs = zip(self.shape[1:], other.shape[1:], strict=False)
        same_rank = len(self.shape) == len(other.shape)
        return same_rank and all(mine in (None, its) for mine, its in pairs)


def batches_for(
    model: keras.Model,
    data: Any,
    batch_size: int | None = None,
    *,
    name: str = "data",
    **options: Any,
) -> Batches:
    """The reader of data for a model; the model is run on one example of every shape in the data.

    A model that has no weights yet is built by this.

    Args:
        model: Any Keras model.
        data, batch_size, name, options: As in `Batches`.

    Raises:
        TypeError: `model` is not a Keras model, the data are of another kind, or text is given for
            numbers or the reverse.
        ValueError: The data are refused by `Batches`, or the model does not accept the inputs.
    """
    check_model("model", model)
    wanted = _forms_of(model)

    def check(x: Any) -> None:
        forms = keras.tree.map_structure(_form, x)
        compiled(model, ("takes", repr(forms)), lambda _: _run(model, x, forms, wanted, name))

    takes = "" if wanted is None else _words(wanted)
    batches = Batches(data, batch_size, name=name, takes=takes, check=check, **options)
    batches.first_inputs()
    return batches


def float_types(model: keras.Model, inputs: Any, *, name: str) -> list[tf.DType]:
    """The float type of each input, for models that are differentiated with respect to inputs.

    Integers are cast, as Keras does, if the model declares float inputs. If it declares nothing,
    only bytes are cast, in which images are stored.

    Args:
        model: Any Keras model.
        inputs: Inputs of a few examples.
        name: Name of the argument, for the message.

    Raises:
        TypeError: An input has no derivative.
    """
    wanted = _forms_of(model)
    leaves, forms = tf.nest.flatten(inputs), keras.tree.flatten(wanted)
    taken = [form.dtype if form is not None else None for form in forms]
    if len(taken) != len(leaves):
        taken = [None] * len(leaves)
    given = [tf.as_dtype(leaf.dtype) for leaf in leaves]
    found = []
    for mine, its in zip(taken, given, strict=True):
        float_type = tf.as_dtype(mine) if mine else tf.float32 if its == tf.uint8 else its
        found.append(its if its.is_floating and float_type.is_floating else float_type)
    if not all(kind.is_floating for kind in found):
        here, there = (", ".join(kind.name for kind in each) for each in (given, found))
        raise TypeError(f"`{name}` must be floats. Received: {name}={here} for a model of {there}")
    return found


def _run(model: keras.Model, x: Any, forms: Any, wanted: Any, name: str) -> bool:
    """Runs the model on one example.

    Raises:
        TypeError, ValueError: The inputs do not fit; the message says what the model accepts.
    """
    takes = "" if wanted is None else f": {_words(wanted)}"
    must = f"`{name}` must hold inputs that the model takes{takes}"
    if _mixes_text(forms, wanted):
        raise TypeError(f"{must}. Received: {_words(forms)}")
    if _is_miscounted(forms, wanted):
        # Keras silently uses the first arrays of a list, or wrong ones of a dictionary.
        labels = "; labels stand apart, `(x, y)`" if isinstance(forms, list) else ""
        raise ValueError(f"{must}{labels}. Received: {_words(forms)}")
    try:
        with creating_weights_of(model):
            rows = keras.tree.map_structure(lambda a: tf.repeat(a, _rows(wanted), 0), x)
            model(rows, training=False)
    except DATA_ERRORS as error:
        if any(form.dtype == "string" for form in keras.tree.flatten(forms)) and not _takes_text(
            wanted
        ):
            raise TypeError(f"{must}. Received: {_words(forms)}") from error
        told = wanted is not None and not _fits(forms, wanted)
        cause = "" if told else f", on which it raised {_cause(error)}"
        raise ValueError(f"{must}. Received: {_words(forms)}{cause}") from error
    return True


def _forms_of(model: keras.Model) -> Any:
    """The forms that the model accepts, in its structure; None if it does not declare them."""
    try:
        return keras.tree.map_structure(_form, model.input)
    except (AttributeError, ValueError):
        pass  # no graph, or a sequential model that was not built
    try:
        inputs = keras.tree.map_structure(_form, model.inputs or [])
    except (AttributeError, ValueError):
        inputs = []
    if inputs:
        return inputs[0] if len(inputs) == 1 else inputs
    shape = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if not shape or not all(size is None or isinstance(size, int) for size in shape):
        return None
    return _Form((None, *shape[1:]), None)


def _form(array: Any) -> _Form:
    return _Form(tuple(array.shape), keras.backend.standardize_dtype(array.dtype))


def _words(forms: Any) -> str:
    """The forms as text, in their structure."""
    if isinstance(forms, Mapping):
        return "{" + ", ".join(f"{key!r}: {_words(form)}" for key, form in forms.items()) + "}"
    if isinstance(forms, list | tuple) and len(forms) > 1:
        return f"a list of {len(forms)}, " + " and ".join(map(_words, forms))
    return str(forms[0] if isinstance(forms, list | tuple) else forms)


def _rows(wanted: Any) -> int:
    """Number of examples in a test batch: 1, unless the model has a fixed batch size."""
    forms = [] if wanted is None else keras.tree.flatten(wanted)
    return (forms[0].shape[0] or 1) if forms else 1


def _pairs(forms: Any, wanted: Any) -> list[tuple[_Form, _Form]]:
    """Pairs of given and wanted forms, as far as it is known which belong together."""
    if wanted is None or (isinstance(forms, Mapping) and not isinstance(wanted, Mapping)):
        return []
    return list(zip(keras.tree.flatten(forms), keras.tree.flatten(wanted), strict=False))


def _mixes_text(forms: Any, wanted: Any) -> bool:
    """Whether text is given for numbers, or numbers for text."""
    pairs = _pairs(forms, wanted)
    return any((a.dtype == "string") != (b.dtype == "string") for a, b in pairs if b.dtype)


def _takes_text(wanted: Any) -> bool:
    """Whether the model declares a text input."""
    forms = [] if wanted is None else keras.tree.flatten(wanted)
    return any(form.dtype == "string" for form in forms)


def _is_miscounted(forms: Any, wanted: Any) -> bool:
    """Whether the inputs differ from the model's in their number or their keys."""
    if wanted is None:
        return False
    if isinstance(forms, Mapping):  # if the model's inputs are a list, Keras selects by name
        return isinstance(wanted, Mapping) and forms.keys() != wanted.keys()
    return len(keras.tree.flatten(forms)) != len(keras.tree.flatten(wanted))


def _fits(forms: Any, wanted: Any) -> bool:
    return all(b.takes(a) for a, b in _pairs(forms, wanted))


def _cause(error: Exception) -> str:
    """Type and first line of an exception, without the frames that TensorFlow and Keras add."""
    text = re.sub(r"\x1b\[\d*m|\{\{.*?\}\}|\[Op:.*?\].*", "", str(error))
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception encountered")]
    if lines and lines[0].startswith("in user code"):
        lines = lines[-1:]
    words = lines[0] if lines else "no words"
    return f"{type(error).__name__}: {words[:160]}"

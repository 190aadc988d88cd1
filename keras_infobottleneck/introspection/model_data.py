"""Data as a model takes them: the reader made for a model, which refuses what it does not take."""

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

# What Keras, TensorFlow and Python raise on inputs of another form; others are the model's own.
DATA_ERRORS = (
    *(AttributeError, LookupError, TypeError, ValueError),
    *(tf.errors.InvalidArgumentError, tf.errors.UnimplementedError),
)


@dataclass(frozen=True)
class _Form:
    """An array by its shape, whose first axis is examples, and the type of its entries if known."""

    shape: tuple[int | None, ...]
    dtype: str | None

    def __str__(self) -> str:
        sizes = ", ".join(["batch", *("any" if n is None else str(n) for n in self.shape[1:])])
        return f"[{sizes}] of {self.dtype}" if self.dtype else f"[{sizes}]"

    def takes(self, other: _Form) -> bool:
        """Whether an array of another form fits; of another rank Keras may make it fit."""
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
    """The reader of data for a model, which is run on an example of every shape that they have.

    A model that has no weights yet makes them by that.

    Args:
        model: any Keras model.
        data, batch_size, name, options: as of `Batches`.

    Raises:
        TypeError: not a Keras model, data of another kind, or text for numbers and the reverse.
        ValueError: what `Batches` refuses, and inputs that the model does not take.
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
    """The type of each input along which a model is differentiated, floats all of them.

    Whole numbers are cast, as Keras does, where the model says that it takes floats. Where it does
    not say, only bytes are cast, in which images are stored.

    Args:
        model: any Keras model.
        inputs: of a few examples.
        name: of the argument, for a refusal.

    Raises:
        TypeError: inputs that have no derivative.
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
        TypeError, ValueError: in one sentence, what the model takes and what it was given.
    """
    takes = "" if wanted is None else f": {_words(wanted)}"
    must = f"`{name}` must hold inputs that the model takes{takes}"
    if _mixes_text(forms, wanted):
        raise TypeError(f"{must}. Received: {_words(forms)}")
    if _is_miscounted(forms, wanted):
        # Keras takes the first arrays of a list, or the wrong ones of a dictionary, without a word.
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
    """What the model takes, in its structure; None where it does not say."""
    try:
        return keras.tree.map_structure(_form, model.input)
    except (AttributeError, ValueError):
        pass  # no graph, or a sequential model that was never called
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
    """Forms in their structure, in words."""
    if isinstance(forms, Mapping):
        return "{" + ", ".join(f"{key!r}: {_words(form)}" for key, form in forms.items()) + "}"
    if isinstance(forms, list | tuple) and len(forms) > 1:
        return f"a list of {len(forms)}, " + " and ".join(map(_words, forms))
    return str(forms[0] if isinstance(forms, list | tuple) else forms)


def _rows(wanted: Any) -> int:
    """Examples in the batches that a model takes: any number, unless it was made for one."""
    forms = [] if wanted is None else keras.tree.flatten(wanted)
    return (forms[0].shape[0] or 1) if forms else 1


def _pairs(forms: Any, wanted: Any) -> list[tuple[_Form, _Form]]:
    """What goes with what, where that is known."""
    if wanted is None or (isinstance(forms, Mapping) and not isinstance(wanted, Mapping)):
        return []
    return list(zip(keras.tree.flatten(forms), keras.tree.flatten(wanted), strict=False))


def _mixes_text(forms: Any, wanted: Any) -> bool:
    """Whether text stands for numbers, or numbers for text."""
    pairs = _pairs(forms, wanted)
    return any((a.dtype == "string") != (b.dtype == "string") for a, b in pairs if b.dtype)


def _takes_text(wanted: Any) -> bool:
    """Whether the model says that it takes text."""
    forms = [] if wanted is None else keras.tree.flatten(wanted)
    return any(form.dtype == "string" for form in forms)


def _is_miscounted(forms: Any, wanted: Any) -> bool:
    """Whether there are other inputs than the model's, by their number or their keys."""
    if wanted is None:
        return False
    if isinstance(forms, Mapping):  # of an unnamed structure Keras picks the inputs by name
        return isinstance(wanted, Mapping) and forms.keys() != wanted.keys()
    return len(keras.tree.flatten(forms)) != len(keras.tree.flatten(wanted))


def _fits(forms: Any, wanted: Any) -> bool:
    return all(b.takes(a) for a, b in _pairs(forms, wanted))


def _cause(error: Exception) -> str:
    """The kind of an exception and its first words, without TensorFlow's and Keras' frames."""
    text = re.sub(r"\x1b\[\d*m|\{\{.*?\}\}|\[Op:.*?\].*", "", str(error))
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception encountered")]
    if lines and lines[0].startswith("in user code"):
        lines = lines[-1:]
    words = lines[0] if lines else "no words"
    return f"{type(error).__name__}: {words[:160]}"

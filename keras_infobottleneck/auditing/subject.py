"""What is audited: a model, the layers whose activations can be had, and what data there are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras

from keras_infobottleneck.arguments import check_names
from keras_infobottleneck.auditing.entries import Omission
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.estimators.fisher.rules.rule import rule_for
from keras_infobottleneck.introspection.activations import (
    activations_model,
    passes_through,
    with_graph,
)
from keras_infobottleneck.introspection.contents import (
    all_layers,
    inner_layers,
    maker_of,
    own_weights,
    weights_of_predictions,
)

__all__ = [
    "VIEWS",
    "HiddenLayer",
    "Subject",
    "View",
    "backward_work",
    "reason_too_wide",
]

# A product in a convolution takes this share of the time that an entry of a Jacobian takes, which
# is copied in float64; one in a loop over time less, as all units pass together, and as long as an
# entry where the loop has no rule and runs for each unit anew.
SHARE_OF_PRODUCT, SHARE_IN_LOOP, SHARE_WITHOUT_RULE = 0.12, 0.06, 1.0
RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)
# Their weights are looked up, or scale what is there: no products to speak of.
WITHOUT_PRODUCTS = (
    keras.layers.Embedding,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)


def backward_work(activations: keras.Model) -> float:
    """Work of one backward pass for one example, in entries of a Jacobian by the weights.

    A kernel counts once for every place or time step at which it is used. Places are those of the
    layer's input or output, whichever has more; a layer whose shapes are not known counts once.

    Args:
        activations: from the inputs to the layer.
    """
    work = 0.0
    found = all_layers(activations)
    inside = {
        id(part) for each in found if isinstance(each, RECURRENT) for part in inner_layers(each)
    }
    for layer in found:
        if (
            layer is activations
            or id(layer) in inside
            or isinstance(layer, (keras.Model, *WITHOUT_PRODUCTS))
        ):
            continue
        recurrent = isinstance(layer, RECURRENT)
        weights = layer.weights if recurrent else own_weights(layer)
        kernels = sum(math.prod(v.shape) for v in weights if len(v.shape) > 1)
        if kernels:
            places = max(_places(layer, "input"), _places(layer, "output"))
            work += kernels * places * (_share_in_loop(layer) if recurrent else SHARE_OF_PRODUCT)
    return work


def _share_in_loop(layer: keras.layers.Layer) -> float:
    """Of a layer, or of those that it runs both ways."""
    loops = [each for each in (layer, *inner_layers(layer)) if isinstance(each, keras.layers.RNN)]
    rules = [rule_for(loop) for loop in loops]
    has_rules = all(rule is not None and rule.variables() for rule in rules)
    return SHARE_IN_LOOP if has_rules else SHARE_WITHOUT_RULE


def _places(layer: keras.layers.Layer, end: str) -> int:
    """Places or time steps of a layer's inputs or outputs, 1 where they are not known."""
    try:
        tensors: list[Any] = keras.tree.flatten(getattr(layer, end))
    except (AttributeError, ValueError):  # inside another layer, or called more than once
        return 1
    first = getattr(layer, "data_format", None) == "channels_first"
    places = [shape[2:] if first else shape[1:-1] for shape in (t.shape for t in tensors)]
    return max((math.prod(each) for each in places if None not in each), default=1)


# Wider layers take minutes for their nulls, and every example has a state of its own.
MAX_UNITS = 1024

PASSES_THROUGH = "passes its input through: its activations are those of the layer before it"
NO_ACTIVATIONS = (
    "its activations cannot be had: it is not called just once in the forward pass, or the model "
    "has no graph and was not called on one array"
)
NO_SIZE = "has no single output of floats and known size"

View = Literal["units", "average", "place"]
VIEWS = {"average": "averaged over places", "place": "at one place of each example"}


@dataclasses.dataclass(frozen=True)
class HiddenLayer:
    """Layer whose activations can be recorded.

    Of a layer whose units are channels at places, as those of a convolution or a sequence are,
    `num_units` counts what is taken by its `view`: all units, or each channel once.

    Attributes:
        name: in the model.
        shape: of the activations of an example.
        num_weights: trainable ones on which they depend.
        is_output: whether they are the output, whose states are measured only where it is named.
        channels: axis of the channels in `shape`, where there are others; None without places.
        view: what is taken of them.
        backward_work: of a backward pass from it for one example, see `backward_work`.

    Example:
        ```python
        from keras_infobottleneck.auditing import HiddenLayer

        layer = HiddenLayer("convolution", (8, 8, 16), num_weights=160, channels=16)
        print(layer.num_units)
        ```

        ```text
        1024
        ```
    """

    name: str
    shape: tuple[int, ...]
    num_weights: int
    is_output: bool = False
    channels: int | None = None
    view: View = "units"
    backward_work: float = 0.0

    @property
    def num_units(self) -> int:
        """Number of activations that are taken for an example."""
        if self.view == "units" or self.channels is None:
            return math.prod(self.shape)
        return self.shape[self.channels]

    @property
    def in_words(self) -> str:
        """Description in words of what is taken; empty where it is everything."""
        return "" if self.view == "units" else f"{self.num_units:,} channels {VIEWS[self.view]}"

    def seen_as(self, view: View) -> HiddenLayer:
        """The same layer, with another view of its activations."""
        return dataclasses.replace(self, view=view)


@dataclasses.dataclass(frozen=True)
class Subject:
    """Model and arguments of an audit, from which a part decides whether it applies.

    Attributes:
        model: built.
        layers: those whose activations can be had.
        omissions: the layers left out, with the reason.
        has_nuisance: whether a nuisance was given.
        likelihood: as of `audit`.

    Example:
        ```python
        import keras
        from keras_infobottleneck.auditing import Subject

        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        subject = Subject(model, likelihood="normal")
        print(subject.reason_without_likelihood, subject.has_nuisance)
        ```

        ```text
        None False
        ```
    """

    model: keras.Model
    layers: tuple[HiddenLayer, ...] = ()
    omissions: tuple[Omission, ...] = ()
    has_nuisance: bool = False
    likelihood: str | Callable | None = None

    @classmethod
    def of(
        cls,
        model: keras.Model,
        names: Sequence[str] | None,
        has_nuisance: bool,
        likelihood: str | Callable | None,
    ) -> Subject:
        """Make the subject: find the layers whose activations can be recorded.

        Raises:
            ValueError: a name that is not one of the model's layers.
        """
        found: list[HiddenLayer] = []
        omitted: list[Omission] = []
        outputs = _makers_of_output(model)
        for layer in _candidates(model, names):
            if isinstance(layer, keras.layers.InputLayer):
                continue
            is_output = names is None and id(layer) in outputs
            described = _described(model, layer, is_output, passes=names is not None)
            if isinstance(described, str):
                omitted.append(Omission("layers", layer.name, described))
            else:
                found.append(described)
        return cls(model, tuple(found), tuple(omitted), has_nuisance, likelihood)

    @property
    def reason_without_likelihood(self) -> str | None:
        """The reason why there is no likelihood; None where there is one."""
        try:
            find_likelihood(self.model, self.likelihood)
        except ValueError as error:
            return Omission.of("task", "all", error).reason
        return None

    @property
    def takes_floats(self) -> bool:
        """Whether gradients by the inputs exist, as far as the model tells."""
        try:
            return all("float" in x.dtype for x in self.model.inputs)
        except (AttributeError, TypeError, ValueError):
            return True  # a subclassed model


def _candidates(model: keras.Model, names: Sequence[str] | None) -> list[keras.layers.Layer]:
    """The model's own layers, or those named, of nested models too.

    Raises:
        ValueError: a name that is not one of the model's layers.
    """
    if names is None:
        return list(model.layers)
    own = {layer.name: layer for layer in model.layers}
    known = {layer.name: layer for layer in inner_layers(model)} | own
    check_names("layers", names, known, "the model's layers")
    return [layer for name, layer in known.items() if name in names]


def _makers_of_output(model: keras.Model) -> set[int]:
    """Layers that make the model's outputs; a subclassed model does not tell which they are."""
    try:
        return {id(maker_of(tensor)) for tensor in keras.tree.flatten(model.outputs)}
    except (AttributeError, ValueError):
        return set()


def _described(
    model: keras.Model, layer: keras.layers.Layer, is_output: bool, passes: bool
) -> HiddenLayer | str:
    """What there is to know of a layer before it is measured, or why its activations are not."""
    if not passes and passes_through(layer):
        return PASSES_THROUGH
    try:
        activations = with_graph(activations_model(model, layer))
    except ValueError:
        return NO_ACTIVATIONS
    tensors = keras.tree.flatten(activations.output)
    if len(tensors) > 1 or None in tensors[0].shape[1:] or "float" not in tensors[0].dtype:
        return NO_SIZE
    shape = tuple(tensors[0].shape[1:])
    first = getattr(layer, "data_format", None) == "channels_first"
    return HiddenLayer(
        name=layer.name,
        shape=shape,
        num_weights=sum(math.prod(v.shape) for v in weights_of_predictions(activations)),
        is_output=is_output,
        channels=None if len(shape) < 2 else 0 if first else len(shape) - 1,
        backward_work=backward_work(activations),
    )


def reason_too_wide(layer: HiddenLayer) -> str | None:
    """Why a layer is too wide for what is read off its activations, None where it is not."""
    if layer.num_units <= MAX_UNITS:
        return None
    return f"more than {MAX_UNITS:,} units take too long"

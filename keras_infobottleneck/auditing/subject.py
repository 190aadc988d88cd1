"""The subject of an audit: a model, its layers with available activations, and its data."""

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

# Time of a product in a convolution, relative to that of an entry of a Jacobian, which is copied in
# float64. In a loop over time a product takes less, since all units pass together; if the loop has
# no rule and runs for each unit separately, it takes as long as an entry.
SHARE_OF_PRODUCT, SHARE_IN_LOOP, SHARE_WITHOUT_RULE = 0.12, 0.06, 1.0
RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)
# Their weights are looked up, or scale their inputs: hardly any products.
WITHOUT_PRODUCTS = (
    keras.layers.Embedding,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)


def backward_work(activations: keras.Model) -> float:
    """Work of one backward pass for one example, in entries of a Jacobian by the weights.

    A kernel counts once for every place or time step at which it is used. Places are those of the
    layer's input or output, whichever has more; a layer with unknown shapes counts once.

    Args:
        activations: Model from the inputs to the layer.
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
    """Relative time of a product in a recurrent layer, or in the layers of a bidirectional one."""
    loops = [each for each in (layer, *inner_layers(layer)) if isinstance(each, keras.layers.RNN)]
    rules = [rule_for(loop) for loop in loops]
    has_rules = all(rule is not None and rule.variables() for rule in rules)
    return SHARE_IN_LOOP if has_rules else SHARE_WITHOUT_RULE


def _places(layer: keras.layers.Layer, end: str) -> int:
    """Number of places or time steps of a layer's inputs or outputs, 1 if they are not known."""
    try:
        tensors: list[Any] = keras.tree.flatten(getattr(layer, end))
    except (AttributeError, ValueError):  # inside another layer, or called more than once
        return 1
    first = getattr(layer, "data_format", None) == "channels_first"
    places = [shape[2:] if first else shape[1:-1] for shape in (t.shape for t in tensors)]
    return max((math.prod(each) for each in places if None not in each), default=1)


# Nulls of wider layers take minutes, and every example has a distinct state.
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

    If the units of a layer are channels at places, as in a convolution or a sequence,
    `num_units` counts those that its `view` uses: all units, or each channel once.

    Attributes:
        name: Name in the model.
        shape: Shape of the activations of an example.
        num_weights: Number of trainable weights on which they depend.
        is_output: Whether they are the output, whose states are measured only if it is named.
        channels: Axis of the channels in `shape`, if there are others; None without places.
        view: Which of them are used.
        backward_work: Work of a backward pass from it for one example; see `backward_work`.

    Example:
        ```python
        from keras_infobottleneck.auditing import HiddenLayer

        layer = HiddenLayer("convolution", (8, 8, 16), num_weights=160, channels=2)
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
        """Number of activations that are used of an example."""
        if self.view == "units" or self.channels is None:
            return math.prod(self.shape)
        return self.shape[self.channels]

    @property
    def in_words(self) -> str:
        """Describes in words which activations are used; empty if all are."""
        return "" if self.view == "units" else f"{self.num_units:,} channels {VIEWS[self.view]}"

    def seen_as(self, view: View) -> HiddenLayer:
        """The same layer, with another view of its activations."""
        return dataclasses.replace(self, view=view)


@dataclasses.dataclass(frozen=True)
class Subject:
    """Model and arguments of an audit, by which a part decides whether it applies.

    Attributes:
        model: The built model.
        layers: Layers whose activations are available.
        omissions: Layers that are left out, with the reason.
        has_nuisance: Whether a nuisance was given.
        likelihood: As in `audit`.

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
        """Makes the subject: finds the layers whose activations can be recorded.

        Raises:
            ValueError: A name is not that of one of the model's layers.
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
        """The reason why there is no likelihood; None if there is one."""
        try:
            find_likelihood(self.model, self.likelihood)
        except ValueError as error:
            return Omission.of("task", "all", error).reason
        return None

    @property
    def takes_floats(self) -> bool:
        """Whether gradients by the inputs exist, as far as the model's inputs show."""
        try:
            return all("float" in x.dtype for x in self.model.inputs)
        except (AttributeError, TypeError, ValueError):
            return True  # a subclassed model


def _candidates(model: keras.Model, names: Sequence[str] | None) -> list[keras.layers.Layer]:
    """The model's own layers, or the named ones, including those of nested models.

    Raises:
        ValueError: A name is not that of one of the model's layers.
    """
    if names is None:
        return list(model.layers)
    own = {layer.name: layer for layer in model.layers}
    known = {layer.name: layer for layer in inner_layers(model)} | own
    check_names("layers", names, known, "the model's layers")
    return [layer for name, layer in known.items() if name in names]


def _makers_of_output(model: keras.Model) -> set[int]:
    """Layers that produce the model's outputs; empty for a subclassed model."""
    try:
        return {id(maker_of(tensor)) for tensor in keras.tree.flatten(model.outputs)}
    except (AttributeError, ValueError):
        return set()


def _described(
    model: keras.Model, layer: keras.layers.Layer, is_output: bool, passes: bool
) -> HiddenLayer | str:
    """The description of a layer, or the reason why its activations are not available."""
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
    """Why a layer is too wide for measurements of its activations; None if it is not."""
    if layer.num_units <= MAX_UNITS:
        return None
    return f"more than {MAX_UNITS:,} units take too long"

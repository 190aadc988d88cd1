"""What an audit will measure, decided before any number is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_infobottleneck.auditing.entries import Omission
from keras_infobottleneck.auditing.handing_on import HANDING_ON
from keras_infobottleneck.auditing.measures import PARTS
from keras_infobottleneck.auditing.noise import noisy_layers, weights_of_predictions
from keras_infobottleneck.estimators.fisher.likelihoods import find_likelihood
from keras_infobottleneck.introspection.activations import activations_model, with_graph
from keras_infobottleneck.layers import InformationDropout, VariationalWeights

__all__ = ["OF_HIDDEN_LAYERS", "AuditPlan", "HiddenLayer", "find_layers"]

# Wider layers take minutes for their nulls, and every example has a state of its own.
MAX_UNITS = 1024
# Of the Jacobians that effective information takes; so many cost about ten seconds of one core.
MAX_NUMBERS = 5e8

NO_LAYER = "the model has no layer that it could be about"
NO_FLOATS = "the model's inputs are no floats, along which activations can be differentiated"
OF_HIDDEN_LAYERS = ("relevance", "total_correlation", "nuisance")


@dataclasses.dataclass(frozen=True)
class HiddenLayer:
    """A layer whose activations can be had.

    Attributes:
        name: in the model.
        num_units: activations of an example.
        num_weights: trainable ones on which they depend.
        is_output: whether they are the output, whose states are measured only where it is named.
    """

    name: str
    num_units: int
    num_weights: int
    is_output: bool


def find_layers(
    model: keras.Model, names: Sequence[str] | None
) -> tuple[list[HiddenLayer], list[Omission]]:
    """Layers whose activations can be had, and those left out.

    Raises:
        ValueError: a name that is not one of the model's layers.
    """
    known = [layer.name for layer in model.layers]
    # Keras has no public walk that also reaches the layers of nested models.
    inner = {layer.name: layer for layer in model._flatten_layers(include_self=False)}
    if names is not None and not _are_known(names, known + list(inner)):
        raise ValueError(
            f"`layers` must be a sequence of names of the model's layers, {known}, each once. "
            f"Received: layers={names!r}"
        )
    try:
        outputs = {id(tensor) for tensor in keras.tree.flatten(model.outputs)}
    except (AttributeError, ValueError):
        outputs = set()  # a subclassed model does not tell which layer is its last
    found, omitted = [], []
    candidates = model.layers
    if names is not None:
        own = {layer.name: layer for layer in model.layers}
        candidates = [layer for name, layer in (inner | own).items() if name in names]
    for layer in candidates:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if names is None and isinstance(layer, HANDING_ON):
            reason = "hands on the activations of the layer before it"
            omitted.append(Omission("layers", layer.name, reason))
            continue
        try:
            activations = with_graph(activations_model(model, layer))
        except ValueError:
            reason = (
                "its activations cannot be had: it is not called just once in the forward pass, "
                "or the model has no graph and was not called on one array"
            )
            omitted.append(Omission("layers", layer.name, reason))
            continue
        tensors = keras.tree.flatten(activations.output)
        if len(tensors) > 1 or None in tensors[0].shape[1:] or "float" not in tensors[0].dtype:
            reason = "has no single output of floats and known size"
            omitted.append(Omission("layers", layer.name, reason))
            continue
        found.append(
            HiddenLayer(
                name=layer.name,
                num_units=math.prod(tensors[0].shape[1:]),
                num_weights=sum(math.prod(v.shape) for v in weights_of_predictions(activations)),
                is_output=names is None and id(tensors[0]) in outputs,
            )
        )
    return found, omitted


def _are_known(names: Any, known: list[str]) -> bool:
    """Whether names are some of the known, each once."""
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        return False
    return all(name in known for name in names) and len(set(names)) == len(names)


@dataclasses.dataclass(frozen=True)
class AuditPlan:
    """Parts of a report, the layers that each is about, and what is left out.

    Attributes:
        model_name: of the model.
        num_weights: trainable weights, scales of noise not counted.
        examples: part to how many examples it takes at most; parts without data have none.
        layers: layer to the parts that measure it, in the model's order.
        omissions: what will not be measured, and why.
    """

    model_name: str
    num_weights: int
    examples: dict[str, int]
    layers: dict[str, tuple[str, ...]]
    omissions: tuple[Omission, ...]

    @classmethod
    def of(
        cls,
        model: keras.Model,
        found: list[HiddenLayer],
        omitted: list[Omission],
        parts: list[str],
        counts: dict[str, int],
        has_nuisance: bool,
        likelihood: str | Callable | None,
    ) -> AuditPlan:
        """Sorts the layers by what can be measured at a bounded cost."""
        reasons = {part: "switched off by `include`" for part in PARTS if part not in parts}
        # Weights with noise know what they pay; all others are priced by the Fisher matrix.
        is_paid = bool(noisy_layers(model, VariationalWeights))
        takes_fisher = {"fisher", "effective"} | (set() if is_paid else {"weights"})
        without = _reason_without_likelihood(model, likelihood)
        if without:
            reasons |= {part: without for part in parts if part in {"task", *takes_fisher}}
        if not has_nuisance and "nuisance" in parts:
            reasons["nuisance"] = "no `nuisance` was given"
        if not noisy_layers(model, InformationDropout) and "activations" in parts:
            reasons["activations"] = "the model has no `InformationDropout` layer"
        if not _takes_floats(model) and "effective" in parts:
            reasons["effective"] = NO_FLOATS
        omissions = [Omission(part, "all", reason) for part, reason in reasons.items()]
        parts = [part for part in parts if part not in reasons]
        by_layer = [part for part in (*OF_HIDDEN_LAYERS, "effective") if part in parts]
        layers: dict[str, list[str]] = {layer.name: [] for layer in found}
        for part in by_layer:
            for layer in found:
                reason = _reason_to_omit(part, layer, counts[part])
                if reason:
                    omissions.append(Omission(part, layer.name, reason))
                elif part == "effective" or not layer.is_output:
                    layers[layer.name].append(part)
        for part in by_layer:
            tried = any(omission.part == part for omission in omissions)
            if not tried and not any(part in of for of in layers.values()):
                omissions.append(Omission(part, "all", NO_LAYER))
        taken = {*parts, *(["fisher"] if takes_fisher & set(parts) else [])}
        return cls(
            model_name=model.name,
            num_weights=sum(math.prod(v.shape) for v in weights_of_predictions(model)),
            examples={part: count for part, count in counts.items() if part in taken},
            layers={name: tuple(of) for name, of in layers.items() if of},
            omissions=(*omissions, *(omitted if by_layer else ())),
        )

    def __contains__(self, part: str) -> bool:
        return all((omission.part, omission.where) != (part, "all") for omission in self.omissions)

    @property
    def num_steps(self) -> int:
        """Measurements, for a progress bar."""
        parts = [part for part in ("task", "weights", "complexity") if part in self]
        return len(parts) + ("fisher" in self.examples) + len(self.layers)

    def __str__(self) -> str:
        lines = [f"Audit of {self.model_name!r}, {self.num_weights:,} weights:"]
        for part, title in PARTS.items():
            if part in self:
                count = self.examples.get(part)
                of = f", at most {count:,} examples" if count else ""
                names = ", ".join(name for name, parts in self.layers.items() if part in parts)
                lines.append(f"  {part}: {title}{of}{': ' if names else ''}{names}")
        lines += [f"  not measured: {omission}" for omission in self.omissions]
        return "\n".join(lines)


def _reason_without_likelihood(model: keras.Model, likelihood: str | Callable | None) -> str | None:
    """Why there is no likelihood, None where there is one."""
    try:
        find_likelihood(model, likelihood)
    except ValueError as error:
        return Omission.of("task", "all", error).reason
    return None


def _takes_floats(model: keras.Model) -> bool:
    """Whether the inputs can be differentiated along, for all that a model tells about them."""
    try:
        return all("float" in x.dtype for x in model.inputs)
    except (AttributeError, TypeError, ValueError):
        return True  # a subclassed model


def _reason_to_omit(part: str, layer: HiddenLayer, count: int) -> str | None:
    """Why a layer costs more than a part allows, None where it does not."""
    if part != "effective":
        if layer.is_output or layer.num_units <= MAX_UNITS:
            return None
        return f"{layer.num_units:,} units, and more than {MAX_UNITS:,} take too long"
    # A Jacobian by the weights, and the eigenvectors of a matrix over units, for each example.
    numbers = layer.num_units * layer.num_weights + layer.num_units**3 / 20
    if count * numbers <= MAX_NUMBERS:
        return None
    return (
        f"{layer.num_units:,} units by {layer.num_weights:,} weights by {count} examples take too "
        "long; `effective_information` measures it without this limit"
    )

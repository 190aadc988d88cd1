"""Conversion of a deterministic model to a variational one, and back to plain Keras layers."""

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np

from keras_infobottleneck.arguments import (
    check_count,
    check_flag,
    check_keywords,
    check_names,
    check_positive,
    check_price,
    check_text,
    check_verbose,
    described,
)
from keras_infobottleneck.introspection.cloning import (
    draws_unasked,
    fresh_copy,
    hand_on_adapted,
    uncompiled_clone,
)
from keras_infobottleneck.introspection.contents import all_layers, check_finite
from keras_infobottleneck.layers.drawn_weights import weights_to_draw
from keras_infobottleneck.layers.linear_part import LinearPart, has_linear_part
from keras_infobottleneck.layers.noisy_layer import NoisyLayer, noisy_layers
from keras_infobottleneck.layers.variational_options import check_options
from keras_infobottleneck.layers.variational_weights import VariationalWeights
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel
from keras_infobottleneck.models.charging import check_steps
from keras_infobottleneck.models.objective import check_objective
from keras_infobottleneck.models.rewriting import rebuildable_network, rebuilt, rewritten
from keras_infobottleneck.models.unit_removal import UnitRemoval, without_silent_units

__all__ = [
    "LayerConversion",
    "make_deterministic",
    "make_variational",
]


@dataclass(frozen=True)
class LayerConversion:
    """How one layer was converted: its estimator, or None and the reason why it was not."""

    layer: str
    estimator: str | None
    reason: str


def make_variational(
    model: keras.Model,
    *,
    num_examples: int,
    include: Collection[str] | Callable[[keras.layers.Layer], bool] | None = None,
    weight_beta: float = 1.0,
    objective: Literal["lagrangian", "pac_bayes_quadratic", "pac_bayes_kl"] = "lagrangian",
    delta: float = 0.025,
    name: str | None = None,
    verbose: int = 1,
    **options: Any,
) -> InformationBottleneckModel:
    """Puts a distribution over the weights of a model, with its present weights as the means.

    Layers that are linear in one kernel get ``estimator="local"``, other layers with weights
    ``"sample"``; normalisation, layers without weights and noisy layers stay as they are. So does
    `SpectralNormalization`, which rescales its kernel at every training step.

    Args:
        model: A sequential or functional model, which may contain nested models. It is not
            changed.
        num_examples: Number of training examples.
        include: Names of the layers to convert, or a function that returns whether to convert a
            layer; by default all layers that can be converted. Layers inside nested models have
            their own names.
        weight_beta, objective, delta: As in `InformationBottleneckModel`.
        name: Name of the new model; by default that of `model`.
        verbose: 1 prints which layers were converted, and why others were not.
        **options: Options of `VariationalWeights`. An `estimator` applies to all layers. A
            `seed` is that of the first layer; the others get the following numbers.

    Returns:
        An `InformationBottleneckModel`; its `conversion` lists the result for each layer, as
        `LayerConversion`.

    Raises:
        TypeError: The model is subclassed, or `include` has the wrong type.
        ValueError: The model is not built, a name is not that of a layer, or a layer refuses the
            options.

    Example:
        ```python
        import keras
        import keras_infobottleneck as kib

        trained = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
        noisy = kib.make_variational(trained, num_examples=1000, weight_beta=0.1)
        ```

        ```text
        head: local (linear in its kernel)
        ```
    """
    check_keywords(make_variational, VariationalWeights, options)
    check_count("num_examples", num_examples)
    check_price("weight_beta", weight_beta)
    check_objective(objective, delta)
    check_text("name", name, optional=True)
    check_verbose("verbose", verbose)
    check_options(**options)
    model = rebuildable_network(model)
    check_finite(model.weights)
    check_steps(model)
    if include is not None and not callable(include):
        known = [layer.name for layer in _leaf_layers(model)]
        include = check_names("include", include, known, "layers of the model")
    conversions: list[LayerConversion] = []
    pairs = []

    def convert(layer: Any) -> Any:
        twin = fresh_copy(layer)
        if not isinstance(layer, keras.layers.Layer):  # an operation, such as an addition
            return twin
        conversion = _plan(layer, include, options)
        number = len(conversions)
        conversions.append(conversion)
        pairs.append((layer, twin))
        if conversion.estimator is None:
            return twin
        arguments = {**options, "estimator": conversion.estimator}
        if options.get("seed") is not None:  # with one seed, equal shapes would get equal noise
            arguments["seed"] += number
        # The graph refers to layers by name.
        return VariationalWeights(twin, name=layer.name, trainable=layer.trainable, **arguments)

    network = uncompiled_clone(model, convert)
    for layer, twin in pairs:
        twin.set_weights(layer.get_weights())
    hand_on_adapted(model, network)
    if include is not None and not any(row.estimator for row in conversions):
        reasons = described({row.layer: row.reason for row in conversions})
        raise ValueError(f"`include` must choose a layer to convert. Received: {reasons}")
    result = InformationBottleneckModel(
        network,
        name=name or model.name,
        num_examples=num_examples,
        weight_beta=weight_beta,
        objective=objective,
        delta=delta,
    )
    result.conversion = tuple(conversions)
    if verbose:
        for row in conversions:
            print(f"{row.layer}: {row.estimator or 'unchanged'} ({row.reason})")
    return result


def _leaf_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a model and of the models nested in it, but not the models themselves."""
    layers: list[keras.Layer] = []
    for layer in model.layers:
        layers += _leaf_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return layers


def _plan(
    layer: keras.layers.Layer,
    include: Collection[str] | Callable[[keras.layers.Layer], bool] | None,
    options: dict[str, Any],
) -> LayerConversion:
    """How a layer is converted, or why it is not."""
    if include is not None:
        wanted = include(layer) if callable(include) else layer.name in include
        if not wanted:
            return LayerConversion(layer.name, None, "not included")
    if any(isinstance(inner, NoisyLayer) for inner in all_layers(layer)):
        return LayerConversion(layer.name, None, "draws noise itself")
    if any(inner.activity_regularizer is not None for inner in all_layers(layer)):
        return LayerConversion(layer.name, None, "has an activity regularizer")
    if not layer.weights:
        return LayerConversion(layer.name, None, "has no weights")
    if any(isinstance(inner, keras.layers.SpectralNormalization) for inner in all_layers(layer)):
        return LayerConversion(layer.name, None, "assigns its own weights in training")
    drawn = weights_to_draw(layer, options.get("variational_bias", False))
    if not drawn:
        return LayerConversion(layer.name, None, "has no weights but offsets and scales")
    if "estimator" in options:
        return LayerConversion(layer.name, options["estimator"], "as asked")
    if has_linear_part(layer) and _is_linear(layer, bias_is_drawn=len(drawn) > 1):
        return LayerConversion(layer.name, "local", "linear in its kernel")
    return LayerConversion(layer.name, "sample", "not linear in one kernel")


def _is_linear(layer: keras.layers.Layer, *, bias_is_drawn: bool) -> bool:
    """Whether a built layer passes the tests for the estimators "local" and "flipout"."""
    input_shape = layer.get_build_config()["input_shape"]
    linear = LinearPart(layer, input_shape, "float32")
    return linear.has_one_product_per_weight(bias_is_drawn=bias_is_drawn)


def make_deterministic(
    model: keras.Model, *, prune_below: float | None = None, remove_units: bool = False
) -> keras.Model:
    """Converts a model with noise into plain Keras layers that hold the posterior means.

    The saved file loads without this package.

    Args:
        model: An `InformationBottleneckModel`, or a sequential or functional model with noisy
            layers at any depth. It is not changed.
        prune_below: Weights whose signal-to-noise ratio, ``|mean| / standard deviation``, is
            below this threshold become zero. Weights without a distribution are kept.
        remove_units: Whether to remove units of dense layers and filters of convolutions that
            carry no information, so that the network gets smaller and faster. These are units
            whose incoming weights are all zero (their constant output is added to the next
            bias) or whose outgoing weights are all zero. A unit stays if several layers read
            it, as with skip connections, or if a layer behind it mixes units.

    Returns:
        A `keras.Model` that predicts as `model` does: exactly without `prune_below`, and up to
        rounding as the pruned network does with `remove_units`. In that case its `unit_removal`
        lists the units of each layer, as `UnitRemoval`, with the reason why any stay. A model
        with augmentation layers is wrapped in another, so that it augments only in `fit`.

    Raises:
        TypeError: The model is subclassed, or a custom layer holds noisy layers that are not in
            its configuration.
        ValueError: The model is not built, or `prune_below` is not positive, or is given for a
            model without noise on its weights.

    Example:
        ```python
        import keras
        import keras_infobottleneck as kib

        trained = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        noisy = kib.make_variational(trained, num_examples=1000, verbose=0)
        plain = kib.make_deterministic(noisy, prune_below=0.5)
        print(type(plain.layers[0]).__name__)
        ```

        ```text
        Dense
        ```
    """
    check_positive("prune_below", prune_below, optional=True)
    check_flag("remove_units", remove_units)
    network = rebuildable_network(model)
    check_finite(network.weights)
    noisy = noisy_layers(network)
    if prune_below is not None and not any(layer.noise == "weights" for layer in noisy):
        raise ValueError(
            "`prune_below` needs weights with noise; `make_variational` gives them some. "
            f"Received: prune_below={prune_below}, model={model.name!r} without VariationalWeights"
        )
    classes = {keras.saving.get_registered_name(type(layer)): type(layer) for layer in noisy}
    plain = rebuilt(network, functools.partial(_without_noise, classes))
    for layer in noisy_layers(plain):
        raise TypeError(
            "`model` must not have noisy layers that a custom layer creates itself, because they "
            f"cannot be replaced. Received: layer={layer!r}"
        )
    plain.set_weights(_mean_weights(network, noisy, prune_below))
    removal: tuple[UnitRemoval, ...] = ()
    if remove_units:
        plain, removal = without_silent_units(plain)
    if any(draws_unasked(layer) for layer in all_layers(plain)):
        # In calls and exports `training` is left open, which augmentation layers take as True.
        inputs = plain.inputs[0] if isinstance(plain, keras.Sequential) else plain.input
        plain = keras.Model(inputs, plain(inputs, training=False), name=plain.name)
    if remove_units:
        plain.unit_removal = removal
    return plain


def _without_noise(
    classes: dict[str, type[NoisyLayer]], config: dict[str, Any]
) -> dict[str, Any] | None:
    """For a noisy layer, the configuration of the layer that replaces it; else None."""
    kind = classes.get(config.get("registered_name", ""))
    if kind is None:
        return None
    inner = kind.without_noise(config["config"])
    inner = rewritten(inner, functools.partial(_without_noise, classes))
    return {**inner, "config": {**inner["config"], "name": config["config"]["name"]}}


def _mean_weights(
    network: keras.Model, noisy: list[NoisyLayer], prune_below: float | None
) -> list[np.ndarray]:
    """The weights that remain without noise, in order, after pruning."""
    dropped = {id(weight) for layer in noisy for weight in layer.noise_weights}
    ratios: dict[int, np.ndarray] = {}
    if prune_below is not None:
        for layer in noisy:
            pairs = zip(layer.variational_weights, layer.signal_to_noise().values(), strict=True)
            # By identity: layers of two nested models may have the same path.
            ratios |= {id(weight): ratio for weight, ratio in pairs}
    means = []
    for weight in network.weights:
        if id(weight) in dropped:
            continue
        value = weight.numpy()
        if id(weight) in ratios:
            value = np.where(ratios[id(weight)] < prune_below, 0.0, value).astype(value.dtype)
        means.append(value)
    return means

"""Models that end at a layer of another model, and layers without activations of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_infobottleneck.arguments import check_model, described, refusal
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.contents import inner_layers, num_calls
from keras_infobottleneck.introspection.layer_output import LayerOutput

__all__ = [
    "AUGMENTATION",
    "activations_model",
    "joint_activations_model",
    "passes_through",
    "with_graph",
]

# All augmentation layers of Keras but `RandomCrop`, which also changes image sizes in inference.
AUGMENTATION = (
    keras.layers.AugMix,
    keras.layers.CutMix,
    keras.layers.Equalization,
    keras.layers.MixUp,
    keras.layers.RandAugment,
    keras.layers.RandomBrightness,
    keras.layers.RandomColorDegeneration,
    keras.layers.RandomColorJitter,
    keras.layers.RandomContrast,
    keras.layers.RandomElasticTransform,
    keras.layers.RandomErasing,
    keras.layers.RandomFlip,
    keras.layers.RandomGaussianBlur,
    keras.layers.RandomGrayscale,
    keras.layers.RandomHue,
    keras.layers.RandomInvert,
    keras.layers.RandomPerspective,
    keras.layers.RandomPosterization,
    keras.layers.RandomRotation,
    keras.layers.RandomSaturation,
    keras.layers.RandomSharpness,
    keras.layers.RandomShear,
    keras.layers.RandomTranslation,
    keras.layers.RandomZoom,
    keras.layers.Solarization,
)
PASSING_THROUGH = (
    *AUGMENTATION,
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.Masking,
    keras.layers.Permute,
    keras.layers.RepeatVector,
    keras.layers.Reshape,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.UpSampling1D,
    keras.layers.UpSampling3D,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)


def activations_model(model: keras.Model, layer: str | int | keras.layers.Layer) -> keras.Model:
    """Model from the inputs to the output of a layer; made once and kept while the model lives.

    If the graph does not lead from the model's inputs to the layer, as in a subclassed model or for
    a layer of a nested model, the whole model runs and the layer's output is recorded.

    Raises:
        TypeError: The model or the layer has the wrong type.
        ValueError: The layer is unknown, or several layers have its name.
    """
    check_model("model", model)
    found = _find_layer(model, layer)

    def make(model_of: Callable[[], keras.Model]) -> keras.Model:
        if num_calls(found) == 1:  # with several calls, `found.output` would be that of the first
            try:
                graph = keras.Model(model_of().inputs, found.output, name=found.name)
            except (AttributeError, ValueError):
                pass  # no inputs, or no path from them to the layer
            else:
                network = getattr(model_of(), "network", model_of())  # of a model that holds it
                # A subclass made from a graph may still define a forward pass of its own.
                if type(network).call in (keras.Sequential.call, type(graph).call):
                    return graph
        return LayerOutput(model_of, found)

    return compiled(model, ("activations", id(found)), make)


def joint_activations_model(
    model: keras.Model, layers: Sequence[str | int | keras.layers.Layer]
) -> Callable[[Any], list[Any]]:
    """Function from the inputs to the outputs of several layers, in inference mode.

    Layers that can be reached on the model's graph share one forward pass.

    Raises:
        TypeError, ValueError: As in `activations_model`.
    """
    cuts = [activations_model(model, layer) for layer in layers]
    of_graph = [cut for cut in cuts if not isinstance(cut, LayerOutput)]

    def make(_: Callable[[], keras.Model]) -> keras.Model:
        return keras.Model(of_graph[0].inputs, [cut.output for cut in of_graph])

    joint = None
    if len(of_graph) > 1:
        joint = compiled(model, ("joint activations", tuple(map(id, of_graph))), make)

    def outputs(x: Any) -> list[Any]:
        shared = iter(joint(x, training=False) if joint else ())
        return [
            next(shared) if joint and cut in of_graph else cut(x, training=False) for cut in cuts
        ]

    return outputs


def with_graph(activations: keras.Model) -> keras.Model:
    """The activations model with `.inputs` and `.output`, if the model has a graph or one input.

    Raises:
        ValueError: The model is subclassed, and was never called or has several inputs.
    """
    if not isinstance(activations, LayerOutput):
        return activations
    model = activations.model

    def make(_: Callable[[], keras.Model]) -> keras.Model:
        inputs = _symbolic_inputs(model)
        return keras.Model(inputs, activations(inputs), name=activations.name)

    return compiled(model, ("graph", id(activations)), make)


def _symbolic_inputs(model: keras.Model) -> Any:
    """The inputs of the model's graph, or a symbolic input of the shape that it was built with."""
    try:
        return model.input
    except (AttributeError, ValueError):
        pass  # no graph
    shape = (model.get_build_config() or {}).get("input_shape")
    if not shape or not all(size is None or isinstance(size, int) for size in shape):
        raise ValueError(
            "A model without a graph must have been called on one array, whose shape gives the "
            f"size of the layer. Received: model={model.name}, inputs of shape {shape}"
        )
    return keras.Input(shape[1:], dtype=model.compute_dtype)


def _find_layer(model: keras.Model, layer: str | int | keras.layers.Layer) -> keras.layers.Layer:
    """The layer of the model with this name or index, or the layer itself if it is in the model."""
    names = [each.name for each in model.layers]
    inner = inner_layers(model)
    if isinstance(layer, str):
        matches = [each for each in model.layers if each.name == layer]
        matches = matches or [each for each in inner if each.name == layer]
        if len(matches) > 1:
            raise ValueError(
                "`layer` must be a name that one layer has; give the layer itself. "
                f"Received: layer={layer!r}, the name of {len(matches)}"
            )
        if matches:
            return matches[0]
    elif isinstance(layer, int) and not isinstance(layer, bool):
        if -len(names) <= layer < len(names):
            return model.layers[layer]
    elif isinstance(layer, keras.layers.Layer):
        if any(layer is each for each in inner):
            return layer
    else:
        raise refusal(TypeError, "layer", "be a name, an index or a layer", layer)
    raise refusal(ValueError, "layer", f"be one of the model's layers {described(names)}", layer)


def passes_through(layer: keras.layers.Layer) -> bool:
    """Whether a layer, in inference mode, only passes its input on, possibly moved or repeated.

    Its activations are those of the layer before. The same holds for sequences of such layers, for
    wrappers that apply one to each step, and for the linear activation.
    """
    if isinstance(layer, keras.Sequential | keras.layers.Pipeline):
        return all(passes_through(each) for each in layer.layers)
    if isinstance(layer, keras.layers.TimeDistributed):
        return passes_through(layer.layer)
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    if isinstance(layer, keras.layers.UpSampling2D):
        return layer.interpolation == "nearest"
    return isinstance(layer, PASSING_THROUGH)

"""From a deterministic model to a variational one, and back to plain Keras layers."""

import copy
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.layers.linear_part import has_linear_part
from keras_infobottleneck.layers.noisy_wrapper import NoisyWrapper, check_positive
from keras_infobottleneck.layers.variational_weights import VariationalWeights, weights_to_draw
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel

__all__ = [
    "LayerConversion",
    "make_deterministic",
    "make_variational",
    "recalibrate_batch_normalization",
]

NOISY_LAYERS = (
    "keras_infobottleneck>VariationalWeights",
    "keras_infobottleneck>InformationDropout",
)


@dataclass(frozen=True)
class LayerConversion:
    """What became of one layer: its estimator, or why it stayed as it was."""

    layer: str
    estimator: str | None
    reason: str


def make_variational(
    model: keras.Model,
    *,
    num_examples: int,
    include: Collection[str] | Callable[[keras.layers.Layer], bool] | None = None,
    weight_beta: float = 1.0,
    verbose: int = 1,
    **options,
) -> InformationBottleneckModel:
    """Put a distribution over the weights of a trained model, its means the weights it has.

    Layers that are linear in one kernel get ``estimator="local"``, other layers with weights
    ``"sample"``; normalisation, layers without weights and noisy layers stay as they are.

    Args:
        model: a sequential or functional model, nested models included. It is left untouched.
        num_examples: number of training examples.
        include: names of the layers to convert, or a function that says so of a layer; by default
            every layer that can be. Layers inside nested models go by their own names.
        weight_beta: price of a nat in the weights.
        verbose: 1 prints what was converted, what was not, and why.
        **options: for `VariationalWeights`. An `estimator` given holds for all layers.

    Returns:
        An `InformationBottleneckModel`; its `conversion` lists what became of each layer, as
        `LayerConversion`.

    Raises:
        TypeError: a subclassed model, or `include` of another kind.
        ValueError: a model that is not built, names of no layer, or options that a layer refuses.
    """
    model = _rebuildable_network(model)
    _check_include(include, _leaf_layers(model))
    conversions, pairs = [], []

    def convert(layer):
        twin = type(layer).from_config(layer.get_config())
        if not isinstance(layer, keras.layers.Layer):  # an operation, such as the sum of a skip
            return twin
        conversion = _plan(layer, include, options)
        conversions.append(conversion)
        pairs.append((layer, twin))
        if conversion.estimator is None:
            return twin
        arguments = {**options, "estimator": conversion.estimator}
        # The graph refers to layers by name.
        return VariationalWeights(twin, name=layer.name, trainable=layer.trainable, **arguments)

    network = keras.models.clone_model(model, clone_function=convert, recursive=True)
    for layer, twin in pairs:
        twin.set_weights(layer.get_weights())
    result = InformationBottleneckModel(
        network, name=model.name, num_examples=num_examples, weight_beta=weight_beta
    )
    result.conversion = tuple(conversions)
    if verbose:
        for row in conversions:
            print(f"{row.layer}: {row.estimator or 'unchanged'} ({row.reason})")
    return result


def _leaf_layers(model):
    """The layers of a model and of the models nested in it, but not the models themselves."""
    layers = []
    for layer in model.layers:
        layers += _leaf_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return layers


def _check_include(include, layers):
    if include is None or callable(include):
        return
    if isinstance(include, str) or not isinstance(include, Collection):
        raise TypeError(
            "`include` must be a collection of layer names, or a function of a layer. "
            f"Received: include={include!r}"
        )
    unknown = set(include) - {layer.name for layer in layers}
    if unknown:
        raise ValueError(
            "`include` must name layers of the model. "
            f"Received: include={list(include)!r}, in which unknown: {sorted(map(str, unknown))}"
        )


def _plan(layer, include, options) -> LayerConversion:
    """Whether and how a layer is converted."""
    if include is not None:
        wanted = include(layer) if callable(include) else layer.name in include
        if not wanted:
            return LayerConversion(layer.name, None, "not included")
    if any(isinstance(inner, NoisyWrapper) for inner in layer._flatten_layers()):
        return LayerConversion(layer.name, None, "draws noise itself")
    if any(inner.activity_regularizer is not None for inner in layer._flatten_layers()):
        return LayerConversion(layer.name, None, "has an activity regularizer")
    if not weights_to_draw(layer, options.get("variational_bias", False)):
        return LayerConversion(layer.name, None, "has no weights but offsets and scales")
    if "estimator" in options:
        return LayerConversion(layer.name, options["estimator"], "as asked")
    if has_linear_part(layer):
        return LayerConversion(layer.name, "local", "linear in its kernel")
    return LayerConversion(layer.name, "sample", "not linear in one kernel")


def make_deterministic(model: keras.Model, *, prune_below: float | None = None) -> keras.Model:
    """Plain Keras layers with the posterior means; the file loads without this package.

    Args:
        model: an `InformationBottleneckModel`, or a sequential or functional model with noisy
            layers anywhere inside. It is left untouched.
        prune_below: weights whose signal-to-noise ratio, ``|mean| / standard deviation``, is under
            this threshold become zero. Weights without a distribution are kept.

    Returns:
        A `keras.Model` that predicts as `model` does (exactly, without `prune_below`).

    Raises:
        TypeError: a subclassed model, or noisy layers inside a custom layer whose configuration
            does not hold them.
        ValueError: a model that is not built, or a threshold that is not positive.
    """
    if prune_below is not None:
        check_positive("prune_below", prune_below)
    network = _rebuildable_network(model)
    plain = _rebuilt(network, _without_noise)
    for layer in plain._flatten_layers():
        if isinstance(layer, NoisyWrapper):
            raise TypeError(
                "`model` must hold its noisy layers in the open: a custom layer makes this one "
                f"itself, where it cannot be replaced. Received: layer={layer!r}"
            )
    plain.set_weights(_mean_weights(network, prune_below))
    return plain


def _rebuilt(network, rule):
    """A new model of the same structure, in which `rule` has replaced layers."""
    # Classes of one's own need not be registered to be copied within a process.
    classes = {type(layer) for layer in network._flatten_layers()}
    own = {c.__name__: c for c in classes if not c.__module__.startswith("keras.")}
    with keras.saving.custom_object_scope(own):
        rebuilt = type(network).from_config(_rewritten(network.get_config(), rule))
    if not rebuilt.built:
        rebuilt.build(network.input_shape)
    return rebuilt


def _rewritten(config, rule):
    """A model's configuration in which `rule` has replaced the entries it has an answer for."""
    if isinstance(config, dict):
        replacement = rule(config) if "class_name" in config else None
        if replacement is not None:
            return replacement
        return {key: _rewritten(value, rule) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_rewritten(value, rule) for value in config)
    return config


def _without_noise(config):
    """For a noisy wrapper, the entry of the layer it holds in its place."""
    if config.get("registered_name") not in NOISY_LAYERS:
        return None
    inner = _rewritten(config["config"]["layer"], _without_noise)
    # What refers to the wrapper by name, the graph above all, finds its layer instead.
    entry = {**inner, "config": {**inner["config"], "name": config["config"]["name"]}}
    if "inbound_nodes" in config:
        # A copy: wrappers take their configuration apart while they read it.
        layer = keras.saving.deserialize_keras_object(copy.deepcopy(entry))
        accepted = inspect.signature(layer.call).parameters
        nodes = [
            {**node, "kwargs": {k: v for k, v in node["kwargs"].items() if k in accepted}}
            for node in config["inbound_nodes"]
        ]
        entry |= {"name": config["name"], "inbound_nodes": nodes}
    return entry


def _mean_weights(network, prune_below):
    """The weights that remain without the wrappers, in order, pruned."""
    wrappers = _layers_of(network, NoisyWrapper)
    dropped = {id(weight) for wrapper in wrappers for weight in _own_weights(wrapper)}
    ratios = {}
    for wrapper in wrappers:
        if isinstance(wrapper, VariationalWeights) and prune_below is not None:
            weights, values = wrapper.variational_weights, wrapper.signal_to_noise().values()
            # By identity: layers of two nested models may have the same path.
            ratios |= {id(w): ratio for w, ratio in zip(weights, values, strict=True)}
    means = []
    for weight in network.weights:
        if id(weight) in dropped:
            continue
        value = weight.numpy()
        if id(weight) in ratios:
            value = np.where(ratios[id(weight)] < prune_below, 0.0, value).astype(value.dtype)
        means.append(value)
    return means


def _own_weights(wrapper):
    """What a wrapper has beside the layer it holds: spreads, prices, noise parameters."""
    inner = {id(weight) for weight in wrapper.layer.weights}
    return [weight for weight in wrapper.weights if id(weight) not in inner]


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class _BatchStatistics(keras.layers.BatchNormalization):
    """Batch normalisation that always uses the batch, and pools what it saw over batches."""

    def build(self, input_shape):
        """As the layer, and room for what is pooled."""
        super().build(input_shape)
        shape = self.moving_mean.shape
        options = {"initializer": "zeros", "trainable": False, "dtype": "float32"}
        self.count = self.add_weight(shape=(), name="count", **options)
        self.pooled_mean = self.add_weight(shape=shape, name="pooled_mean", **options)
        self.pooled_variance = self.add_weight(shape=shape, name="pooled_variance", **options)

    def call(self, inputs, training=None, mask=None):
        """Normalise by the batch; add its statistics, weighed by the entries they are made of."""
        # Without momentum the moving statistics are those of the batch.
        outputs = super().call(inputs, training=True, mask=mask)
        if mask is None:
            count = tf.cast(tf.size(inputs) // tf.shape(inputs)[self.axis], tf.float32)
        else:
            count = tf.reduce_sum(tf.cast(mask, tf.float32))
        share = tf.math.divide_no_nan(count, self.count + count)
        difference = self.moving_mean - self.pooled_mean
        between = tf.square(difference) * (1.0 - share)
        within = self.moving_variance - self.pooled_variance
        self.pooled_variance.assign_add(share * (within + between))
        self.pooled_mean.assign_add(share * difference)
        self.count.assign_add(count)
        return outputs


class _Recording(keras.Model):
    """Runs a model for what its layers record: predictions would fill the memory."""

    def __init__(self, network):
        super().__init__(name="recording", autocast=False)
        self.network = network

    def call(self, inputs):
        """Nothing, one row per example."""
        outputs = self.network(inputs, training=False)
        return tf.zeros([tf.shape(keras.tree.flatten(outputs)[0])[0], 0])


def recalibrate_batch_normalization(
    model: keras.Model, data, *, batch_size: int | None = None, verbose: int | str = 0
) -> None:
    """Set the moving statistics of every batch normalisation to those of `data` without noise.

    In training, noise is part of what batch normalisation measures; at test time there is none.
    One pass with batch statistics and without noise or dropout, as in the code of "Information
    Dropout" before testing; means and variances are pooled over all examples of the pass (and
    unmasked time steps), whatever the sizes of the batches. For the first batch normalisation of
    a network they are those of the data; behind another they depend on the batches, since each is
    normalised by itself, as in training. Frozen layers keep their statistics.

    Args:
        model: an `InformationBottleneckModel`, or a sequential or functional model. Only its
            moving means and variances change.
        data: inputs as `keras.Model.predict` takes them, or an ``(x, y)`` tuple.
        batch_size, verbose: as of `keras.Model.predict`.

    Raises:
        TypeError: a subclassed model, or batch normalisation that cannot be replaced: a subclass
            of it, with ``renorm=True``, or made by a custom layer itself.
        ValueError: a model that is not built, or without batch normalisation.

    References:
        Achille & Soatto (2018), "Information Dropout", arXiv 1611.01353.
    """
    network = _rebuildable_network(model)
    layers = _layers_of(network, keras.layers.BatchNormalization)
    if not layers:
        raise ValueError(f"`model` has no BatchNormalization layer. Received: model={model.name!r}")
    recording = _rebuilt(network, _with_batch_statistics)
    for layer in _layers_of(recording, keras.layers.BatchNormalization):
        if type(layer) is not _BatchStatistics:
            raise TypeError(
                "Batch normalisation that is subclassed, renormalised or made by a custom layer "
                f"itself cannot be recalibrated. Received: layer={layer!r}"
            )
    recorders = _layers_of(recording, _BatchStatistics)
    pooled = {
        id(weight)
        for layer in recorders
        for weight in (layer.count, layer.pooled_mean, layer.pooled_variance)
    }
    targets = [weight for weight in recording.weights if id(weight) not in pooled]
    for target, weight in zip(targets, network.weights, strict=True):
        target.assign(weight)
    x = data[0] if isinstance(data, tuple) else data
    _Recording(recording).predict(x, batch_size=batch_size, verbose=verbose)
    for layer, recorder in zip(layers, recorders, strict=True):
        if layer.trainable:
            layer.moving_mean.assign(recorder.pooled_mean)
            layer.moving_variance.assign(recorder.pooled_variance)


def _with_batch_statistics(config):
    """For batch normalisation, the entry of the layer that measures in its place."""
    if (config.get("module"), config["class_name"]) != ("keras.layers", "BatchNormalization"):
        return None
    if config["config"].get("renorm"):
        return None
    registered_name = keras.saving.get_registered_name(_BatchStatistics)
    options = {**config["config"], "momentum": 0.0}
    return {**config, "config": options, "registered_name": registered_name}


def _layers_of(network, kind):
    return [layer for layer in network._flatten_layers() if isinstance(layer, kind)]


def _rebuildable_network(model):
    """The network of a model, if it is one whose layers can be replaced."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a Keras model. Received: model={model!r}")
    network = model.network if isinstance(model, InformationBottleneckModel) else model
    try:
        rebuildable = "layers" in network.get_config()
    except NotImplementedError:
        rebuildable = False
    if not rebuildable:
        raise TypeError(
            "`model` must be a sequential or functional model: the layers of a subclassed model "
            f"cannot be replaced from outside. Received: model={network!r}"
        )
    if not network.built:
        raise ValueError(f"`model` must be built. Received: model={network.name!r}, not built")
    return network

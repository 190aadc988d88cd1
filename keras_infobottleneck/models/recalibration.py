"""Measures the statistics of batch normalisation again, without the noise of training."""

from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import check_count, check_verbose
from keras_infobottleneck.introspection.contents import layers_of_kind
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.predicting import predict
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.models.rewriting import rebuildable_network, rebuilt

__all__ = ["recalibrate_batch_normalization"]


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class _BatchStatistics(keras.layers.BatchNormalization):
    """Batch normalisation that always uses the batch, and pools its statistics over batches."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the layer, with variables for the pooled statistics."""
        super().build(input_shape)
        shape = self.moving_mean.shape
        options = {"initializer": "zeros", "trainable": False, "dtype": "float32"}
        self.count = self.add_weight(shape=(), name="count", **options)
        self.pooled_mean = self.add_weight(shape=shape, name="pooled_mean", **options)
        self.pooled_variance = self.add_weight(shape=shape, name="pooled_variance", **options)

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Normalises by the batch; adds its statistics, weighted by the number of entries."""
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
    """Runs a model for the statistics of its layers; returns no predictions, to save memory."""

    def __init__(self, network: keras.Model):
        super().__init__(name="recording", autocast=False)
        self.network = network

    def call(self, inputs: Any) -> tf.Tensor:
        """An empty row for each example."""
        outputs = self.network(inputs, training=False)
        return tf.zeros([tf.shape(keras.tree.flatten(outputs)[0])[0], 0])


@on_replicas
def recalibrate_batch_normalization(
    model: keras.Model, data: Any, *, batch_size: int | None = None, verbose: int | str = 0
) -> None:
    """Sets the moving statistics of every batch normalisation to those of `data` without noise.

    The statistics from training include the noise, which is absent at test time. This makes one
    pass with batch statistics and without noise or dropout, as the code of "Information Dropout"
    does before testing. Means and variances are pooled over all examples of the pass (and unmasked
    time steps), for any batch sizes. For the first batch normalisation of a network they are
    those of the data. Behind another one they depend on the batches, since each batch is
    normalised by itself, as in training. Frozen layers keep their statistics.

    Args:
        model: An `InformationBottleneckModel`, or a sequential or functional model. Only its
            moving means and variances change.
        data: Inputs: an array or a list or dictionary of them, or ``(x, y)``; a `tf.data.Dataset`
            or a `keras.utils.PyDataset`. Labels are ignored.
        batch_size, verbose: As in `keras.Model.predict`.

    Raises:
        TypeError: The model is subclassed; a batch normalisation cannot be replaced, because it is
            a subclass, has ``renorm=True``, or is made by a custom layer; or the data are of
            another kind.
        ValueError: The model is not built, has no batch normalisation, or does not accept the data.

    References:
        Achille & Soatto (2018), "Information Dropout", arXiv 1611.01353.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        norm = keras.layers.BatchNormalization()
        model = keras.Sequential([keras.Input((2,)), norm])
        x = np.random.default_rng(0).normal(3.0, 2.0, size=(1000, 2)).astype("float32")
        kib.recalibrate_batch_normalization(model, x)
        print(np.allclose(norm.moving_mean, x.mean(0), atol=1e-3))
        ```

        ```text
        True
        ```
    """
    check_count("batch_size", batch_size, most=2**31 - 1, optional=True)
    check_verbose("verbose", verbose, ("auto",))
    network = rebuildable_network(model)
    layers = layers_of_kind(network, keras.layers.BatchNormalization)
    if not layers:
        raise ValueError(f"`model` has no BatchNormalization layer. Received: model={model.name!r}")
    batches = batches_for(model, data, batch_size, needs_labels=False)
    recording = rebuilt(network, _with_batch_statistics)
    for layer in layers_of_kind(recording, keras.layers.BatchNormalization):
        if type(layer) is not _BatchStatistics:
            raise TypeError(
                "Batch normalisation that is subclassed, renormalised or made by a custom layer "
                f"itself cannot be recalibrated. Received: layer={layer!r}"
            )
    recorders = layers_of_kind(recording, _BatchStatistics)
    pooled = {
        id(weight)
        for layer in recorders
        for weight in (layer.count, layer.pooled_mean, layer.pooled_variance)
    }
    targets = [weight for weight in recording.weights if id(weight) not in pooled]
    for target, weight in zip(targets, network.weights, strict=True):
        target.assign(weight)
    predict(_Recording(recording), batches, batch_size=batch_size, verbose=verbose)
    for layer, recorder in zip(layers, recorders, strict=True):
        if layer.trainable:
            layer.moving_mean.assign(recorder.pooled_mean)
            layer.moving_variance.assign(recorder.pooled_variance)


def _with_batch_statistics(config: dict[str, Any]) -> dict[str, Any] | None:
    """For batch normalisation, the configuration of the layer that measures; else None."""
    if (config.get("module"), config["class_name"]) != ("keras.layers", "BatchNormalization"):
        return None
    if config["config"].get("renorm"):
        return None
    registered_name = keras.saving.get_registered_name(_BatchStatistics)
    options = {**config["config"], "momentum": 0.0}
    return {**config, "config": options, "registered_name": registered_name}

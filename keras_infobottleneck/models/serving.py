"""Exports a SavedModel with two endpoints: posterior means and samples."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_infobottleneck.arguments import refusal
from keras_infobottleneck.layers.noisy_layer import noisy_layers, resting
from keras_infobottleneck.models.sampling import as_float32, drawn_outputs

__all__ = ["export_with_samples"]


def export_with_samples(
    network: keras.Model,
    symbolic_inputs: Any,
    filepath: Any,
    format: str = "tf_saved_model",
    verbose: bool | None = None,
    input_signature: Any = None,
) -> None:
    """Writes a SavedModel with the endpoints `serve` and `serve_samples`.

    `serve(x)` predicts with posterior means. `serve_samples(x, num_samples, seed)`, with two int32
    scalars, returns `[num_samples, examples, ...]`; each sample is one draw of all weights and
    activations for the batch, and the same seed gives the same samples.

    Args:
        network: Built network with layers that draw.
        symbolic_inputs: Symbolic inputs of the network; None if it has no graph.
        filepath, format, verbose, input_signature: As in `keras.Model.export`.

    Raises:
        ValueError: The format is another, the network does not draw or is not built, or it has
            neither a graph nor an `input_signature`.
    """
    if format != "tf_saved_model":
        raise ValueError(
            "`samples` is for format='tf_saved_model': the other formats do not keep the generator "
            f"of random numbers. Received: samples=True, format={format!r}"
        )
    if not network.built or not noisy_layers(network):
        raise refusal(ValueError, "model", "be built and have layers that draw", network)
    if input_signature is None and symbolic_inputs is None:
        raise ValueError(
            "`input_signature` must be given for a model without a graph. "
            f"Received: input_signature=None, model={network.name!r}"
        )
    if input_signature is None:
        specs = keras.tree.map_structure(
            lambda a: tf.TensorSpec([None, *a.shape[1:]], a.dtype), symbolic_inputs
        )
        input_signature = [specs]
    scalar = tf.TensorSpec([], tf.int32)

    def serve(inputs: Any) -> Any:
        with resting():
            return network(inputs, training=False)

    def serve_samples(inputs: Any, num_samples: tf.Tensor, seed: tf.Tensor) -> Any:
        # The seed that `predict_samples` uses for its first batch.
        pair = tf.stack([seed, tf.zeros_like(seed)])
        samples = drawn_outputs(network, inputs, num_samples, pair)
        return keras.tree.map_structure(as_float32, samples)

    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serve", serve, input_signature)
    archive.add_endpoint("serve_samples", serve_samples, [*input_signature, scalar, scalar])
    archive.write_out(filepath, verbose=verbose is not False)

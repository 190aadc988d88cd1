"""Predictions with drawn weights and activations, several for every example."""

import itertools
import threading
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count, check_flag, check_seed, check_verbose
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.introspection.compiled_maps import CompiledMap
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.predicting import predict
from keras_infobottleneck.introspection.replicas import measuring_strategy
from keras_infobottleneck.layers.noisy_layer import drawing

__all__ = ["Sampler", "Samplers", "as_float32", "drawn_outputs"]

BATCH_SIZE = 32  # of `keras.Model.predict`


class Sampler(keras.Model):
    """Draws while predicting, so that `predict` provides batching, datasets and progress bars."""

    def __init__(self, network: keras.Model, num_samples: int, weights: bool, activations: bool):
        # The network casts its own inputs.
        super().__init__(name="sampler", autocast=False)
        self.network, self.num_samples = network, num_samples
        self.kinds = {"weights": weights, "activations": activations}
        self.seed_generator = keras.random.SeedGenerator(0)
        self.maps = CompiledMap(lambda batch: self.draws(batch[0], batch[1][0]))

    def seed(self, seed: int | None) -> None:
        """Restarts the draws from a seed, or from a random one."""
        self.seed_generator.state.assign(keras.random.SeedGenerator(seed).state)

    def call(self, inputs: Any) -> Any:
        """Samples of the network's output, of shape [batch, num_samples, ...]."""
        return self.draws(inputs, self.seed_generator.next())

    def draws(self, inputs: Any, batch_seed: tf.Tensor) -> Any:
        """Samples of shape [batch, num_samples, ...], from the seed of a batch, two integers."""
        seed = tf.cast(batch_seed, tf.int32)
        samples = drawn_outputs(self.network, inputs, self.num_samples, seed, **self.kinds)
        return keras.tree.map_structure(_batch_first, samples)


def drawn_outputs(
    network: keras.Model,
    inputs: Any,
    num_samples: int | tf.Tensor,
    seed: tf.Tensor,
    *,
    weights: bool = True,
    activations: bool = True,
) -> Any:
    """Outputs of a network that draws, `[num_samples, batch, ...]`, in the network's dtypes.

    Args:
        network: Network with noisy layers; other random layers do not draw.
        inputs: Inputs of a batch.
        num_samples: Number of draws, each of all weights and activations that are drawn.
        seed: Integer tensor `[2]`, which determines the draws.
        weights, activations: Whether they are drawn.
    """

    def draw(index: tf.Tensor) -> Any:
        seed_of_draw = tf.random.experimental.stateless_fold_in(seed, index)
        with drawing(seed_of_draw, weights=weights, activations=activations):
            return network(inputs, training=False)

    # Only the shapes and dtypes are used: the pass itself is pruned from the graph.
    outputs = network(inputs, training=False)
    spec = keras.tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), outputs)
    return tf.map_fn(draw, tf.range(num_samples), fn_output_signature=spec)


def _predict_on_replicas(sampler: Sampler, batches: Batches, verbose: Any) -> Any:
    """The result of the sampler's `predict`, with whole batches on the replicas.

    Keras would divide each batch among the replicas, and its noise would be different.
    """
    start = sampler.seed_generator.state.numpy()
    # Counted as `keras.random.SeedGenerator.next` does.
    seeds = (start + np.array([0, number], start.dtype) for number in itertools.count())
    parts = ((inputs, next(seeds)[None]) for inputs, _ in batches.parts(1))
    # Keras uses a progress bar for "auto".
    bar = keras.utils.Progbar(batches.num_batches, verbose=1 if verbose == "auto" else verbose)
    samples = []
    for part in sampler.maps.over(parts):
        samples.append(keras.tree.map_structure(np.asarray, part))
        bar.update(len(samples))
    return keras.tree.map_structure(lambda *each: np.concatenate(each), *samples)


def _batch_first(samples: tf.Tensor) -> tf.Tensor:
    """Moves the axis of examples first; half precision becomes float32, for later averages."""
    return as_float32(tf.experimental.numpy.moveaxis(samples, 0, 1))


def as_float32(samples: tf.Tensor) -> tf.Tensor:
    """Floating samples as float32; others unchanged."""
    return tf.cast(samples, tf.float32) if samples.dtype.is_floating else samples


class Samplers:
    """The samplers of one network, kept so that a second call needs no tracing.

    This is not a Keras object, so that the network's model does not track them.
    """

    def __init__(self) -> None:
        self._samplers: dict[tuple[int, bool, bool], Sampler] = {}
        self._turn = threading.RLock()

    def samples(
        self,
        model: keras.Model,
        x: Any,
        num_samples: int,
        weights: bool,
        activations: bool,
        batch_size: int | None,
        verbose: int | str,
        seed: int | None,
    ) -> Any:
        """Samples `[num_samples, examples, ...]`; arguments as in `predict_samples`."""
        check_count("num_samples", num_samples, most=2**31 - 1)  # the limit of a TensorFlow loop
        check_flag("weights", weights)
        check_flag("activations", activations)
        check_count("batch_size", batch_size, most=2**31 - 1, optional=True)
        check_verbose("verbose", verbose, ("auto",))
        check_seed("seed", seed)
        # A tuple of arrays is a structure of inputs here, as in `predict`.
        data = (x,) if isinstance(x, tuple) else x
        options: dict[str, Any] = {
            "name": "x",
            "needs_labels": False,
            "default_batch_size": BATCH_SIZE,
        }
        batches = batches_for(model, data, batch_size, **options)
        key = int(num_samples), bool(weights), bool(activations)
        # A sampler draws from its seed, so only one thread may use it at a time.
        with self._turn:
            if key not in self._samplers:
                self._samplers[key] = Sampler(model.network, *key)
            sampler = self._samplers[key]
            sampler.seed(seed)
            if measuring_strategy() is None:
                samples = predict(sampler, batches, batch_size=batch_size, verbose=verbose)
            else:
                samples = _predict_on_replicas(sampler, batches, verbose)
        return keras.tree.map_structure(lambda array: np.moveaxis(array, 1, 0), samples)

"""Predictions with drawn weights and activations, many for every example."""

import threading

import keras
import tensorflow as tf

from keras_infobottleneck.introspection.predicting import predict
from keras_infobottleneck.layers.noisy_layer import drawing

__all__ = ["Sampler", "Samplers"]


class Sampler(keras.Model):
    """Draws while predicting, so that `predict` brings batching, data sets and progress bars."""

    def __init__(self, network, num_samples, weights, activations):
        # The network casts its own inputs.
        super().__init__(name="sampler", autocast=False)
        self.network, self.num_samples = network, num_samples
        self.kinds = {"weights": weights, "activations": activations}
        self.seed_generator = keras.random.SeedGenerator(0)

    def seed(self, seed: int | None):
        """Start the draws from a seed, or anywhere."""
        self.seed_generator.state.assign(keras.random.SeedGenerator(seed).state)

    def call(self, inputs):
        """Samples of the network's output, of shape [batch, num_samples, ...]."""
        batch_seed = tf.cast(self.seed_generator.next(), tf.int32)

        def draw(index):
            seed = tf.random.experimental.stateless_fold_in(batch_seed, index)
            with drawing(seed, **self.kinds):
                return self.network(inputs, training=False)

        # Only its shapes and dtypes are used: the pass itself is pruned from the graph.
        outputs = self.network(inputs, training=False)
        spec = keras.tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), outputs)
        samples = tf.map_fn(draw, tf.range(self.num_samples), fn_output_signature=spec)
        return keras.tree.map_structure(_batch_first, samples)


def _batch_first(samples):
    """Axes of draws and examples exchanged; half precision ends here, for what is averaged next."""
    samples = tf.experimental.numpy.moveaxis(samples, 0, 1)
    return tf.cast(samples, tf.float32) if samples.dtype.is_floating else samples


class Samplers:
    """The samplers of one network, kept so that a second call traces nothing.

    Not a Keras object on purpose: the network's model must not track them.
    """

    def __init__(self):
        self._samplers = {}
        self._turn = threading.RLock()

    def predict(self, network, num_samples, weights, activations, batches, *, seed, **options):
        """Samples from a seed; `options` are those of `keras.Model.predict`."""
        key = num_samples, bool(weights), bool(activations)
        # A sampler draws from where it was seeded: one thread after the other.
        with self._turn:
            if key not in self._samplers:
                self._samplers[key] = Sampler(network, *key)
            sampler = self._samplers[key]
            sampler.seed(seed)
            return predict(sampler, batches, **options)

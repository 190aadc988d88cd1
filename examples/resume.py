"""Resume a killed training so that it ends with the same weights, bit for bit.

A network with noise draws at every step. A resumed training ends like an uninterrupted one only if
the state of the noise is restored with the weights and the optimizer, and if the order of
the data depends only on the epoch. `kib.callbacks.Checkpoint` saves the first three in one
file, written atomically after each epoch; the data set below ensures the fourth.

The script compares all weights of an uninterrupted training with those of one that is killed in the
middle of an epoch and started again from the file alone. Expected: the largest difference is 0.
Run time: a quarter of a minute.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, script

FLAGS = flags.FLAGS
script.define_flags("outputs/resume")
flags.DEFINE_integer("epochs", 10, "Epochs.", 3)
BATCH_SIZE = 50


class Death(keras.callbacks.Callback):
    """Ends the training in the middle of an epoch, as a kill would."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.epoch, self.batch = epoch, batch
        self.now = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Remember the epoch."""
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Die at the batch that was named."""
        if (self.now, batch) == (self.epoch, self.batch):
            raise InterruptedError


def run():
    """Train undisturbed; train, die, resume; compare."""
    images = datasets.load(path=FLAGS.data)
    folder = script.output_folder()
    size, epochs = (200, 3) if FLAGS.smoke else (len(images.x_train), FLAGS.epochs)
    images = images._replace(x_train=images.x_train[:size], y_train=images.y_train[:size])
    path = folder / "training.npz"
    path.unlink(missing_ok=True)

    undisturbed = train(images, epochs)
    died_at = epochs // 2
    try:
        train(images, epochs, path, death=Death(died_at, batch=2))
    except InterruptedError:
        print(f"died in epoch {died_at + 1} of {epochs}; the file holds the end of epoch {died_at}")
    resumed = train(images, epochs, path)
    pairs = zip(undisturbed.get_weights(), resumed.get_weights(), strict=True)
    difference = max(float(np.max(np.abs(a - b))) for a, b in pairs)
    script.finish(
        f"largest difference of any weight between resumed and undisturbed: {difference:g}",
        largest_difference=difference,
        died_in_epoch=died_at + 1,
        epochs=epochs,
        nats=float(resumed.weight_information()),
    )


def train(images, epochs, path=None, death=None) -> keras.Model:
    """Train a noisy network, from where the file at `path` left it."""
    keras.utils.set_random_seed(FLAGS.seed)
    network = keras.Sequential(
        [
            keras.Input(images.x_train.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(images.num_classes),
        ]
    )
    model = kib.make_variational(
        network, num_examples=len(images.x_train), weight_beta=0.1, seed=FLAGS.seed, verbose=0
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callbacks, start = [death] if death else [], 0
    if path:
        checkpoint = kib.callbacks.Checkpoint(os.fspath(path))
        start = checkpoint.restore(model)  # 0 where there is no file
        callbacks.append(checkpoint)
    model.fit(
        batches(images.x_train, images.y_train, start, epochs),
        steps_per_epoch=-(-len(images.x_train) // BATCH_SIZE),
        initial_epoch=start,
        epochs=epochs,
        verbose=0,
        callbacks=callbacks,
    )
    return model


def batches(x, y, start, stop) -> tf.data.Dataset:
    """Batches of the epochs from `start` on, in an order that depends on the epoch alone."""

    def of_epoch(epoch):
        seed = tf.stack([FLAGS.seed, tf.cast(epoch, tf.int32)])
        order = tf.random.experimental.stateless_shuffle(tf.range(len(x)), seed)
        return tf.data.Dataset.from_tensor_slices((tf.gather(x, order), tf.gather(y, order)))

    epochs = tf.data.Dataset.range(start, stop)
    return epochs.flat_map(lambda epoch: of_epoch(epoch).batch(BATCH_SIZE))


if __name__ == "__main__":
    script.main(run)

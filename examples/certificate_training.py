"""Training for the certificate script: resumable, with a progress bar, and the time it takes."""

import time

import keras
import tensorflow as tf

import keras_infobottleneck as kib


class Clock:
    """Seconds since it was made: of the processor, and of the clock on the wall."""

    def __init__(self):
        self.process, self.wall = time.process_time(), time.perf_counter()

    def seconds(self) -> dict:
        """Both, by name."""
        return {
            "process": time.process_time() - self.process,
            "wall": time.perf_counter() - self.wall,
        }


def train(model, x, y, epochs, *, title, filepath, batch_size, shift, seed) -> tuple[dict, dict]:
    """Train from where the checkpoint at `filepath` was; the history, and the seconds in all."""
    checkpoint = kib.callbacks.Checkpoint(filepath)
    first = checkpoint.restore(model)
    if first < epochs:
        model.fit(
            _batches(x, y, range(first, epochs), batch_size, shift, seed),
            steps_per_epoch=-(-len(x) // batch_size),
            epochs=epochs,
            initial_epoch=first,
            shuffle=False,
            verbose=0,
            callbacks=[_Progress(title, epochs), checkpoint],
        )
    history = dict(checkpoint.history)
    seconds = {kind: sum(history.pop(f"{kind}_seconds")) for kind in ("process", "wall")}
    return history, seconds


class _Progress(keras.callbacks.Callback):
    """A bar over epochs; adds the time of each to the logs."""

    shown = ("loss", "accuracy", "weight_information")

    def __init__(self, title, epochs):
        super().__init__()
        self.title, self.epochs = title, epochs

    def on_train_begin(self, logs=None):
        print(self.title, flush=True)
        names = list(self.shown)
        self.bar = keras.utils.Progbar(self.epochs, unit_name="epoch", stateful_metrics=names)

    def on_epoch_begin(self, epoch, logs=None):
        self.clock = Clock()

    def on_epoch_end(self, epoch, logs):
        self.bar.update(epoch + 1, [(key, logs[key]) for key in self.shown if key in logs])
        logs.update({f"{kind}_seconds": s for kind, s in self.clock.seconds().items()})


def _batches(x, y, epochs, batch_size, shift, seed):
    """Batches of all epochs to come; order and shifts depend on seed and epoch alone."""
    x, y = tf.constant(x), tf.constant(y)

    def batches_of(epoch):
        epoch_seed = tf.stack([seed, tf.cast(epoch, tf.int32)])
        order = tf.random.experimental.stateless_shuffle(tf.range(len(x)), epoch_seed)
        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size).enumerate()
        return batches.map(lambda index, chosen: batch(epoch_seed, index, chosen))

    def batch(epoch_seed, index, chosen):
        images = tf.gather(x, chosen)
        if shift:
            batch_seed = tf.random.experimental.stateless_fold_in(epoch_seed, index)
            pixels = tf.random.stateless_uniform([2], batch_seed, -shift, shift + 1, dtype=tf.int32)
            images = tf.roll(images, pixels, axis=[1, 2])
        return images, tf.gather(y, chosen)

    return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(batches_of).prefetch(1)

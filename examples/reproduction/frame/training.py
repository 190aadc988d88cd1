"""Training that the claim scripts share: goes on where it was killed, and starts again as new."""

import sys
import warnings
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

import keras_infobottleneck as kib


def train(
    model: keras.Model,
    x,
    y,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    checkpoint: kib.callbacks.Checkpoint,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    passes: int = 1,
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> dict[str, list[float]]:
    """Train a compiled, built model from where it was killed, with one bar over the epochs.

    The order of the examples depends on `seed` and epoch alone; incomplete last batches are kept.
    An epoch is `passes` passes over the data: what comes after each epoch then comes less often.
    `augment` changes the inputs of a batch, by chance that depends on a seed of two numbers alone.

    Returns:
        The logs of all epochs, also of those before the kill.
    """
    first = checkpoint.restore(model)
    if passes > 1:
        # The model counts the examples of an epoch, and would take several passes for a mistake.
        warnings.filterwarnings("ignore", message="The information in the weights is divided")
    if first < epochs:
        model.fit(
            _batches(x, y, batch_size, seed, first * passes, epochs * passes, augment),
            steps_per_epoch=passes * -(-len(x) // batch_size),
            epochs=epochs,
            initial_epoch=first,
            shuffle=False,
            verbose=0,
            callbacks=[*callbacks, _Bar(epochs), checkpoint],
        )
    return checkpoint.history


def start_again(model: keras.Model, untrained: keras.Model, learning_rate: float) -> None:
    """Bring a compiled model to where `untrained` is, so that nothing of it is compiled twice."""
    model.set_weights(untrained.get_weights())
    for variable in model.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    model.optimizer.learning_rate = learning_rate


def optimizer(
    epochs: int, steps_per_epoch: int, *, rate: float | None = None, falls_at: tuple = ()
) -> keras.optimizers.Optimizer:
    """Adam, its rate falling from 0.01 to zero by a cosine; or what was published for All-CNN.

    With `rate` it is gradient descent with Nesterov's momentum, its rate falling tenfold at each
    share of the epochs in `falls_at`.
    """
    schedules = keras.optimizers.schedules
    if rate is None:
        return keras.optimizers.Adam(schedules.CosineDecay(1e-2, epochs * steps_per_epoch))
    steps = [round(share * epochs) * steps_per_epoch for share in falls_at]
    rates = [rate / 10**falls for falls in range(len(falls_at) + 1)]
    falling = schedules.PiecewiseConstantDecay(steps, rates)
    return keras.optimizers.SGD(falling, momentum=0.9, nesterov=True)


def schedules(
    model: kib.InformationBottleneckModel, *, epochs: int, price: float, rate: float
) -> list[keras.callbacks.Callback]:
    """Schedules of the price of a nat and of the learning rate that end in few nats.

    The price rises slowly to four times `price`, and is let down to it: at the full price from the
    first step a network collapses to its prior, and weights that know nothing return to the prior
    while the price is high. The learning rate falls, from two fifths of the epochs on, to a
    fortieth.
    """

    def price_at(epoch):
        share = epoch / epochs
        if share < 0.55:
            return price * 0.025 * 160.0 ** min(1.0, 3.0 * share)
        return price * 4.0 ** max(0.0, 1.0 - (share - 0.55) / 0.25)

    def rate_at(epoch):
        return rate * 40.0 ** -min(1.0, max(0.0, 2.0 * epoch / epochs - 0.8))

    return [
        kib.callbacks.BetaSchedule(model.weight_beta, price_at),
        keras.callbacks.LearningRateScheduler(rate_at),
    ]


def error_rate(model: keras.Model, x, y) -> float:
    """Share of wrong answers of a classifier, without noise."""
    # Called as it is: tracing a function for one pass takes longer than the pass.
    answers = [np.argmax(model(x[i : i + 500]), -1) for i in range(0, len(x), 500)]
    return float(np.mean(np.concatenate(answers) != y))


def _batches(x, y, batch_size, seed, first_pass, passes, augment) -> tf.data.Dataset:
    """Batches of all passes to come."""
    x, y = tf.constant(x), tf.constant(y)

    def of_pass(number):
        pass_seed = tf.stack([seed, tf.cast(number, tf.int32)])
        order = tf.random.experimental.stateless_shuffle(tf.range(len(x)), pass_seed)
        order = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return order.enumerate().map(lambda index, chosen: batch(pass_seed, index, chosen))

    def batch(pass_seed, index, chosen):
        inputs = tf.gather(x, chosen)
        if augment:
            inputs = augment(inputs, tf.random.experimental.stateless_fold_in(pass_seed, index))
        return inputs, tf.gather(y, chosen)

    return tf.data.Dataset.range(first_pass, passes).flat_map(of_pass).prefetch(2)


class _Bar(keras.callbacks.Callback):
    """One progress bar over all epochs, on a terminal only."""

    def __init__(self, epochs):
        super().__init__()
        self.bar = keras.utils.Progbar(epochs, unit_name="epoch") if sys.stdout.isatty() else None

    def on_epoch_end(self, epoch, logs=None):
        if self.bar:
            self.bar.update(epoch + 1, [(k, v) for k, v in (logs or {}).items()])

"""An epoch of our Boltzmann machine against scikit-learn's, and the likelihood each reaches.

Persistent contrastive divergence with one Gibbs step, 500 hidden units, batches of 100, the same
learning rate and number of epochs. The pseudo-likelihood of both is computed by one function on the
same held-out images with the same flipped pixels. The three are timed one after the other, in
several fresh processes; the speed-up is the median of these repeats.
Run time: three minutes on two cores with MNIST (`--data mnist.npz`), seconds on the digits.
"""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import sys
import time

import keras
import numpy as np
from absl import app, flags
from sklearn.datasets import load_digits
from sklearn.neural_network import BernoulliRBM

from keras_infobottleneck import models

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "npz file with x_train and x_test; default digits")
flags.DEFINE_string("output_dir", "outputs/benchmarks", "where the JSON file is written")
flags.DEFINE_bool("smoke", False, "one epoch of a small machine")
flags.DEFINE_integer("units", 500, "hidden units")
flags.DEFINE_integer("epochs", 5, "epochs of each machine")
flags.DEFINE_integer("repeats", 3, "how many times the three machines are trained")
flags.DEFINE_float("learning_rate", 0.05, "learning rate of both")


def load(path):
    if path is None:
        x = (load_digits().data / 16).astype("float32")
        return x[:1500], x[1500:]
    with np.load(path, allow_pickle=False) as data:
        return tuple(
            data[name].reshape(len(data[name]), -1).astype("float32") / 255
            for name in ("x_train", "x_test")
        )


def pseudo_likelihood(x, kernel, visible_bias, hidden_bias):
    """Mean log-pseudo-likelihood per example, nats, from one flipped unit each."""
    rng = np.random.default_rng(0)
    v = (x > 0.5).astype(np.float64)
    rows = np.arange(len(v))
    flip = rng.integers(v.shape[1], size=len(v))
    flipped = v.copy()
    flipped[rows, flip] = 1 - flipped[rows, flip]

    def free_energy(v):
        return -v @ visible_bias - np.logaddexp(0, v @ kernel + hidden_bias).sum(axis=1)

    return float(-v.shape[1] * np.logaddexp(0, free_energy(v) - free_energy(flipped)).mean())


class EpochTimes(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Keep the time."""
        self.seconds.append(time.perf_counter() - self.start)


def ours(x, x_test):
    """Seconds of each epoch, compilation in the first, and the pseudo-likelihood reached."""
    machine = models.RestrictedBoltzmannMachine(FLAGS.units, persistent=True, seed=0)
    optimizer = keras.optimizers.SGD(FLAGS.learning_rate)
    machine.compile(optimizer, jit_compile=True, steps_per_execution=100)
    times = EpochTimes()
    machine.fit(x, batch_size=100, epochs=FLAGS.epochs, verbose=0, callbacks=[times])
    weights = (machine.kernel, machine.visible_bias, machine.hidden_bias)
    return times.seconds, pseudo_likelihood(x_test, *(w.numpy().astype(float) for w in weights))


def scikit(x, x_test, epochs):
    """Mean seconds of an epoch and the pseudo-likelihood reached."""
    options = {"batch_size": 100, "n_iter": epochs, "random_state": 0}
    machine = BernoulliRBM(FLAGS.units, learning_rate=FLAGS.learning_rate, **options)
    start = time.perf_counter()
    machine.fit(x)
    spent = (time.perf_counter() - start) / epochs
    weights = machine.components_.T, machine.intercept_visible_, machine.intercept_hidden_
    return spent, pseudo_likelihood(x_test, *(w.astype(float) for w in weights))


def repeat(arguments):
    """One training of each machine, in the process at hand."""
    FLAGS(arguments)
    x, x_test = load(FLAGS.data)
    if FLAGS.smoke:
        FLAGS.epochs, FLAGS.units = 1, 16
    epochs, likelihood = ours(x, x_test)
    single, single_likelihood = scikit(x, x_test, FLAGS.epochs)
    double, double_likelihood = scikit(x.astype(np.float64), x_test, FLAGS.epochs)
    epoch = float(np.median(epochs[1:] or epochs))
    return {
        "num_examples": len(x),
        "seconds_per_epoch": epoch,
        "seconds_first_epoch": epochs[0],
        "scikit_float32_seconds_per_epoch": single,
        "scikit_float64_seconds_per_epoch": double,
        "times_faster_than_float32": single / epoch,
        "times_faster_than_float64": double / epoch,
        "pseudo_likelihood": likelihood,
        "scikit_float32_pseudo_likelihood": single_likelihood,
        "scikit_float64_pseudo_likelihood": double_likelihood,
    }


def main(argv):
    del argv
    # What one training leaves in memory must not slow down the next.
    fresh = concurrent.futures.ProcessPoolExecutor(
        max_workers=1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    )
    with fresh:
        repeats = list(fresh.map(repeat, [sys.argv] * (1 if FLAGS.smoke else FLAGS.repeats)))
    median = {name: float(np.median([r[name] for r in repeats])) for name in repeats[0]}
    report = {
        "epochs": FLAGS.epochs,
        "units": FLAGS.units,
        "conditions": "each repeat in a fresh process, ours first",
        "cores": os.cpu_count(),
        "load_at_end": os.getloadavg()[0],
        "median": median,
        "repeats": repeats,
    }
    output = pathlib.Path(FLAGS.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    (output / "boltzmann.json").write_text(json.dumps(report, indent=1) + "\n")
    print(
        f"RESULT epoch {median['seconds_per_epoch']:.2f} s, "
        f"{median['times_faster_than_float32']:.2f} times faster than scikit-learn in float32 and "
        f"{median['times_faster_than_float64']:.2f} in float64; log-pseudo-likelihood "
        f"{median['pseudo_likelihood']:.1f} against "
        f"{median['scikit_float32_pseudo_likelihood']:.1f} and "
        f"{median['scikit_float64_pseudo_likelihood']:.1f} nats"
    )


if __name__ == "__main__":
    app.run(main)

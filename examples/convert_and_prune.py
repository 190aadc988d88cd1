"""Prune a trained network: convert it to noisy weights, train it at a price, prune, convert back.

A weight that the network needs keeps a mean far above the scale of its noise; a weight
that it does not need falls to the prior and costs nothing. So the signal-to-noise ratio orders the
weights, and `make_deterministic` sets those below a threshold to zero and returns plain Keras
layers.

The result is compared with the trained network itself, and with the same network with as many
weights pruned by size, the usual rule, without further training. Expected: a quarter of the weights
is kept for a percentage point of accuracy; by size alone the same share costs some thirteen points.
Run time: half a minute.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, script

FLAGS = flags.FLAGS
script.define_flags("outputs/convert_and_prune")
flags.DEFINE_integer("epochs", 100, "Epochs with a price, after as many without noise.", 2)
flags.DEFINE_float("weight_beta", 0.1, "Price of a nat in the weights.", 1e-6)
flags.DEFINE_float("threshold", 0.5, "Signal-to-noise ratio below which a weight is pruned.", 0.0)


def run():
    """Train, convert, train with a price, prune, compare."""
    images = datasets.load(path=FLAGS.data)
    folder = script.output_folder()
    x, y = images.x_train, images.y_train
    epochs = 2 if FLAGS.smoke else FLAGS.epochs
    keras.utils.set_random_seed(FLAGS.seed)
    trained = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(images.num_classes),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained.compile("adam", loss)
    trained.fit(x, y, batch_size=50, epochs=epochs, verbose=0)

    noisy = kib.make_variational(
        trained, num_examples=len(x), weight_beta=FLAGS.weight_beta, seed=FLAGS.seed, verbose=0
    )
    # The price rises from zero: what the network knows is to be given up slowly.
    rising = kib.callbacks.BetaSchedule(
        noisy.weight_beta, stop=FLAGS.weight_beta, num_epochs=epochs // 2
    )
    noisy.compile("adam", loss)
    noisy.fit(x, y, batch_size=50, epochs=epochs, verbose=0, callbacks=[rising])
    pruned = kib.make_deterministic(noisy, prune_below=FLAGS.threshold)
    pruned.save(folder / "pruned.keras")  # plain Keras: loads without this package

    kept = share_of_kernels(pruned)
    by_size = keras.models.clone_model(trained)
    by_size.set_weights([largest(weight, kept) for weight in trained.get_weights()])
    accuracy = {
        name: share_right(model, images.x_test, images.y_test)
        for name, model in {
            "trained": trained,
            "with noise, means": noisy,
            "pruned by signal to noise": pruned,
            "pruned by size": by_size,
        }.items()
    }
    script.finish(
        f"{kept:.1%} of the weights kept; test accuracy: "
        + ", ".join(f"{name} {value:.1%}" for name, value in accuracy.items()),
        share_kept=kept,
        test_accuracy=accuracy,
        nats=float(noisy.weight_information()),
    )


def share_of_kernels(model) -> float:
    """Share of all kernels' entries that are not zero."""
    kernels = [weight for weight in model.get_weights() if weight.ndim > 1]
    return sum(np.count_nonzero(k) for k in kernels) / sum(k.size for k in kernels)


def largest(weight, share) -> np.ndarray:
    """A kernel with this share of its entries kept, the largest ones; biases as they are."""
    if weight.ndim < 2:
        return weight
    return np.where(np.abs(weight) >= np.quantile(np.abs(weight), 1 - share), weight, 0.0)


def share_right(model, x, y) -> float:
    """Accuracy on given images."""
    return float(np.mean(model.predict(x, verbose=0).argmax(-1) == y))


if __name__ == "__main__":
    script.main(run)

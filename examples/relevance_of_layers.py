"""Measure the resolution and relevance of the hidden states of each layer.

Each image is in a state of a layer, which says which of its units are active. Resolution H[s] is
the entropy of the states: how finely the layer distinguishes images. Relevance H[K] is the entropy
of the frequencies of states: a bound on the information that the states can hold about anything
not yet specified. At a given resolution relevance has a maximum, reached by samples that follow a
power law.

A classifier with ever narrower layers is measured before and after training, in units of log M, for
M images. Its relevance is compared with the maximum at that resolution, and with that of shuffled
units, which keep only how often each unit is active; an excess over these comes from the layer.
Expected: the layers lie close to the maximum, but shuffled units are nearly as close.
Run time: half a minute. The paper's deep belief networks: ``reproduction/resolution_relevance``.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import matplotlib
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, script

matplotlib.use("Agg")

import matplotlib.pyplot as plt

FLAGS = flags.FLAGS
script.define_flags("outputs/relevance_of_layers")
flags.DEFINE_integer("epochs", 60, "Epochs.", 1)
UNITS = (40, 20, 12, 8, 6)


def run():
    """Measure all layers, train, measure again."""
    images = datasets.load(path=FLAGS.data)
    folder = script.output_folder()
    size = 200 if FLAGS.smoke else 5000  # at most
    x, y = images.x_train[:size], images.y_train[:size]
    keras.utils.set_random_seed(FLAGS.seed)
    hidden = [keras.layers.Dense(n, activation="relu", name=f"units_{n}") for n in UNITS]
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Flatten(),
            *hidden,
            keras.layers.Dense(images.num_classes),
        ]
    )
    curve = kib.estimators.maximum_relevance_curve(len(x))
    rows = {"before training": measure(model, x, curve)}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=50, epochs=2 if FLAGS.smoke else FLAGS.epochs, verbose=0)
    rows["after training"] = measure(model, x, curve)
    logs = model.evaluate(images.x_test, images.y_test, verbose=0, return_dict=True)
    accuracy = logs["accuracy"]
    draw(rows, curve, folder / "figure.png")
    best = max(rows["after training"], key=lambda row: row["relevance"] - row["shuffled"])
    script.finish(
        f"layer of {best['units']} units: H[s] {best['resolution']:.3f}, H[K] "
        f"{best['relevance']:.3f} of {best['possible']:.3f} possible, {best['shuffled']:.3f} with "
        f"units shuffled apart; test accuracy {accuracy:.1%}",
        layers=rows,
        test_accuracy=accuracy,
    )


def measure(model, x, curve) -> list[dict[str, float]]:
    """A row for each hidden layer: its place, and what it is compared with, in units of log M."""
    rows = []
    for units in UNITS:
        states = kib.estimators.hidden_states(model, x, f"units_{units}")
        point = kib.estimators.resolution_relevance(states)
        null = kib.estimators.relevance_null(states, seed=FLAGS.seed)
        shuffled, spread = null.at(min(point.resolution, null.resolution))
        rows.append(
            {
                "units": units,
                "resolution": point.resolution,
                "relevance": point.relevance,
                "possible": float(curve.at(point.resolution)),
                "shuffled": float(shuffled),
                "shuffled_std": float(spread),
            }
        )
    return rows


def draw(rows, curve, path):
    """The plane of resolution and relevance, before and after."""
    figure, axis = plt.subplots(figsize=(7, 5), layout="constrained")
    for name, measured in rows.items():
        is_last = name == "after training"
        resolution = [row["resolution"] for row in measured]
        null = (resolution, [row["shuffled"] for row in measured])
        kib.plots.plot_resolution_relevance(
            resolution,
            [row["relevance"] for row in measured],
            labels=[str(row["units"]) for row in measured],
            name=name,
            hull=curve.hull() if is_last else None,
            null=null if is_last else None,
            ax=axis,
        )
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    script.main(run)

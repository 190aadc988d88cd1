"""Where the layers of a deep belief network and of a classifier lie on the plane of relevance.

Claim (Song, Marsili, Jo, 2018, arXiv 1710.11324): the layers of a deep belief network lie close to
the curve of maximal relevance, and the layer that generates best is the one nearest Zipf's law.

For each layer: resolution and relevance of its states over the training images, how far below the
curve they are, the null of units shuffled apart at equal resolution, the Zipf exponent, and two
tests of generation judged by a classifier: whether images made from the states of held-out images
keep their class, and how sure the classifier is of images made by the layer's own machine after
many Gibbs steps from random states. Controls: the network before training, random linear units of
the images, and a classifier of rectified units.

Found on MNIST (docs/results/resolution_relevance_mnist.json): with depth resolution falls, and
relevance rises, then falls, close to the curve; but units shuffled apart are as close at equal
resolution. The layer nearest Zipf's law (30 units) does not generate best by either test. Run time:
about a minute on the digits of scikit-learn, about six minutes on MNIST (`--data mnist.npz`, arrays
x_train, y_train, x_test, y_test) on two cores.
"""

import json
import pathlib

import datasets
import keras
import matplotlib
import numpy as np
from absl import app, flags

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from keras_infobottleneck import estimators, models
from keras_infobottleneck.plots import plot_rank_frequency, plot_resolution_relevance

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "npz file with x_train, y_train, x_test, y_test; default digits")
flags.DEFINE_string("output_dir", "outputs/resolution_relevance", "where results are written")
flags.DEFINE_bool("smoke", False, "a tiny run that only shows that everything works")
flags.DEFINE_integer("epochs", None, "epochs per layer; default 100 (digits) or 10 (--data)", 1)
flags.DEFINE_list("units", None, "widths of the layers; default 64..5 (digits) or 500..5 (--data)")
flags.DEFINE_integer("generated", 2000, "images generated per layer", 1)
flags.DEFINE_integer("gibbs_steps", 200, "Gibbs steps of the free generation", 0)
flags.DEFINE_integer("seed", 0, "random seed")

DIGITS_UNITS = [64, 40, 25, 15, 10, 5]
MNIST_UNITS = [500, 250, 120, 60, 30, 25, 20, 15, 10, 5]
CLASSIFIER_UNITS = [60, 40, 25, 15, 10]


def load(path):
    """Images in [0, 1] as rows, and labels, for training and for testing."""
    if path is None:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        x = (x / 16).astype("float32")
        order = np.random.default_rng(0).permutation(len(x))
        train, test = order[:1400], order[1400:]
        return x[train], y[train], x[test], y[test]
    try:
        images = datasets.load(path=path)
    except ValueError as error:
        raise app.UsageError(f"--data: {error}") from error
    x_train, x_test = (x.reshape(len(x), -1) for x in (images.x_train, images.x_test))
    return x_train, images.y_train, x_test, images.y_test


def train_classifier(x, y, units, epochs, batch_size):
    """Train a classifier with rectified hidden layers, whose states are the active units."""
    model = keras.Sequential([keras.Input(x.shape[1:])])
    for index, size in enumerate(units):
        model.add(keras.layers.Dense(size, "relu", name=f"layer_{index + 1}"))
    model.add(keras.layers.Dense(10, name="logits"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
    return model


def measure(states, curve):
    """Place of a layer on the plane, its null at equal resolution, and its Zipf exponent."""
    counts = estimators.StateCounts().update(states).counts
    point = estimators.resolution_relevance_of_counts(counts)
    null = estimators.relevance_null(states, num_draws=4, seed=FLAGS.seed)
    null_relevance, null_std = null.at(min(point.resolution, null.resolution))
    result = point.to_dict() | {
        "units": states.shape[1],
        "below_curve": float(curve.at(min(point.resolution, 1.0))) - point.relevance,
        "null_relevance_at_equal_resolution": float(null_relevance),
        "null_relevance_std": float(null_std),
        "shuffled_resolution": null.resolution,
        "shuffled_relevance": null.relevance,
    }
    if len(np.unique(counts)) > 1:
        fit = estimators.zipf_exponent(counts)
        result |= {"mu": fit.mu, "mu_standard_error": fit.standard_error}
    return result, counts


def judge(judge_model, images):
    """Predicted class and the probability given to it."""
    logits = judge_model.predict(images, batch_size=1000, verbose=0)
    probability = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    return probability.argmax(axis=1), probability.max(axis=1)


def generation(network, layer, x, y, judge_model, rng):
    """How well a layer generates: from the states of held-out images, and freely."""
    rows = rng.choice(len(x), min(FLAGS.generated, len(x)), replace=False)
    states = network.hidden_states(x[rows], layer)
    predicted, _ = judge(judge_model, network.generate(layer, states))
    random_states = rng.random(states.shape) < 0.5
    images = network.generate(layer, random_states, num_steps=FLAGS.gibbs_steps)
    classes, confidence = judge(judge_model, images)
    share = np.bincount(classes, minlength=10) / len(classes)
    share = share[share > 0]
    return {
        "class_kept": float(np.mean(predicted == y[rows])),
        "free_confidence": float(confidence.mean()),
        "free_class_entropy": float(-np.sum(share * np.log(share))),
    }


def random_states(x, size, rng):
    """States of random linear units of the images, each cut at its median."""
    activations = x @ rng.normal(size=(x.shape[1], size)).astype("float32")
    return activations > np.median(activations, axis=0)


def summary(layers, random_units):
    """Which layer generates best, is nearest Zipf's law, and has more relevance than controls."""
    points = [(each["resolution"], each["relevance"]) for each in layers]
    slope = estimators.relevance_slope(*np.transpose(points))
    by_mu = [abs(each.get("mu", np.inf) - 1) for each in layers]
    to_optimum = [abs(each["resolution"] - slope.optimum) for each in layers]
    best = {
        "most_sum": np.argmax([sum(point) for point in points]),
        "nearest_slope_minus_one": np.argmin(to_optimum),
        "nearest_mu_one": np.argmin(by_mu),
        "keeps_class_best": np.argmax([each["class_kept"] for each in layers]),
        "generates_most_surely": np.argmax([each["free_confidence"] for each in layers]),
    }
    of_random = sorted((each["resolution"], each["relevance"]) for each in random_units)
    above_null = [each["relevance"] - each["null_relevance_at_equal_resolution"] for each in layers]
    above_random = [
        each["relevance"] - np.interp(each["resolution"], *np.transpose([(0, 0), *of_random]))
        for each in layers
    ]
    return {name: int(index) + 1 for name, index in best.items()} | {
        "slope": slope.to_dict(),
        "relevance_above_null_at_equal_resolution": above_null,
        "relevance_above_random_units_at_equal_resolution": above_random,
    }


def draw(layers, classifier, counts, curve, path):
    """Draw the plane, and rank against frequency for layers with repeated states."""
    _, (left, right) = plt.subplots(1, 2, figsize=(12, 5))
    for name, group in (("deep belief network", layers), ("classifier", classifier)):
        plot_resolution_relevance(
            [each["resolution"] for each in group],
            [each["relevance"] for each in group],
            labels=[str(each["units"]) for each in group],
            hull=curve.hull() if group is layers else None,
            null=(
                [each["resolution"] for each in group],
                [each["null_relevance_at_equal_resolution"] for each in group],
            )
            if group is layers
            else None,
            name=name,
            ax=left,
        )
    for layer, each in zip(layers, counts, strict=True):
        if "mu" in layer:
            plot_rank_frequency(each, name=f"{layer['units']} units", ax=right)
    plt.tight_layout()
    plt.savefig(path, dpi=110)


def main(argv):
    """Train, measure, generate and write the results."""
    del argv
    keras.utils.set_random_seed(FLAGS.seed)
    rng = np.random.default_rng(FLAGS.seed)
    x, y, x_test, y_test = load(FLAGS.data)
    is_digits = FLAGS.data is None
    units = FLAGS.units or (DIGITS_UNITS if is_digits else MNIST_UNITS)
    if not all(str(size).isdigit() and int(size) > 0 for size in units):
        raise app.UsageError(f"--units must be positive integers. Received: --units={units}")
    units = [int(size) for size in units]
    epochs = FLAGS.epochs or (100 if is_digits else 10)
    batch_size = 20 if is_digits else 100
    if FLAGS.smoke:
        x, y, units, epochs = x[:400], y[:400], [12, 6], 2
        FLAGS.generated, FLAGS.gibbs_steps = 50, 5
    output = pathlib.Path(FLAGS.output_dir)
    output.mkdir(parents=True, exist_ok=True)

    curve = estimators.maximum_relevance_curve(len(x))
    judge_model = train_classifier(x, y, [256], 2 if FLAGS.smoke else 20, batch_size)
    judge_accuracy = float(judge_model.evaluate(x_test, y_test, verbose=0)[1])

    network = models.DeepBeliefNetwork(units, seed=FLAGS.seed)
    network.build((None, x.shape[1]))
    untrained = [measure(network.hidden_states(x, i + 1), curve)[0] for i in range(len(units))]
    random_units = [measure(random_states(x, size, rng), curve)[0] for size in units]
    network.compile(keras.optimizers.SGD(0.1, momentum=0.5), steps_per_execution=10)
    network.fit(x, batch_size=batch_size, epochs=epochs, verbose=0)

    layers, counts = [], []
    for layer in range(1, len(units) + 1):
        result, of_states = measure(network.hidden_states(x, layer), curve)
        result |= generation(network, layer, x_test, y_test, judge_model, rng)
        layers.append(result)
        counts.append(of_states)
        print(
            f"layer {layer:2d} units {result['units']:3d} H[s] {result['resolution']:.3f} H[K] "
            f"{result['relevance']:.3f} null {result['null_relevance_at_equal_resolution']:.3f} "
            f"below curve {result['below_curve']:.3f} mu {result.get('mu', np.nan):.2f} class kept "
            f"{result['class_kept']:.3f} confidence {result['free_confidence']:.3f}",
            flush=True,
        )

    model = train_classifier(x, y, CLASSIFIER_UNITS, 2 if FLAGS.smoke else 20, batch_size)
    classifier = [
        measure(estimators.hidden_states(model, x, f"layer_{i + 1}"), curve)[0]
        for i in range(len(CLASSIFIER_UNITS))
    ]
    report = {
        "num_samples": len(x),
        "epochs": epochs,
        "judge_accuracy": judge_accuracy,
        "summary": summary(layers, random_units),
        "layers": layers,
        "untrained": untrained,
        "random_units": random_units,
        "classifier": classifier,
        "classifier_accuracy": float(model.evaluate(x_test, y_test, verbose=0)[1]),
    }
    draw(layers, classifier, counts, curve, output / "resolution_relevance.png")
    (output / "resolution_relevance.json").write_text(json.dumps(report, indent=1) + "\n")
    found = report["summary"]
    print(
        f"RESULT layer nearest mu = 1: {found['nearest_mu_one']}, of largest H[s] + H[K]: "
        f"{found['most_sum']}, keeps the class best: {found['keeps_class_best']}, generates most "
        f"surely: {found['generates_most_surely']}"
    )


if __name__ == "__main__":
    app.run(main)

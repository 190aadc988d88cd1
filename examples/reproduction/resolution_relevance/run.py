"""Resolution and relevance of the layers of a deep belief network and of a classifier.

Claims 4-a, 4-b, 4-d and 4-e (Song, Marsili, Jo, 2018, arXiv 1710.11324; Duranthon, Marsili, Xie,
2021, arXiv 1909.12792): the layers of a deep belief network lie close to the curve of
maximal relevance, the layer that generates best is the one nearest Zipf's law, learning broadens
the energies of hidden states, and trained layers have more relevance than controls.

The script measures for each layer: resolution and relevance of its states over the training images,
their distance from the curve, the null of shuffled units at equal resolution, the Zipf exponent. A
classifier judges what the layer generates: whether images made from the states of held-out images
keep their class; and, for images made by the layer's own machine after many Gibbs steps from random
states, how certain the classifier is, and how similar they are to held-out images in its features
(`samples.py`). For a machine of twenty units the energies of all states are computed exactly,
before and after learning, and for independent units (`energies.py`). Controls: the network before
training, random linear units of the images, and a classifier of rectified units.

Expected: with depth resolution falls, and on MNIST relevance rises, then falls, close to the curve,
where shuffled units are as close at equal resolution; on the digits trained units are a little
above them, and the shape depends on the seed. Run time: five minutes on one core on the
digits of scikit-learn, fifteen on MNIST (`--data --seeds=3`). If killed and started again, it
continues with the network it was at.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where `reproduction` is found
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import flags

from keras_infobottleneck import estimators, models
from reproduction.frame import datasets, experiment, script
from reproduction.resolution_relevance.claims import CLAIMS, judge
from reproduction.resolution_relevance.figure import draw
from reproduction.resolution_relevance.measures import (
    before_and_after,
    generation,
    layer_of_states,
    random_states,
)

FLAGS = flags.FLAGS
script.define_flags("outputs/resolution_relevance", resume=True, full=True)
flags.DEFINE_integer("seeds", 5, "Repeats of every network.", 1)
flags.DEFINE_integer("epochs", None, "Epochs per layer; default 100 (digits) or 10 (--data).", 1)
flags.DEFINE_list("units", None, "Widths of the layers; default 64..5 (digits) or 500..5 (--data).")
flags.DEFINE_bool("persistent", False, "Chains go on from step to step, and the rate falls.")
flags.DEFINE_integer("generated", 2000, "Images generated per layer.", 1)
flags.DEFINE_integer("gibbs_steps", 200, "Gibbs steps of the free generation.", 0)

DIGITS_UNITS = [64, 40, 25, 15, 10, 5]
MNIST_UNITS = [500, 250, 120, 60, 30, 25, 20, 15, 10, 5]
CLASSIFIER_UNITS = [60, 40, 25, 15, 10]
PERSISTENT_RATE = 0.05  # at the first step of a layer; it falls to zero in a straight line
MACHINE_UNITS = 20  # few enough that states repeat before and after learning
SMOKE = {"units": [12, 6], "epochs": 2, "generated": 50, "gibbs_steps": 5, "seeds": 1}
SMOKE |= {"classifier_epochs": 2, "machine_units": 6}
FULL = {"epochs": 100, "seeds": 5}


def run():
    """Train, measure, generate, judge."""
    settings = read_settings()
    images = datasets.load(path=FLAGS.data)
    rows = [x.reshape(len(x), -1) for x in (images.x_train, images.x_test)]
    if FLAGS.smoke:
        rows[0] = rows[0][:400]
    data = rows[0], images.y_train[: len(rows[0])], rows[1], images.y_test, images.num_classes
    curve = estimators.maximum_relevance_curve(len(rows[0]))

    runs = experiment.Experiment(FLAGS.output_dir, settings)
    records = []
    for seed in range(settings["seed"], settings["seed"] + settings["seeds"]):
        tasks = {"network": network, "classifier": classifier, "machine": machine}
        arguments = settings, seed, data, curve
        record = {k: runs.run(f"{k}-{seed}", task, *arguments) for k, task in tasks.items()}
        records.append(record)
    draw(records[0], curve, runs.folder / "figure.png")
    slim = [{k: _without_frequencies(v) for k, v in record.items()} for record in records]
    runs.conclude(CLAIMS, judge(records, settings), num_samples=len(rows[0]), records=slim)


def read_settings() -> dict:
    """All that the result depends on, from the flags."""
    small = FLAGS.data is None
    units = FLAGS.units or (DIGITS_UNITS if small else MNIST_UNITS)
    if not all(str(size).isdigit() and int(size) > 0 for size in units):
        raise ValueError(f"--units must be positive integers. Received: --units={FLAGS.units}")
    default = {
        "units": [int(size) for size in units],
        "epochs": FLAGS.epochs or (100 if small else 10),
        "batch_size": 20 if small else 100,
        "classifier_epochs": 20,
        "machine_units": MACHINE_UNITS,
        **{name: FLAGS[name].value for name in ("generated", "gibbs_steps", "seeds")},
    }
    if FLAGS.persistent:
        default["persistent"] = True
    return experiment.read_settings(default, SMOKE, FULL)


def network(settings, seed, data, curve) -> dict:
    """Train a deep belief network; measure its layers, before and after, and random units."""
    x, y, x_test, y_test, num_classes = data
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    judge_model = train_classifier(x, y, num_classes, [256], settings)
    units = settings["units"]
    persistent = settings.get("persistent", False)
    dbn = models.DeepBeliefNetwork(units, persistent=persistent, seed=seed)
    dbn.build((None, x.shape[1]))
    untrained = [layer_of_states(dbn.hidden_states(x, i + 1), curve) for i in range(len(units))]
    chance = [layer_of_states(random_states(x, size, rng), curve) for size in units]
    rate = 0.1
    if persistent:
        num_steps = settings["epochs"] * -(-len(x) // settings["batch_size"])
        rate = keras.optimizers.schedules.PolynomialDecay(PERSISTENT_RATE, num_steps, 0.0)
    dbn.compile(keras.optimizers.SGD(rate, momentum=0.5), steps_per_execution=10)
    dbn.fit(x, batch_size=settings["batch_size"], epochs=settings["epochs"], verbose=0)
    layers = []
    for layer in range(1, len(units) + 1):
        result = layer_of_states(dbn.hidden_states(x, layer), curve, seed=seed)
        result |= generation(dbn, layer, x_test, y_test, judge_model, settings, rng)
        layers.append(result)
        print(
            f"layer {layer:2d} units {result['units']:3d} H[s] {result['resolution']:.3f} H[K] "
            f"{result['relevance']:.3f} null {result['null_relevance_at_equal_resolution']:.3f} "
            f"below curve {result['below_curve']:.3f} mu {result.get('mu', np.nan):.2f} class kept "
            f"{result['class_kept']:.3f} confidence {result['free_confidence']:.3f} "
            f"nearest neighbour {result['nearest_neighbour_accuracy']:.3f}",
            flush=True,
        )
    logs = judge_model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    accuracy = float(logs["accuracy"])
    return {
        "layers": layers,
        "untrained": untrained,
        "random_units": chance,
        "judge_accuracy": accuracy,
    }


def classifier(settings, seed, data, curve) -> dict:
    """Train a classifier with narrowing layers and measure them."""
    x, y, x_test, y_test, num_classes = data
    keras.utils.set_random_seed(seed)
    model = train_classifier(x, y, num_classes, CLASSIFIER_UNITS, settings)
    layers = [
        layer_of_states(estimators.hidden_states(model, x, f"layer_{i + 1}"), curve)
        for i in range(len(CLASSIFIER_UNITS))
    ]
    logs = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    return {"layers": layers, "accuracy": float(logs["accuracy"])}


def machine(settings, seed, data, curve) -> dict:
    """Train one Boltzmann machine of few units on the images; measure it before and after."""
    x = data[0]
    keras.utils.set_random_seed(seed)
    rbm = models.RestrictedBoltzmannMachine(settings["machine_units"], persistent=True, seed=seed)
    rbm.build((None, x.shape[1]))
    rbm.compile(keras.optimizers.SGD(0.1, momentum=0.5), steps_per_execution=10)

    def train():
        rbm.fit(x, batch_size=settings["batch_size"], epochs=settings["epochs"], verbose=0)

    return before_and_after(rbm, x, train, curve)


def train_classifier(x, y, num_classes, units, settings):
    """Train a classifier with rectified hidden layers, whose states are the active units."""
    model = keras.Sequential([keras.Input(x.shape[1:])])
    for index, size in enumerate(units):
        model.add(keras.layers.Dense(size, "relu", name=f"layer_{index + 1}"))
    model.add(keras.layers.Dense(num_classes, name="logits"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    epochs, batch_size = settings["classifier_epochs"], settings["batch_size"]
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
    return model


def _without_frequencies(value):
    """A record without its long tables, which only the figure needs."""
    if isinstance(value, dict):
        return {k: _without_frequencies(v) for k, v in value.items() if k != "frequencies"}
    return [_without_frequencies(v) for v in value] if isinstance(value, list) else value


if __name__ == "__main__":
    script.main(run)

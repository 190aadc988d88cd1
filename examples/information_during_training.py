"""Fisher information and information in the weights while a network trains.

Claims 3-d to 3-h and figure 1 of Achille, Paolini & Soatto, "Where is the Information in a Deep
Neural Network?" (2019, arXiv 1905.12213). A small network learns points on spirals, and the log
determinant of its Fisher matrix is followed (their figure 1), with information in the weights and
effective information by layer. Then a classifier of images is trained with several batch sizes,
learning rates and numbers of classes (their figure 4), and once with noisy weights that pay.

A Fisher matrix vanishes where predictions become sure, though neither boundary nor features move.
So beside each number stand: the same with logits rescaled to one entropy of the predictions; the
derivatives of the logits alone; and the trace at equal training loss. For numbers of classes, also
an equal number of examples and outputs.

Expected: a verdict for each claim and one figure. About ten minutes on MNIST (``--data``, 2,000
images), less on the digits of scikit-learn; ``--full`` is the paper's ResNet-18 on CIFAR-10 for 30
epochs, on a GPU. Killed, it goes on where it was.
"""

import os

import datasets
import keras
import numpy as np
from absl import flags
from experiment import Experiment, define_flags, main, train
from information_during_training_claims import judge
from information_during_training_figure import draw
from information_during_training_measures import (
    at_reference_entropy,
    cross_entropy_and_accuracy,
    excess_log_det,
    hessian_and_fisher,
    jacobian_trace,
    traces_by_factor,
)
from information_during_training_setup import (
    fresh_classifier,
    spirals,
)

import keras_infobottleneck as kib

FLAGS = flags.FLAGS
define_flags("outputs/information_during_training")
_SEEDS = flags.DEFINE_integer("seeds", None, "Repeats; default 3.", 2)
_EPOCHS = flags.DEFINE_integer("epochs", None, "Epochs of the classifiers of images.", 1)

DEFAULT = {
    "network": "dense",
    "widths": [128, 64],
    "num_examples": 2000,
    "num_measured": 1000,
    "num_test": 2000,
    "epochs": 30,
    "every": 1,
    "batch_sizes": [20, 50, 100, 200, 500],
    "batch_size": 50,
    "learning_rates": [0.02, 0.05, 0.1, 0.2],
    "learning_rate": 0.05,
    "classes": [2, 4, 6, 8, 10],
    "paying_epochs": 100,
    "points": 240,
    "point_widths": [16, 16],
    "point_epochs": 400,
    "point_measurements": 40,
    "seeds": 3,
}
FULL = {
    "network": "resnet",
    "num_examples": 50_000,
    "num_test": 10_000,
    "every": 3,
    "batch_sizes": [32, 128, 512, 2048],
    "batch_size": 128,
    "learning_rates": [0.01, 0.03, 0.1, 0.3],
    "learning_rate": 0.1,
    "seeds": 5,
}
SMOKE = {
    "widths": [8, 8],
    "num_examples": 120,
    "num_measured": 60,
    "num_test": 60,
    "epochs": 3,
    "batch_sizes": [20, 60],
    "batch_size": 30,
    "learning_rates": [0.05, 0.2],
    "classes": [2, 4],
    "paying_epochs": 3,
    "points": 30,
    "point_widths": [4, 4],
    "point_epochs": 4,
    "point_measurements": 2,
    "seeds": 2,
}
ARMS = 3
HIDDEN = ("hidden_1", "hidden_2")
NUM_EFFECTIVE = 40  # points for the effective information, a matrix each


def run() -> None:
    """Train what is missing, judge, draw."""
    settings = read_settings()
    images = datasets.load("cifar10" if FLAGS.full else "digits", FLAGS.data)
    settings["classes"] = [k for k in settings["classes"] if k <= images.num_classes]
    settings["num_classes"] = images.num_classes
    experiment = Experiment(FLAGS.output_dir, settings)
    records = {}
    for name, (function, arguments) in planned(settings).items():

        def compute(name=name, function=function, arguments=arguments):
            return function(settings, images, experiment.checkpoint(name), **arguments)

        records[name] = arguments | experiment.run(name, compute)
    groups = {}
    for name, record in records.items():
        groups.setdefault(name.split("-")[0], []).append(record)
    draw(groups, settings, os.path.join(FLAGS.output_dir, "information_during_training.png"))
    experiment.conclude(judge(groups, settings))


def read_settings() -> dict:
    """All that the records depend on, from the flags."""
    settings = DEFAULT | (SMOKE if FLAGS.smoke else FULL if FLAGS.full else {})
    given = {"seeds": _SEEDS.value, "epochs": _EPOCHS.value}
    settings |= {name: value for name, value in given.items() if value is not None}
    return {"data": FLAGS.data and os.path.basename(FLAGS.data), "seed": FLAGS.seed, **settings}


def planned(settings: dict) -> dict[str, tuple]:
    """Function and arguments of every run, by name; what stands before the dash is its group."""
    runs = {}
    batch_size, rate = settings["batch_size"], settings["learning_rate"]
    for seed in range(FLAGS.seed, FLAGS.seed + settings["seeds"]):
        given = {"seed": seed}
        runs[f"hessian-{seed}"] = (run_hessian, given)
        runs[f"points-{seed}"] = (run_points, given)
        for size in settings["batch_sizes"]:
            arguments = given | {"batch_size": size, "learning_rate": rate}
            runs[f"batch-{size}-{seed}"] = (run_images, arguments)
        for value in settings["learning_rates"]:
            arguments = given | {"batch_size": batch_size, "learning_rate": value}
            runs[f"rate-{value:g}-{seed}"] = (run_images, arguments)
        for equal in (False, True):
            for classes in settings["classes"]:
                arguments = given | {"batch_size": batch_size, "learning_rate": rate}
                arguments |= {"classes": classes, "equal": equal}
                group = "equal_classes" if equal else "classes"
                runs[f"{group}-{classes}-{seed}"] = (run_images, arguments)
        runs[f"paying-{seed}"] = (run_paying, given)
    return runs


def run_hessian(settings, images, checkpoint, *, seed) -> dict:
    """3-d."""
    del settings, images, checkpoint
    return hessian_and_fisher(seed)


def run_points(settings, images, checkpoint, *, seed) -> dict:
    """Figure 1: a network of three layers on points of the plane."""
    del images
    x, y = spirals(settings["points"], ARMS, seed)
    model = fresh_classifier(
        (2,),
        ARMS,
        widths=settings["point_widths"],
        activation="tanh",
        learning_rate=0.1,
        momentum=0.9,
        seed=seed,
    )

    def measure(model):
        return measure_points(model, x, y)

    # Features are learned early: as many measurements in every factor of time.
    epochs = np.geomspace(1, settings["point_epochs"], settings["point_measurements"])
    epochs = sorted({round(epoch) for epoch in epochs})
    rows = followed(model, x, y, measure, checkpoint, epochs, 30, seed)
    return {"rows": rows, "by_factor": traces_by_factor(model, x)}


def measure_points(model: keras.Model, x, y) -> dict[str, float]:
    """Everything, by the whole Fisher matrix; `beta` is that of the evidence lower bound."""
    beta = 1 / len(x)
    options = {"structure": "dense", "labels": "expected"}
    fisher = kib.estimators.fisher_information(model, x, **options)

    def rescaled():
        fisher = kib.estimators.fisher_information(model, x, **options)
        return {
            "rescaled_trace": float(fisher.trace()),
            "rescaled_log_det": excess_log_det(fisher, beta),
        }

    def effective(layer):
        options = {"layer": layer, "fisher": fisher, "beta": beta}
        return kib.estimators.effective_information(model, x[:NUM_EFFECTIVE], **options).nats

    loss, accuracy = cross_entropy_and_accuracy(model, x, y)
    return {
        "loss": loss,
        "accuracy": accuracy,
        "trace": float(fisher.trace()),
        "log_det": excess_log_det(fisher, beta),
        "jacobian": jacobian_trace(model, x),
        "information": kib.estimators.information_in_weights(model, fisher, beta=beta).nats,
        **at_reference_entropy(model, x, rescaled),
        **{name: effective(name) for name in HIDDEN},
    }


def run_images(
    settings, images, checkpoint, *, seed, batch_size, learning_rate, classes=None, equal=False
) -> dict:
    """A classifier of images, on the first classes only where their number is given.

    With `equal`, every number of classes has the examples that the least of them has, and as many
    outputs as there are classes in all.
    """
    x, y = images.x_train[: settings["num_examples"]], images.y_train[: settings["num_examples"]]
    outputs = images.num_classes
    if classes:
        x, y = x[y < classes], y[y < classes]
        if equal:
            fewest = np.sum(images.y_train[: settings["num_examples"]] < settings["classes"][0])
            chosen = np.random.default_rng(seed).permutation(len(x))[:fewest]
            x, y = x[chosen], y[chosen]
        else:
            outputs = classes
    model = classifier(settings, images, outputs, learning_rate, seed)
    measured = x[: settings["num_measured"]]

    def measure(model):
        fisher = kib.estimators.fisher_information(model, measured, labels="expected")
        loss, accuracy = cross_entropy_and_accuracy(model, x, y)
        nats = kib.estimators.information_in_weights(model, fisher, beta=1 / len(x)).nats
        return {
            "loss": loss,
            "accuracy": accuracy,
            "trace": float(fisher.trace()),
            "jacobian": jacobian_trace(model, measured),
            "information": nats,
        }

    every = settings["every"]
    epochs = range(every, settings["epochs"] + 1, every)
    rows = followed(model, x, y, measure, checkpoint, epochs, batch_size, seed)
    x_test, y_test = held_out(settings, images, classes)
    test_accuracy = cross_entropy_and_accuracy(model, x_test, y_test)[1]
    return {"rows": rows, "test_accuracy": test_accuracy, "num_examples": len(x)}


def run_paying(settings, images, checkpoint, *, seed) -> dict:
    """The same network, whose weights pay for every nat at `weight_beta = 1`."""
    x, y = images.x_train[: settings["num_examples"]], images.y_train[: settings["num_examples"]]
    model = classifier(settings, images, images.num_classes, settings["learning_rate"], seed)
    loss = model.loss
    model = kib.make_variational(
        model, num_examples=len(x), include=lambda layer: bool(layer.trainable_weights), verbose=0
    )
    model.compile(keras.optimizers.Adam(1e-3), loss)
    train(
        model,
        x,
        y,
        epochs=settings["paying_epochs"],
        batch_size=settings["batch_size"],
        seed=seed,
        checkpoint=checkpoint,
    )
    x_test, y_test = held_out(settings, images)
    return {
        "information": float(model.weight_information()),
        "accuracy": cross_entropy_and_accuracy(model, x, y)[1],
        "test_accuracy": cross_entropy_and_accuracy(model, x_test, y_test)[1],
        "num_examples": len(x),
    }


def classifier(settings, images, outputs, learning_rate, seed) -> keras.Model:
    """The network of the settings, before training."""
    return fresh_classifier(
        images.x_train.shape[1:],
        outputs,
        network=settings["network"],
        widths=settings["widths"],
        learning_rate=learning_rate,
        seed=seed,
    )


def held_out(settings, images, classes=None):
    """Images for testing, of the first classes only where their number is given."""
    x, y = images.x_test[: settings["num_test"]], images.y_test[: settings["num_test"]]
    return (x[y < classes], y[y < classes]) if classes else (x, y)


def followed(model, x, y, measure, checkpoint, epochs, batch_size, seed) -> list[dict]:
    """Train, and measure before training and after each of the given epochs; one row each."""
    start = measure(model)
    history = train(
        model,
        x,
        y,
        epochs=epochs[-1],
        batch_size=batch_size,
        seed=seed,
        checkpoint=checkpoint,
        callbacks=[kib.callbacks.Measure({"now": measure}, every=epochs)],
    )
    return [{"epoch": 0, **start}] + [
        {"epoch": epoch, **{name: history[f"now_{name}"][epoch - 1] for name in start}}
        for epoch in epochs
    ]


if __name__ == "__main__":
    main(run)

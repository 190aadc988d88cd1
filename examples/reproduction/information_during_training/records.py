"""The runs of the experiment: from settings and images to records."""

import keras
import numpy as np

import keras_infobottleneck as kib
from reproduction.frame.training import train
from reproduction.information_during_training.measures import (
    at_reference_entropy,
    cross_entropy_and_accuracy,
    excess_log_det,
    hessian_and_fisher,
    jacobian_trace,
    traces_by_factor,
)
from reproduction.information_during_training.setup import fresh_classifier, spirals

ARMS = 3
HIDDEN = ("hidden_1", "hidden_2")
PRICES = (1.0, 0.1, 0.01, 0.001)  # of a nat; 1 is that of the evidence lower bound
NUM_EFFECTIVE = 40  # points for the effective information, a matrix each


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


def run_code(settings, images, checkpoint, *, seed, width_factor) -> dict:
    """The Gaussian code of a network trained with the smallest batches, by price and width."""
    x, y = images.x_train[: settings["num_examples"]], images.y_train[: settings["num_examples"]]
    widths = [width_factor * width for width in settings["widths"]]
    wider, rate = settings | {"widths": widths}, settings["learning_rate"]
    model = classifier(wider, images, images.num_classes, rate, seed)
    schedule = {"epochs": settings["epochs"], "batch_size": min(settings["batch_sizes"])}
    train(model, x, y, seed=seed, checkpoint=checkpoint, **schedule)
    measured = x[: settings["num_measured"]]
    fisher = kib.estimators.fisher_information(model, measured, labels="expected")

    def code(price, prior_scale="optimal"):
        found = kib.estimators.information_in_weights(
            model, fisher, beta=price / len(x), prior_scale=prior_scale
        )
        return {"nats": found.nats, "excess_loss": found.excess_loss}

    return {
        "num_weights": fisher.size,
        "by_price": {f"{price:g}": code(price) for price in PRICES},
        "at_prior_scale_one": code(1.0, prior_scale=1.0),
    }


def run_paying(settings, images, checkpoint, *, seed, weight_beta) -> dict:
    """The same network, whose weights pay for every nat they hold.

    The price rises slowly: at the full price from the first step the network would never leave
    its prior, and nothing would be said about what a network that has learned needs to keep.
    """
    x, y = images.x_train[: settings["num_examples"]], images.y_train[: settings["num_examples"]]
    model = classifier(settings, images, images.num_classes, settings["learning_rate"], seed)
    loss = model.loss
    model = kib.make_variational(
        model,
        num_examples=len(x),
        weight_beta=weight_beta,
        include=lambda layer: bool(layer.trainable_weights),
        verbose=0,
    )
    model.compile(keras.optimizers.Adam(1e-3), loss)
    rising = kib.callbacks.BetaSchedule(
        model.weight_beta, stop=weight_beta, num_epochs=settings["paying_warm_up"]
    )
    train(
        model,
        x,
        y,
        epochs=settings["paying_epochs"],
        callbacks=[rising],
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

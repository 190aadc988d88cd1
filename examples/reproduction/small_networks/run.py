"""Information Dropout against binary dropout and none, in networks of four widths.

Claim 2-a (Achille & Soatto, 2018, "Information Dropout", arXiv 1611.01353, the experiment on
CIFAR-10): Information Dropout generalises as well as binary dropout or better, and gains more in
smaller networks.

An all-convolutional network with 25, 50, 75 and 100 % of its filters learns few examples without
noise, with binary dropout, and with Information Dropout of either prior in its strided layers. The
strength of each kind of noise (rate or beta) is chosen once, by the error on images held out of
the training set, at the smallest and the largest width and with a seed that is not used again;
each has the same number of candidates. The authors' comparison, binary dropout that
keeps one half at every width, is also included. Then every network is trained and tested with
several seeds, each with its own images, weights and noise; the images are the same for all methods.

Expected: see the verdict in ``docs/results``; on few examples all differences are small. Run time:
ten minutes of one core on the digits of scikit-learn, about as many on MNIST (`--data`), fifteen on
CIFAR-10, brought to 16 pixels; `--full` is the published network and training, on all images of
`--data`, for a GPU. If killed and started again, it continues with the network it was at.
"""

import itertools
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where `reproduction` is found
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import all_cnn, datasets, experiment, nuisances, script, training
from reproduction.small_networks.claims import AUTHORS_DROPOUT, CLAIMS, judge
from reproduction.small_networks.figure import draw

FLAGS = flags.FLAGS
script.define_flags("outputs/small_networks", resume=True, full=True)
flags.DEFINE_integer("seeds", None, "Repeats of every network; default 5.", 2)

# Rates of dropout, or betas times the number of training examples, as published.
STRENGTHS = {
    "none": [0.0],
    "dropout": [0.1, 0.3, 0.5],
    "log_uniform": [0.1, 1.0, 10.0],
    "log_normal": [0.01, 0.1, 1.0],
}
COLOUR_SIDE = 16  # of photographs, in place of the side of digits
DEFAULT = {
    "seeds": 5,
    "side": 9,  # digits are shrunk to about this many pixels
    "num_examples": 1000,  # at most, for each seed
    "num_held_out": 2000,  # at most
    "num_test": 5000,  # at most
    "widths": [0.25, 0.5, 0.75, 1.0],
    "blocks": [[16, 16], [32, 32]],
    "tail": [32],
    "epochs": 20,
    "batch_size": 50,
    "strengths": STRENGTHS,
    "authors_rate": 0.5,  # of binary dropout, untuned, at every width
    "is_published": False,
}
SMOKE = {
    "seeds": 1,
    "num_examples": 60,
    "num_held_out": 60,
    "num_test": 60,
    "widths": [0.5, 1.0],
    "blocks": [[4]],
    "tail": [],
    "epochs": 2,
    "strengths": {**{k: v[-1:] for k, v in STRENGTHS.items()}, "dropout": [0.1, 0.5]},
}
FULL = {
    "side": None,
    "num_examples": None,
    "num_held_out": 0,
    "num_test": None,
    "blocks": [[96, 96, 96], [192, 192, 192]],
    "tail": [192, 192],
    "epochs": 200,
    "batch_size": 100,
    "strengths": {**STRENGTHS, "dropout": [0.5], "log_uniform": [3.0], "log_normal": [3.0]},
    "is_published": True,
}


def run():
    """Choose the strengths, train every network, judge, draw."""
    images = datasets.load(path=FLAGS.data)
    in_colour = images.x_train.shape[-1] > 1 and not FLAGS.full
    side = COLOUR_SIDE if in_colour else None
    settings = experiment.read_settings(DEFAULT, SMOKE, FULL, seeds=FLAGS.seeds, side=side)
    if side := settings["side"]:
        small = [nuisances.resized(x, side) for x in (images.x_train, images.x_test)]
        images = images._replace(x_train=small[0], x_test=small[1])
    if settings["is_published"]:
        whitened = whiten(images.x_train, images.x_test)
        images = images._replace(x_train=whitened[0], x_test=whitened[1])
    runs = experiment.Experiment(FLAGS.output_dir, settings)

    def train(seed, method, width, strength, images):
        name = f"{method}-{width:g}-{strength:g}-{seed}"
        arguments = settings, images, method, width, strength, seed, runs.checkpoint(name)
        return runs.run(name, test_error, *arguments)["error"]

    seeds = range(settings["seed"], settings["seed"] + settings["seeds"])
    held_out, _ = parts(settings, images, seeds.stop)
    chosen, tried = {}, {}
    for method, strengths in settings["strengths"].items():
        tried[method] = {}
        for strength in strengths if len(strengths) > 1 else ():
            ends = settings["widths"][0], settings["widths"][-1]
            errors = [train(seeds.stop, method, width, strength, held_out) for width in ends]
            tried[method][strength] = float(np.mean(errors))
        chosen[method] = min(strengths, key=lambda each, of=tried[method]: of.get(each, 0))
    records = []
    rated = {method: (method, strength) for method, strength in chosen.items()}
    rated[AUTHORS_DROPOUT] = "dropout", settings["authors_rate"]
    for seed, method, width in itertools.product(seeds, rated, settings["widths"]):
        testing = parts(settings, images, seed)[1]
        kind, strength = rated[method]
        error = train(seed, kind, width, strength, testing)
        records.append({"method": method, "width": width, "seed": seed, "error": error})
    draw(records, runs.folder / "figure.png")
    size = len(parts(settings, images, seeds.start)[0].x_train)
    claims = judge(records, settings, size, chosen)
    runs.conclude(CLAIMS, claims, chosen=chosen, held_out_errors=tried, records=records)


def parts(settings, images, seed) -> tuple[datasets.Images, datasets.Images]:
    """Training images of a seed, with held-out ones and with the test images for testing."""
    held = min(settings["num_held_out"], len(images.x_train) // 3)
    order = np.random.default_rng(seed).permutation(len(images.x_train))
    held_out, training = order[:held], order[held:][: settings["num_examples"]]
    x, y = images.x_train[training], images.y_train[training]
    last = settings["num_test"]
    return (
        datasets.Images(x, y, images.x_train[held_out], images.y_train[held_out]),
        datasets.Images(x, y, images.x_test[:last], images.y_test[:last]),
    )


def test_error(settings, images, method, width, strength, seed, checkpoint) -> dict:
    """Train one network; the share of wrong answers, without noise."""
    keras.utils.set_random_seed(seed)
    model = build(settings, images, method, width, strength)
    training.train(
        model,
        images.x_train,
        images.y_train,
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        seed=seed,
        checkpoint=checkpoint,
    )
    kib.recalibrate_batch_normalization(model, images.x_train, batch_size=500)
    return {"error": training.error_rate(model, images.x_test, images.y_test)}


def build(settings, images, method, width, strength) -> keras.Model:
    """A compiled network with a share of the filters."""
    is_information = method in ("log_uniform", "log_normal")
    published = {"input_dropout": 0.2, "weight_decay": 1e-3} if settings["is_published"] else {}
    model = all_cnn.build(
        images.x_train.shape[1:],
        [[round(width * filters) for filters in block] for block in settings["blocks"]],
        [round(width * filters) for filters in settings["tail"]],
        images.num_classes,
        noise=method,
        strength=strength / len(images.x_train) if is_information else strength,
        **published,
    )
    steps = -(-len(images.x_train) // settings["batch_size"])
    published = {"rate": 5e-2, "falls_at": (0.4, 0.6, 0.8)} if settings["is_published"] else {}
    optimizer = training.optimizer(settings["epochs"], steps, **published)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def whiten(x, x_test):
    """Each image standardised, then all pixels decorrelated (ZCA), as published."""

    def standardised(x):
        rows = x.reshape(len(x), -1)
        centred = rows - rows.mean(1, keepdims=True)
        return centred / np.maximum(rows.std(1, keepdims=True), 1e-3)

    rows, mean = standardised(x), standardised(x).mean(0)
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False))
    transform = (vectors / np.sqrt(np.maximum(values, 0) + 1e-5)) @ vectors.T
    return [
        ((standardised(each) - mean) @ transform).reshape(each.shape).astype("float32")
        for each in (x, x_test)
    ]


if __name__ == "__main__":
    script.main(run)

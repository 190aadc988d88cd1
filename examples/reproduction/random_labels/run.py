"""Random labels are learned by heart only while information in the weights is cheap.

Achille & Soatto (2018), "Emergence of Invariance and Disentanglement in Deep Representations",
arXiv 1706.01350, section 6: with random labels a network turns from memorising to forgetting at a
price of a nat near beta = 1, whatever the number N of examples. Real labels need fewer nats, and it
still fits them at many times that price. Networks of different kinds turn at different prices below
1: each is a code for labels, and the less efficient the code, the lower the price (`codes.py`).

Expected: a memory of ten logits for each image turns at 0.87 for every N, a plain perceptron at a
fifth of that; one verdict for each of the claims 1-a to 1-g in ``result.json``, and ``figure.png``.
Takes nine minutes on two cores on the digits of scikit-learn, and an hour on MNIST
(``--data``); ``--smoke`` half a minute. The published small AlexNet, meant for CIFAR, is
compared where ``--codes`` names it, for a quarter of an hour more with each seed; with
``--full``, for a GPU, it is the main code on up to 50,000 examples, and no other is run. With
``--photographs`` the main code is a convolutional network, which reads photographs as no memory
does: only 1-d and 1-g are judged, on 10,000 images at most, with 4 to 64 filters, in forty minutes.
If killed and started again, it continues where it was.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where `reproduction` is found
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import flags

from reproduction.frame import datasets, experiment, script
from reproduction.random_labels.claims import CLAIMS, judge
from reproduction.random_labels.codes import CODES, build, build_free, prepare
from reproduction.random_labels.figure import plot
from reproduction.random_labels.training import train_at_prices

FLAGS = flags.FLAGS
script.define_flags("outputs/random_labels", resume=True, full=True)
flags.DEFINE_integer(
    "seeds", None, "Repeats with other examples, labels, weights; default 3, of the digits 2.", 1
)
flags.DEFINE_list("codes", None, "Networks to compare; by default all but alexnet, which is slow.")
flags.DEFINE_bool("photographs", False, "1-d and 1-g only, by a convolutional network.")

PUBLISHED_BETAS = tuple(float(beta) for beta in np.geomspace(1e-3, 1e2, 16))
LARGEST, NUM_TEST = 4000, 2000
COMPARED = (
    *("mlp", "mlp whitened", "cnn", "residual", "memory of points"),
    *("mlp features", "cnn features", "residual features"),
)
DEFAULT = {
    "code": "memory of logits",
    "random_betas": (0.1, 0.3, 0.5, 0.7, 0.85, 1.0, 1.3, 2.0),
    "real_betas": (0.03, 0.1, 0.3, 1.0, 3.0, 8.0, 20.0, 60.0),
    # Networks without a memory are followed upwards from where they learn everything.
    "shared_betas": (
        *(0.003, 0.005, 0.01, 0.02, 0.04, 0.08, 0.12),
        *(0.17, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4),
    ),
    "features_betas": (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0, 1.3),
    "corrupted": (0.25, 0.5, 0.75),
    "updates": 500,
    "shared_updates": 150,
    "features_updates": 1500,
    "widths": (4, 8, 16, 32, 64, 128, 256, 512),
    "width_code": "mlp",
    "width_epochs": 60,
    "judged": tuple(CLAIMS),
}
PRICES = (0.003, 0.01, 0.03, 0.1, 0.2, 0.35, 0.6, 1.0, 2.0, 4.0)
PHOTOGRAPHS = {
    "code": "wide cnn",
    "compared": (),
    "random_betas": PRICES,
    "real_betas": PRICES,
    "shared_updates": 1000,
    "corrupted": (),
    "widths": (4, 8, 16, 32, 64),
    "width_code": "wide cnn",
    "width_epochs": 20,
    "judged": ("1-d", "1-g"),
}
SMOKE = {
    "sizes": [40, 80],
    "compared": (),
    "compared_size": 80,
    "random_betas": (0.1, 1.0, 3.0),
    "real_betas": (0.1, 1.0, 3.0),
    "shared_betas": (0.01, 0.1),
    "corrupted": (),
    "widths": (4,),
    "features_betas": (0.1, 1.0),
    "updates": 40,
    "shared_updates": 20,
    "features_updates": 20,
    "width_epochs": 2,
}
FULL = {
    "code": "alexnet anew",
    "compared": (),
    "updates": 36_000,
    "random_betas": PUBLISHED_BETAS,
    "real_betas": PUBLISHED_BETAS,
}


def run():
    """Train every network at every price, then judge."""
    images = datasets.load(path=FLAGS.data)
    settings = read_settings(images)
    runs = experiment.Experiment(FLAGS.output_dir, settings)
    records = [
        runs.run(name, train_column, runs, images, settings, name, column)
        for name, column in columns(settings).items()
    ]
    widths = [
        runs.run(f"width-{units}-{seed}", train_width, images, settings, units, seed)
        for units in settings["widths"]
        for seed in settings["seeds"]
    ]
    plot(records, widths, settings, os.path.join(FLAGS.output_dir, "figure.png"))
    runs.conclude(CLAIMS, judge(records, widths, settings), records=records, widths=widths)


def read_settings(images) -> dict:
    """All that the records depend on, from flags and data."""
    comparable = (*COMPARED, "alexnet")
    if unknown := set(FLAGS.codes or ()) - set(comparable):
        raise ValueError(f"--codes must be among {comparable}. Received: {sorted(unknown)}")
    largest = len(images.x_train) if FLAGS.full else min(LARGEST, len(images.x_train))
    num_seeds = FLAGS.seeds or (3 if FLAGS.data else 2)
    default = DEFAULT | {
        "seeds": list(range(FLAGS.seed, FLAGS.seed + num_seeds)),
        "sizes": [largest // 16, largest // 8, largest // 4, largest // 2, largest],
        "num_classes": images.num_classes,
        "compared": COMPARED if FLAGS.codes is None else FLAGS.codes,
        "compared_size": largest // 8,
        "num_test": min(NUM_TEST, len(images.x_test)),
    }
    if FLAGS.photographs:
        largest = min(10_000, len(images.x_train))
        default |= PHOTOGRAPHS | {"sizes": [largest // 4, largest // 2, largest]}
        default["compared_size"] = largest // 4
        default["seeds"] = default["seeds"] if FLAGS.seeds else [FLAGS.seed]
    smoke = SMOKE | {"seeds": [FLAGS.seed], "num_test": min(100, len(images.x_test))}
    settings = experiment.read_settings(default, smoke, FULL)
    needed = settings["sizes"][-1] if FLAGS.smoke else 16 * images.num_classes
    if len(images.x_train) < needed:
        raise ValueError(
            f"x_train must hold {needed} examples at least, for {images.num_classes} classes. "
            f"Received: {len(images.x_train)} in {settings['data']}"
        )
    return settings


def columns(settings: dict) -> dict[str, dict]:
    """Arguments of every training over prices, by name.

    Other codes, then labels in between, then one column of the phase diagrams each.
    """
    sizes, code = settings["sizes"], settings["code"]
    planned = []
    for other in settings["compared"]:
        betas = settings[f"{kind(other)}betas" if kind(other) else "random_betas"]
        planned.append((other, settings["compared_size"], 1.0, betas))
    for share in settings["corrupted"]:
        planned.append((code, sizes[len(sizes) // 2], share, settings["real_betas"]))
    for size in reversed(sizes):
        planned.append((code, size, 1.0, settings["random_betas"]))
        planned.append((code, size, 0.0, settings["real_betas"]))
    return {
        f"{code}-{size}-{share:g}-{seed}".replace(" ", "_"): {
            "code": code,
            "size": size,
            "share": share,
            "seed": seed,
            "betas": list(betas),
        }
        for code, size, share, betas in planned
        for seed in settings["seeds"]
    }


def kind(code: str) -> str:
    """How the settings of a code's training begin: by what it has to learn and to forget."""
    if CODES[code].features:
        return "features_"
    return "shared_" if CODES[code].continues else ""


def choose(images, size: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which training images, and their labels, a share of them drawn at random."""
    random = np.random.default_rng([seed, size])
    chosen = random.permutation(len(images.x_train))[:size]
    drawn = random.integers(0, images.num_classes, size)
    is_drawn = random.permutation(size) < round(share * size)
    return chosen, np.where(is_drawn, drawn, images.y_train[chosen]).astype("int32")


def train_column(runs, images, settings: dict, name: str, column: dict) -> dict:
    """One network at all prices."""
    code, size, seed = column["code"], column["size"], column["seed"]
    chosen, labels = choose(images, size, column["share"], seed)
    examples = prepare(code, images, labels, chosen, settings["num_test"])
    keras.utils.set_random_seed(seed)
    model = build(code, examples, images.x_train.shape[1:], images.num_classes)
    measured = train_at_prices(
        model,
        code,
        examples,
        column["betas"],
        updates=settings[f"{kind(code)}updates"],
        seed=seed,
        checkpoint=runs.checkpoint(name),
    )
    return {**column, **measured}


def train_width(images, settings: dict, units: int, seed: int) -> dict:
    """A network of which no information is charged, with weight decay as published."""
    size = settings["sizes"][len(settings["sizes"]) // 2]
    chosen, labels = choose(images, size, 0.0, seed)
    code = settings["width_code"]
    examples = prepare(code, images, labels, chosen, settings["num_test"])
    keras.utils.set_random_seed(seed)
    shape = images.x_train.shape[1:]
    model = build_free(code, units, examples.x.shape[1:], shape, images.num_classes)
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(examples.x, examples.y, batch_size=50, epochs=settings["width_epochs"], verbose=0)
    _, train_accuracy = model.evaluate(examples.x, examples.y, verbose=0)
    _, test_accuracy = model.evaluate(examples.x_test, examples.y_test, verbose=0)
    return {
        "units": units,
        "parameters": model.count_params(),
        "seed": seed,
        "train_accuracy": train_accuracy,
        "test_accuracy": test_accuracy,
    }


if __name__ == "__main__":
    script.main(run)

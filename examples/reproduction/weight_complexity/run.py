"""Algorithmic complexity of weights (QuBD) through learning, overfitting and grokking.

Bakhtiarifard et al. (2026), arXiv 2605.15551. Two experiments: ``budgets`` trains one MLP from one
initial state on growing shares of the data (their Fig 4, with digits or MNIST in place of
FashionMNIST), under three regimens: the published one (101 epochs, weight decay as a term of the
loss), the same with an equal number of updates for every budget, and that without weight decay.
``grokking`` learns addition modulo ``--modulus`` far past fitting, with and without weight decay
(their Fig 5). Every number is compared with that of the model's own shuffled weights.

Expected: one verdict for each of the claims 5-a to 5-h in ``result.json``, a figure beside it.
Takes eight minutes of one core; ``--smoke`` half a minute; ``--full`` has the published budgets,
modulus, width and updates. If killed and started again with the same ``--output_dir``, it continues
where it was and ends with the same result.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from math import gcd
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where `reproduction` is found
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import experiment, script
from reproduction.weight_complexity.claims import CLAIMS, judge
from reproduction.weight_complexity.figure import plot
from reproduction.weight_complexity.setup import build_adder, build_mlp, load_data

FLAGS = flags.FLAGS
script.define_flags("outputs/weight_complexity", resume=True, full=True)
flags.DEFINE_enum("task", "all", ["all", "budgets", "grokking"], "What to run.")
flags.DEFINE_integer("max_examples", 10_000, "Training examples used at most.", 1)
flags.DEFINE_list("budgets", ["100", "200", "500", "1000", "all"], "Training examples.")
flags.DEFINE_integer("seeds", 3, "Repeats, with other subsets and orders.", 1)
flags.DEFINE_integer("epochs", 101, "Epochs of the largest budget.", 1)
flags.DEFINE_float("width", 0.5, "Scale of the hidden layers 1024, 512 and 256.", 0.01)
flags.DEFINE_integer("modulus", 47, "Modulus of the addition; published: 97.", 3)
flags.DEFINE_integer("grok_width", 128, "Embedding and hidden width; published: 512.", 1)
flags.DEFINE_integer("grok_updates", 10_000, "Updates; published: 11,000.", 100)

BATCH_SIZE = 128
CHECKPOINTS = 20
REGIMENS = ("published", "equal_updates", "no_decay")
PTQ_BITS = range(1, 9)
SIZES = ("max_examples", "budgets", "width", "modulus", "grok_width", "grok_updates")
SMOKE = {"budgets": ["40", "80"], "seeds": 1, "epochs": 4, "width": 0.0625, "modulus": 11}
SMOKE |= {"grok_width": 16, "grok_updates": 400}
FULL = {"max_examples": 60_000, "modulus": 97, "grok_width": 512, "grok_updates": 11_000}
FULL |= {"budgets": ["100", "200", "500", "2000", "5000", "10000", "20000", "40000"]}


def run():
    """Run what is missing, then judge."""
    settings = read_settings()
    data = load_data(FLAGS.data, settings["max_examples"])
    check_budgets(settings["budgets"], len(data[0]))
    runs = experiment.Experiment(FLAGS.output_dir, settings)
    planned = planned_runs(settings, data, runs)
    records = [runs.run(name, compute) for name, compute in planned.items()]
    plot(records, runs.folder / "figure.png")
    runs.conclude(CLAIMS, judge(records, settings))


def read_settings() -> dict:
    """All that the result depends on, from the flags."""
    default = {name: FLAGS[name].value for name in (*SIZES, "task", "epochs", "seeds")}
    return experiment.read_settings(default, SMOKE, FULL)


def check_budgets(budgets: list[str], examples: int) -> None:
    """Refuse budgets that are no numbers, too large for the data, or the same twice."""
    good = all(b == "all" or (b.isdigit() and 0 < int(b) <= examples) for b in budgets)
    if not good or not budgets or len(set(budgets)) < len(budgets):
        raise ValueError(
            f"--budgets must be different numbers up to the {examples} training examples, or "
            f"'all'. Received: budgets={budgets}"
        )


def planned_runs(settings: dict, data: tuple, runs: experiment.Experiment) -> dict[str, Callable]:
    """Function of every run, by name."""
    planned = {}
    seeds = range(settings["seed"], settings["seed"] + settings["seeds"])
    if settings["task"] in ("all", "budgets"):
        for regimen in REGIMENS:
            for budget in settings["budgets"]:
                for seed in seeds:
                    planned[f"{regimen}-{budget}-{seed}"] = partial(
                        run_budget, settings, data, regimen, budget, seed
                    )
    if settings["task"] in ("all", "grokking"):
        for seed in seeds:
            for decay in (1.0, 0.0):
                name = f"grokking-decay_{decay:g}-{seed}"
                planned[name] = partial(run_grokking, settings, runs, name, decay, seed)
    return planned


def run_budget(settings: dict, data: tuple, regimen: str, budget: str, seed: int) -> dict:
    """Train on ``budget`` examples and measure on the way and at the end."""
    x, y, x_test, y_test = data
    num_classes = int(max(y.max(), y_test.max())) + 1
    largest = max(len(x) if b == "all" else int(b) for b in settings["budgets"])
    chosen = np.random.default_rng(seed).permutation(len(x))
    chosen = chosen[: len(x) if budget == "all" else int(budget)]
    x, y = x[chosen], y[chosen]
    examples = len(x) if regimen == "published" else largest
    updates = settings["epochs"] * -(-examples // BATCH_SIZE)
    checkpoints = min(CHECKPOINTS, settings["epochs"])
    steps = updates // checkpoints
    keras.utils.set_random_seed(0)  # every run starts from the same weights
    model = build_mlp(
        settings["width"],
        x.shape[1],
        num_classes,
        decay=regimen != "no_decay",
        steps_per_execution=gcd(steps, 10),  # Keras rounds an epoch up to whole executions
    )
    start = kib.estimators.quantized_complexity(model)
    start_compression = kib.estimators.weight_compression(model)

    keras.utils.set_random_seed(seed)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=seed)
    measure = kib.callbacks.Measure(
        {
            "test": lambda model: scores(model, x_test, y_test),
            "train": lambda model: scores(model, x, y),
            "qubd": lambda model: complexity_row(model, start),
        }
    )
    model.fit(
        batches.batch(BATCH_SIZE).repeat(),
        steps_per_epoch=steps,
        epochs=checkpoints,
        verbose=0,
        callbacks=[measure],
    )
    end = kib.estimators.quantized_complexity(model, baseline=start)
    compression = kib.estimators.weight_compression(model)
    return {
        "task": "budgets",
        "regimen": regimen,
        "budget": len(x),
        "seed": seed,
        "updates": int(model.optimizer.iterations),
        "rows": measure.rows,
        "test_accuracy": scores(model, x_test, y_test)["accuracy"],
        "ratio": end.ratio,
        "ratio_by_plane": end.against_baseline.by_plane.tolist(),
        "shuffled_ratio": end.shuffled_ratio,
        "shuffled_std": end.against_shuffled.std,
        "shuffled_by_plane": end.against_shuffled.by_plane.tolist(),
        "comparators": {
            name: getattr(compression, name) / getattr(start_compression, name)
            for name in ("sign_bits", "gzip_raw", "lzma_raw", "gzip_planes", "lzma_planes")
        },
        "accuracy_at_bits": {
            bits: scores(kib.estimators.quantize_to(model, bits), x_test, y_test)["accuracy"]
            for bits in PTQ_BITS
        },
        "saturation": max(end.saturation.values()),
    }


def run_grokking(
    settings: dict, runs: experiment.Experiment, name: str, weight_decay: float, seed: int
) -> dict:
    """Learn addition modulo p on half of the table; goes on from the last checkpoint."""
    modulus, every = settings["modulus"], 100
    a, b = np.divmod(np.arange(modulus**2), modulus)
    x, y = np.stack([a, b], axis=1), (a + b) % modulus
    order = np.random.default_rng(seed).permutation(len(x))
    train, test = order[: len(x) // 2], order[len(x) // 2 :]
    keras.utils.set_random_seed(seed)
    model = build_adder(modulus, settings["grok_width"], weight_decay)
    start = kib.estimators.quantized_complexity(model, num_bits=4)
    checkpoint = runs.checkpoint(name)
    measure = kib.callbacks.Measure(
        {
            "train": lambda model: scores(model, x[train], y[train]),
            "test": lambda model: scores(model, x[test], y[test]),
            "qubd": lambda model: complexity_row(model, start, num_bits=4),
        },
        csv_path=os.fspath(runs.folder / "records" / f"{name}.csv"),
    )
    model.fit(
        tf.data.Dataset.from_tensors((x[train], y[train])).repeat(),
        steps_per_epoch=every,
        initial_epoch=checkpoint.restore(model),
        epochs=settings["grok_updates"] // every,
        shuffle=False,
        verbose=0,
        callbacks=[measure, checkpoint],
    )
    return {
        "task": "grokking",
        "weight_decay": weight_decay,
        "seed": seed,
        "updates_per_row": every,
        "rows": measure.rows,
        "test_accuracy": measure.rows[-1]["test_accuracy"],
        "ratio": measure.rows[-1]["qubd_ratio"],
        "shuffled_ratio": measure.rows[-1]["qubd_shuffled_ratio"],
    }


def complexity_row(model, start, num_bits: int = 8) -> dict[str, float]:
    """Ratios that are followed during training."""
    now = kib.estimators.quantized_complexity(model, num_bits=num_bits, baseline=start)
    return {
        "ratio": now.ratio,
        "shuffled_ratio": now.shuffled_ratio,
        "top_ratio": float(now.against_baseline.by_plane[-1]),
        "top_shuffled_ratio": float(now.against_shuffled.by_plane[-1]),
    }


def scores(model: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Mean cross-entropy in nats and accuracy."""
    logits = model(x, training=False)
    losses = keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
    hits = keras.ops.argmax(logits, axis=-1) == y
    return {
        "crossentropy": float(keras.ops.mean(losses)),
        "accuracy": float(keras.ops.mean(keras.ops.cast(hits, "float32"))),
    }


if __name__ == "__main__":
    script.main(run)

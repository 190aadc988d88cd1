"""What curvature costs: ours and the torch packages on the same weights and the same data.

Every time is a multiple of its own framework's plain gradient pass, on one thread, the best of
several rounds in which the quantities take turns. The diagonals of all packages are compared with
ours. Memory is the peak of a fresh process above that of a plain gradient pass.

  python benchmarks/fisher.py --data mnist.npz --peers_python /path/to/python
"""

import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from keras_infobottleneck.estimators import fisher_information, hessian

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "data", None, "An .npz with x_train and y_train; scikit-learn's digits if not given."
)
flags.DEFINE_integer("num_examples", 2000, "Examples used.")
flags.DEFINE_integer("batch_size", 250, "Examples per batch.")
flags.DEFINE_integer("rounds", 5, "Rounds; the best counts.")
flags.DEFINE_multi_enum("network", ["mlp", "cnn"], ["mlp", "cnn"], "Networks.")
flags.DEFINE_string("peers_python", None, "A Python with torch and the packages compared with.")
flags.DEFINE_multi_string("quantity", None, "Only these quantities.")
flags.DEFINE_bool("memory", False, "Measure peak memory instead of time.")
flags.DEFINE_string("memory_of", None, "For internal use: one quantity in this process.")
flags.DEFINE_bool("scaling", False, "Time against examples and weights instead.")
flags.DEFINE_bool(
    "resnet", False, "ResNet50, 32 images of 64x64: diagonal, trace, log-determinant."
)
flags.DEFINE_string("output", None, "A JSON file for the results.")


def examples():
    """Images `[n, 28, 28, 1]` in [0, 1] and integer labels."""
    if FLAGS.data:
        with np.load(FLAGS.data, allow_pickle=False) as archive:
            x, y = archive["x_train"], archive["y_train"]
    else:
        from sklearn.datasets import load_digits

        digits = load_digits()
        x = np.pad(np.kron(digits.images, np.ones((3, 3))) * 255 / 16, [(0, 0), (2, 2), (2, 2)])
        y = digits.target
    x = x[: FLAGS.num_examples].astype(np.float32).reshape(-1, 28, 28, 1) / 255
    return x, y[: FLAGS.num_examples].astype(np.int64)


def network(name):
    """The two networks of the comparison, with logits."""
    layers = keras.layers
    if name == "mlp":
        parts = [
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dense(512, activation="relu"),
        ]
    else:
        parts = [
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
        ]
    return keras.Sequential([keras.Input((28, 28, 1)), *parts, layers.Dense(10)])


def gradient_pass(model, x, y):
    """A plain pass: the mean loss' gradient, summed over batches."""
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    variables = [v.value for v in model.trainable_variables]

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=False))
        return tape.gradient(loss, variables)

    def run():
        total = None
        for start in range(0, len(x), FLAGS.batch_size):
            part = slice(start, start + FLAGS.batch_size)
            gradients = step(tf.constant(x[part]), tf.constant(y[part]))
            total = (
                gradients
                if total is None
                else [a + b for a, b in zip(total, gradients, strict=True)]
            )
        return [t.numpy() for t in total]

    return run


def quantities(model, x, y):
    """Name to a function that runs one pass over the data."""
    options = {"likelihood": "categorical", "batch_size": FLAGS.batch_size}

    def fisher(structure, labels):
        return lambda: fisher_information(
            model, (x, y), structure=structure, labels=labels, seed=0, **options
        )

    rng = np.random.default_rng(0)
    vector = [rng.standard_normal(v.shape).astype(np.float32) for v in model.trainable_variables]
    found = {
        "gradient": gradient_pass(model, x, y),
        "diagonal, empirical": fisher("diagonal", "empirical"),
        "diagonal, sampled": fisher("diagonal", "sampled"),
        "diagonal, expected": fisher("diagonal", "expected"),
        "kronecker, sampled": fisher("kronecker", "sampled"),
    }
    implicit = fisher("implicit", "expected")()
    curvature = hessian(model, (x, y), **options)
    found["fisher-vector product"] = lambda: implicit.matvec(vector)
    found["hessian-vector product"] = lambda: curvature.matvec(vector)
    if FLAGS.quantity:
        found = {k: v for k, v in found.items() if k == "gradient" or k in FLAGS.quantity}
    return found


def best_times(runs, rounds):
    """Seconds of the best round; the first, which compiles, does not count."""
    for run in runs.values():
        run()
    best = dict.fromkeys(runs, np.inf)
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def diagonals(model, x, y):
    """Diagonals that the packages are compared on, in float64."""
    return {
        labels: np.concatenate(
            [
                v.ravel()
                for v in fisher_information(
                    model, (x, y), labels=labels, likelihood="categorical"
                ).diagonal()
            ]
        ).astype(np.float64)
        for labels in ("empirical", "expected")
    }


def peers(name, model, x, y):
    """What the torch packages take and give, from their own process."""
    with tempfile.TemporaryDirectory() as folder:
        task, answer = os.path.join(folder, "task.npz"), os.path.join(folder, "answer.npz")
        weights = {f"weight_{i}": v.numpy() for i, v in enumerate(model.trainable_variables)}
        np.savez(task, x=x, y=y, **weights)
        script = os.path.join(os.path.dirname(__file__), "fisher_peers.py")
        arguments = [name, task, answer, str(FLAGS.batch_size), str(FLAGS.rounds)]
        subprocess.run([FLAGS.peers_python, script, *arguments], check=True)
        with np.load(answer, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}


def compare(name):
    """Ratios and differences for one network."""
    x, y = examples()
    model = network(name)
    times = best_times(quantities(model, x, y), FLAGS.rounds)
    result = {"gradient_seconds": times["gradient"]}
    result["ours"] = {k: t / times["gradient"] for k, t in times.items() if k != "gradient"}
    if FLAGS.peers_python:
        answers = peers(name, model, x, y)
        exact = diagonals(model, x, y)
        result["peers"] = {k[5:]: float(v) for k, v in answers.items() if k.startswith("time ")}
        result["difference"] = {
            k: float(np.abs(v - exact[k.split()[-1]]).max() / exact[k.split()[-1]].max())
            for k, v in answers.items()
            if not k.startswith("time ")
        }
    return result


def peak_memory(name, quantity):
    """MiB at the peak of a fresh process that does one thing."""
    flag = [f"--network={name}", f"--memory_of={quantity}", f"--num_examples={FLAGS.num_examples}"]
    data = [f"--data={FLAGS.data}"] if FLAGS.data else []
    command = [sys.executable, __file__, *flag, *data, f"--batch_size={FLAGS.batch_size}"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(out.strip().splitlines()[-1])


def memory_of(name, quantity):
    """Runs one quantity and prints the process' peak."""
    x, y = examples()
    model = network(name)
    run = gradient_pass(model, x, y)
    if quantity != "gradient":
        _, labels = quantity.split(", ")
        options = {"likelihood": "categorical", "batch_size": FLAGS.batch_size}
        run = functools.partial(fisher_information, model, (x, y), labels=labels, **options)
    run()
    run()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def scaling():
    """Seconds of a sampled diagonal against examples and against weights."""
    x, y = examples()
    result = {"examples": {}, "weights": {}}
    model = network("mlp")
    options = {"likelihood": "categorical", "batch_size": FLAGS.batch_size}
    for count in (500, 1000, 2000):
        data = x[:count], y[:count]
        run = functools.partial(fisher_information, model, data, **options)
        result["examples"][count] = best_times({"run": run}, FLAGS.rounds)["run"]
    for width in (512, 1024, 2048):
        dense = keras.layers.Dense
        wide = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                keras.layers.Flatten(),
                dense(width, activation="relu"),
                dense(width, activation="relu"),
                dense(10),
            ]
        )
        run = functools.partial(fisher_information, wide, (x, y), **options)
        seconds = best_times({"run": run}, FLAGS.rounds)["run"]
        result["weights"][wide.count_params()] = seconds
    return result


def resnet():
    """Seconds and peak memory on ResNet50."""
    model = keras.applications.ResNet50(
        weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None
    )
    x = np.random.default_rng(0).standard_normal((32, 64, 64, 3)).astype(np.float32)
    options = {"likelihood": "categorical", "batch_size": 8, "seed": 0}
    result = {"weights": model.count_params()}
    start = time.perf_counter()
    diagonal = fisher_information(model, x, **options)
    result["diagonal_seconds"] = time.perf_counter() - start
    result["trace"] = repr(diagonal.trace())
    start = time.perf_counter()
    implicit = fisher_information(model, x, structure="implicit", **options)
    logdet = implicit.logdet(1e-3, num_probes=2, num_steps=20)
    result["logdet_seconds"] = time.perf_counter() - start
    result["logdet"] = repr(logdet)
    result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result


def main(_):
    """Measures and prints."""
    keras.utils.set_random_seed(0)
    if not FLAGS.resnet:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    if FLAGS.memory_of:
        memory_of(FLAGS.network[0], FLAGS.memory_of)
        return
    if FLAGS.resnet:
        result = resnet()
    elif FLAGS.scaling:
        result = scaling()
    elif FLAGS.memory:
        wanted = ["gradient", "diagonal, empirical", "diagonal, sampled", "diagonal, expected"]
        result = {}
        for name in FLAGS.network:
            peaks = {quantity: peak_memory(name, quantity) for quantity in wanted}
            result[name] = {q: p - peaks["gradient"] for q, p in peaks.items()}
            result[name]["gradient"] = peaks["gradient"]
    else:
        result = {name: compare(name) for name in FLAGS.network}
    text = json.dumps(result, indent=2)
    print(text)
    if FLAGS.output:
        with open(FLAGS.output, "w") as file:
            file.write(text)


if __name__ == "__main__":
    app.run(main)

"""What curvature costs: ours and the torch packages on the same weights and the same data.

Every time is a multiple of its own framework's plain gradient pass, on one thread, the best of
several rounds in which the quantities take turns. Ours is given against two plain passes: one
that calls a compiled step for each batch, as training does, and one that loops over the batches
in compiled code, as ours does. The diagonals of all packages are compared with ours.

  python benchmarks/fisher.py --data mnist.npz --peers_python /path/to/python
"""

import json
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from sequence_networks import SEQUENCES

from keras_infobottleneck.estimators import fisher_information, hessian

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "data", None, "An .npz with x_train and y_train; scikit-learn's digits if not given."
)
flags.DEFINE_integer("num_examples", 2000, "Examples used at most, in whole batches.", 1)
flags.DEFINE_integer("batch_size", 250, "Examples per batch.", 1)
flags.DEFINE_integer("rounds", 5, "Rounds; the best counts.", 1)
flags.DEFINE_multi_enum("network", ["mlp", "cnn"], ["mlp", "cnn", *SEQUENCES], "Networks.")
flags.DEFINE_string("peers_python", None, "A Python with torch and the packages compared with.")
flags.DEFINE_multi_string("quantity", None, "Only these quantities.")
flags.DEFINE_string("output", None, "A JSON file for the results.")

PLAIN = ("gradient", "gradient, compiled loop")


def examples():
    """Images `[n, 28, 28, 1]` in [0, 1] and integer labels, as many as fill batches."""
    if FLAGS.data:
        with np.load(FLAGS.data, allow_pickle=False) as archive:
            x, y = archive["x_train"], archive["y_train"]
    else:
        from sklearn.datasets import load_digits

        digits = load_digits()
        x = np.pad(np.kron(digits.images, np.ones((3, 3))) * 255 / 16, [(0, 0), (2, 2), (2, 2)])
        y = digits.target
    # Loops that are compiled take whole batches, and everything is measured on the same examples.
    count = min(FLAGS.num_examples, len(x)) // FLAGS.batch_size * FLAGS.batch_size
    if count == 0:
        sys.exit(
            f"{os.path.basename(sys.argv[0])}: --batch_size must be at most the number of "
            f"examples, {min(FLAGS.num_examples, len(x))}. Received: {FLAGS.batch_size}"
        )
    x = x[:count].astype(np.float32).reshape(-1, 28, 28, 1) / 255
    return x, y[:count].astype(np.int64)


def network(name):
    """A network of the comparison, with logits."""
    if name in SEQUENCES:
        return SEQUENCES[name]()
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


def gradient_step(model):
    """From a batch to the gradients of the mean loss, not compiled."""
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    variables = [v.value for v in model.trainable_variables]

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=False))
        return tape.gradient(loss, variables)

    return step


def gradient_pass(model, x, y):
    """A plain pass: gradients summed over batches, a compiled step called for each."""
    step = tf.function(gradient_step(model))

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


def gradient_loop(model, x, y):
    """The same, the loop over batches compiled too."""
    step = gradient_step(model)
    batches = len(x) // FLAGS.batch_size

    @tf.function
    def loop(x, y):
        total = [tf.zeros(v.shape) for v in model.trainable_variables]
        for i in tf.range(batches):
            total = [a + b for a, b in zip(total, step(x[i], y[i]), strict=True)]
        return total

    def run():
        stacks = [a.reshape(batches, -1, *a.shape[1:]) for a in (x, y)]
        return [t.numpy() for t in loop(*map(tf.constant, stacks))]

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
        "gradient, compiled loop": gradient_loop(model, x, y),
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
        found = {k: v for k, v in found.items() if k in (*PLAIN, *FLAGS.quantity)}
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
        arguments += FLAGS.quantity or []
        subprocess.run([FLAGS.peers_python, script, *arguments], check=True)
        with np.load(answer, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}


def compare(name):
    """Ratios and differences for one network."""
    x, y = examples()
    model = network(name)
    times = best_times(quantities(model, x, y), FLAGS.rounds)
    result = {"seconds": {k: times.pop(k) for k in PLAIN}}
    step, loop = result["seconds"].values()
    result["ours"] = {k: t / step for k, t in times.items()}
    result["ours, of the compiled loop"] = {k: t / loop for k, t in times.items()}
    if FLAGS.peers_python:
        answers = peers(name, model, x, y)
        exact = diagonals(model, x, y)
        result["seconds of the peers"] = float(answers.pop("seconds gradient"))
        result["peers"] = {k[5:]: float(v) for k, v in answers.items() if k.startswith("time ")}
        result["difference"] = {
            k: float(np.abs(v - exact[k.split()[-1]]).max() / exact[k.split()[-1]].max())
            for k, v in answers.items()
            if not k.startswith("time ")
        }
    return result


def on_one_thread():
    """The setting of every time."""
    keras.utils.set_random_seed(0)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def report(result):
    """Prints, and writes where asked to."""
    text = json.dumps(result, indent=2)
    print(text)
    if FLAGS.output:
        with open(FLAGS.output, "w") as file:
            file.write(text + "\n")


def main(_):
    """Measures and prints."""
    on_one_thread()
    report({name: compare(name) for name in FLAGS.network})


if __name__ == "__main__":
    app.run(main)

"""How much of a device's arithmetic and bandwidth training and measuring reach.

What the device can do is measured first, in the same run: float32 products of large matrices with
TensorFloat-32 off, and passes that read and write memory. Every row then has the time that its
products and the bytes of its weights take at that speed, as a share of the time it took. Rows that
are done on the host, such as counting, have their rate.

    python benchmarks/gpu.py --output gpu.json

Run time: under eight minutes on one GPU; seconds with --smoke, which also runs without one.
"""

import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import keras_infobottleneck as kib

FLAGS = flags.FLAGS
flags.DEFINE_integer("width", 4096, "Units of the three hidden layers.", 1)
flags.DEFINE_integer("batch_size", 1024, "Examples per batch.", 1)
flags.DEFINE_integer("num_batches", 32, "Batches that are measured on.", 1)
flags.DEFINE_integer("states", 10**8, "States that are counted.", 1)
flags.DEFINE_integer("rounds", 3, "Runs of each row; the best counts.", 1)
flags.DEFINE_float("minutes", 7.0, "No further row is started after this.")
flags.DEFINE_bool("smoke", False, "Small sizes.")
flags.DEFINE_string("output", None, "A JSON file for the results.")

NUM_INPUTS, CLASSES = 784, 10


def best_seconds(run):
    """Of some runs after one that traces; a run ends when its result is on the host."""
    run()
    times = []
    for _ in range(FLAGS.rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def peaks():
    """Operations and bytes a second that the device reaches on what suits it best."""
    side = 256 if FLAGS.smoke else 8192
    matrix = tf.random.stateless_normal((side, side), (0, 0))
    long = tf.zeros([2**20 if FLAGS.smoke else 2**28])

    @tf.function(autograph=False)
    def product(a):
        for _ in range(8):
            a = tf.matmul(a, matrix) / side**0.5
        return tf.reduce_sum(a)

    @tf.function(autograph=False)
    def passes(a):
        return tf.while_loop(lambda i, _: i < 8, lambda i, a: (i + 1, a + 1.0), (0, a))[1][0]

    return {
        "operations": 8 * 2 * side**3 / best_seconds(lambda: float(product(matrix))),
        "bytes": 8 * 2 * 4 * long.shape[0] / best_seconds(lambda: float(passes(long))),
    }


def network(estimator=None):
    """Three wide layers, with noise on the weights if an estimator is given."""
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(FLAGS.width, "relu") for _ in range(3)]
    model = keras.Sequential([keras.Input((NUM_INPUTS,)), *hidden, keras.layers.Dense(CLASSES)])
    if estimator:
        count = FLAGS.batch_size * FLAGS.num_batches
        options = {"prior_scale": "grid", "variational_bias": True, "verbose": 0}
        model = kib.make_variational(model, num_examples=count, estimator=estimator, **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=not FLAGS.smoke)
    return model


def examples():
    """Random inputs and labels, as many as the batches take."""
    rng = np.random.default_rng(0)
    count = FLAGS.batch_size * FLAGS.num_batches
    return rng.random((count, NUM_INPUTS), "float32"), rng.integers(CLASSES, size=count)


def kernels():
    """Number of entries of all kernels, and of those behind the first."""
    behind = 2 * FLAGS.width**2 + FLAGS.width * CLASSES
    return NUM_INPUTS * FLAGS.width + behind, behind


def training(estimator):
    """A step: products forwards and backwards, and Adam's passes over the weights."""
    whole, behind = kernels()
    sets = 2 if estimator else 1  # a mean and a spread for each weight
    products = sets if estimator != "sample" else 1
    model = network(estimator)
    x, y = (tf.constant(a[: FLAGS.batch_size]) for a in examples())
    # The inputs of the first layer have no gradient; Adam reads four tensors and writes three.
    return {
        "run": lambda: model.train_on_batch(x, y),
        "operations": products * 2 * FLAGS.batch_size * (2 * whole + behind),
        "bytes": 7 * 4 * sets * whole,
    }


def diagonal():
    """A sampled diagonal of all batches: forwards, backwards, and squares by squares."""
    model, data = network(), examples()
    whole, behind = kernels()
    options = {"labels": "sampled", "seed": 0, "batch_size": FLAGS.batch_size}
    return {
        "run": lambda: kib.estimators.fisher_information(model, data, **options),
        "operations": 2 * len(data[0]) * (2 * whole + behind),
        "bytes": 2 * 4 * whole * FLAGS.num_batches,
    }


def product(kind):
    """A vector times the Fisher matrix, five products a layer, or the Hessian, eight."""
    model, data = network(), examples()
    whole, behind = kernels()
    options = {"batch_size": FLAGS.batch_size}
    if kind == "Fisher":
        options |= {"structure": "implicit", "labels": "expected", "likelihood": "categorical"}
        matrix = kib.estimators.fisher_information(model, data, **options)
    else:
        matrix = kib.estimators.hessian(model, data, **options)
    vector = [np.ones(shape, "float32") for shape in matrix.layout.shapes]
    behind_first = {"Fisher": 5, "Hessian": 8}[kind]
    first = behind_first // 2
    return {
        "run": lambda: matrix.matvec(vector),
        "operations": 2 * len(data[0]) * (behind_first * behind + first * (whole - behind)),
        "bytes": 2 * 4 * whole * FLAGS.num_batches,
    }


def states():
    """States of 64 units of a stream, counted as they pass; the device packs, the host counts."""
    block = min(FLAGS.states, 10**6)
    dense = keras.layers.Dense(64, "relu", name="hidden")
    model = keras.Sequential([keras.Input((16,)), dense])
    stream = tf.data.Dataset.range(-(-FLAGS.states // block)).map(
        lambda i: tf.random.stateless_uniform((block, 16), tf.stack([i, 0]), -1.0, 1.0),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    start = time.perf_counter()
    for _ in stream:
        pass
    alone = time.perf_counter() - start
    start = time.perf_counter()
    counts = kib.estimators.StateCounts.from_model(model, stream, "hidden")
    seconds = time.perf_counter() - start
    number = int(np.sum(counts.counts))
    return {
        "seconds": seconds,
        "states": number,
        "states_per_second": number / seconds,
        "seconds, the stream alone": alone,
    }


def certificate():
    """A certificate whose weights are drawn for each example: two products a layer and draw."""
    model, data = network("local"), examples()
    whole, _ = kernels()
    draws = 2
    options = {"num_samples": draws, "from_logits": True, "seed": 0}
    return {
        "run": lambda: kib.estimators.certify(model, data, batch_size=FLAGS.batch_size, **options),
        "operations": 2 * draws * 2 * len(data[0]) * whole,
        "bytes": 2 * 4 * 2 * whole * draws * FLAGS.num_batches,
    }


ROWS = {
    "training step, plain": lambda: training(None),
    'training step, "local"': lambda: training("local"),
    'training step, "sample"': lambda: training("sample"),
    'training step, "flipout"': lambda: training("flipout"),
    "Fisher diagonal, sampled": diagonal,
    "Fisher-vector product": lambda: product("Fisher"),
    "Hessian-vector product": lambda: product("Hessian"),
    "certificate": certificate,
    "state counts": states,
}


def measured(row, peak):
    """Seconds of a row, and the share of them that the device needs at its best."""
    if "run" not in row:
        return row
    seconds = best_seconds(row["run"])
    least = row["operations"] / peak["operations"] + row["bytes"] / peak["bytes"]
    return {
        "seconds": seconds,
        "teraflops": row["operations"] / seconds / 1e12,
        "share_of_arithmetic": row["operations"] / seconds / peak["operations"],
        "share_of_the_limit": least / seconds,
    }


def main(argv):
    """Measure the device, then every row."""
    del argv
    started = time.perf_counter()
    if FLAGS.smoke:
        FLAGS.width, FLAGS.batch_size, FLAGS.num_batches, FLAGS.rounds = 16, 32, 3, 1
        FLAGS.states = 3000
    tf.config.experimental.enable_tensor_float_32_execution(False)
    devices = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(devices[0]) if devices else {}
    peak = peaks()
    rows = {}
    print(
        f"{details or 'no GPU'}; {peak['operations']:.3g} operations, {peak['bytes']:.3g} bytes/s"
    )
    for name, make in ROWS.items():
        if time.perf_counter() - started > 60 * FLAGS.minutes:
            print(f"{name}: left out, {FLAGS.minutes:g} minutes are over", flush=True)
            continue
        rows[name] = measured(make(), peak)
        keras.backend.clear_session()
        print(name, {key: float(f"{value:.4g}") for key, value in rows[name].items()}, flush=True)
    report = {
        "command": "python benchmarks/gpu.py",
        "device": {key: str(value) for key, value in details.items()},
        "peak": peak,
        "rows": rows,
        "minutes": (time.perf_counter() - started) / 60,
    }
    if FLAGS.output:
        with open(FLAGS.output, "w") as file:
            file.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)

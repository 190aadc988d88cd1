"""What a stream costs beside arrays: processor seconds by kind of data, and peak memory by size.

The same examples come as arrays, as a `tf.data.Dataset`, from a generator, and as a `PyDataset`, in
the same batches; each measure is given with its ratio to arrays, beside the time of reading the
data alone. Memory is the peak of a process of its own that reads a generator's stream.

  python benchmarks/streams.py --output streams.json
"""

import json
import os
import resource
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from keras_infobottleneck.estimators import StateCounts, fisher_information, hessian, hidden_states
from keras_infobottleneck.introspection.model_data import batches_for

FLAGS = flags.FLAGS
flags.DEFINE_integer("num_examples", 131_072, "Examples of the comparison.", 1)
flags.DEFINE_integer("num_inputs", 100, "Entries of an example.", 1)
flags.DEFINE_integer("batch_size", 128, "Examples per batch.", 1)
flags.DEFINE_integer("rounds", 3, "Rounds; the best counts.", 1)
flags.DEFINE_list("memory_sizes", ["10000", "1000000"], "Examples of the streams of which memory.")
flags.DEFINE_integer("memory_of", None, "Measure a stream of so many examples, and nothing else.")
flags.DEFINE_string("output", None, "A JSON file for the results.")


def network():
    """Three layers, compiled for ten classes."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(32, "relu", name="hidden"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((FLAGS.num_inputs,)), *layers])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class Batches(keras.utils.PyDataset):
    """Slices of arrays."""

    def __init__(self, x, y):
        super().__init__()
        self._data = x, y

    @property
    def num_batches(self):
        """As many as it takes."""
        return -(-len(self._data[0]) // FLAGS.batch_size)

    def __getitem__(self, index):
        start = index * FLAGS.batch_size
        return tuple(a[start : start + FLAGS.batch_size] for a in self._data)


def generated(num_examples):
    """A stream that no memory holds: every batch is made when it is asked for."""
    shape = (FLAGS.batch_size, FLAGS.num_inputs)

    def batches():
        for start in range(0, num_examples, FLAGS.batch_size):
            rng = np.random.default_rng(start)
            rows = min(FLAGS.batch_size, num_examples - start)
            yield rng.random(shape, np.float32)[:rows] - 0.5, rng.integers(10, size=rows)

    row = tf.TensorSpec((None, FLAGS.num_inputs)), tf.TensorSpec((None,), tf.int64)
    return tf.data.Dataset.from_generator(batches, output_signature=row)


def sources():
    """The same examples by kind of data."""
    rng = np.random.default_rng(0)
    x = rng.random((FLAGS.num_examples, FLAGS.num_inputs), np.float32) - 0.5
    y = rng.integers(10, size=FLAGS.num_examples)
    pairs = Batches(x, y)
    row = tf.TensorSpec((None, FLAGS.num_inputs)), tf.TensorSpec((None,), tf.int64)

    def generator():
        return (pairs[i] for i in range(pairs.num_batches))

    return {
        "arrays": (x, y),
        "tf.data": tf.data.Dataset.from_tensor_slices((x, y)).batch(FLAGS.batch_size),
        "generator": tf.data.Dataset.from_generator(generator, output_signature=row),
        "PyDataset": pairs,
    }


def measures(model):
    """From data to work done; the first is reading alone."""
    curvature, vector = {}, {}

    def product(data):
        if id(data) not in curvature:
            curvature[id(data)] = hessian(model, data)
            vector[id(data)] = tf.ones([curvature[id(data)].size])
        return curvature[id(data)].operator.product(vector[id(data)])

    return {
        "reading": lambda data: sum(1 for _ in batches_for(model, data).stacks()),
        "Fisher diagonal": lambda data: fisher_information(model, data, labels="empirical"),
        "Hessian product": product,
        "hidden states": lambda data: hidden_states(model, data, "hidden"),
        "state counts": lambda data: StateCounts.from_model(model, data, "hidden"),
    }


def seconds(measure, data):
    """Processor seconds of all threads, user and system."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    measure(data)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def iterated(data):
    """Passes over a dataset and does nothing."""
    number_of = data.num_batches if isinstance(data, Batches) else None
    for _ in data if number_of is None else map(data.__getitem__, range(number_of)):
        pass


def compared():
    """Seconds by measure and kind of data, and their ratio to arrays."""
    data, results = sources(), {}
    datasets = {kind: source for kind, source in data.items() if kind != "arrays"}
    rounds = [
        {kind: seconds(iterated, source) for kind, source in datasets.items()}
        for _ in range(FLAGS.rounds)
    ]
    bare = {kind: round(min(row[kind] for row in rounds), 4) for kind in datasets}
    print(f"iterating alone  {bare}", flush=True)
    results["iterating alone"] = bare
    for name, measure in measures(network()).items():
        best = dict.fromkeys(data, float("inf"))
        for round_number in range(FLAGS.rounds + 1):  # the first one traces
            for kind, source in data.items():
                spent = seconds(measure, source)
                best[kind] = min(best[kind], spent) if round_number else best[kind]
        results[name] = {kind: round(spent, 4) for kind, spent in best.items()}
        ratios = {kind: f"{spent / best['arrays']:.2f}" for kind, spent in best.items()}
        print(f"{name:16} {results[name]}  ratios {ratios}", flush=True)
    return results


def peak_memory(num_examples):
    """Peak of a process that counts states and takes a Fisher diagonal of a stream, in MiB."""
    command = [sys.executable, __file__, f"--memory_of={num_examples}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main(_):
    """Prints every row, and writes them all."""
    if FLAGS.memory_of:
        model = network()
        StateCounts.from_model(model, generated(FLAGS.memory_of), "hidden", threshold=1.0)
        fisher_information(model, generated(FLAGS.memory_of), seed=0)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    memory = {size: peak_memory(int(size)) for size in FLAGS.memory_sizes}
    print("peak memory, MiB:", {size: round(peak, 1) for size, peak in memory.items()}, flush=True)
    results = {"seconds": compared(), "peak_mebibytes": memory}
    if FLAGS.output:
        with open(FLAGS.output, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    app.run(main)

"""How far curvature goes: peak memory, and a ResNet50.

Memory is the peak of a fresh process above that of a plain gradient pass.

  python benchmarks/fisher_limits.py --measure memory --data mnist.npz
  python benchmarks/fisher_limits.py --measure resnet
"""

import functools
import os
import resource
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from absl import app, flags
from fisher import examples, gradient_pass, network, on_one_thread, report

from keras_infobottleneck.estimators import fisher_information

FLAGS = flags.FLAGS
flags.DEFINE_enum("measure", "memory", ["memory", "resnet"], "What is measured.")
flags.DEFINE_string("memory_of", None, "For internal use: one quantity in this process.")


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


def memory(name):
    """MiB above a plain gradient pass, and that pass' own."""
    peak = peak_memory(name, "gradient")
    wanted = ("diagonal, empirical", "diagonal, sampled", "diagonal, expected")
    found = {quantity: peak_memory(name, quantity) - peak for quantity in wanted}
    return {**found, "gradient": peak}


def resnet():
    """Seconds and peak memory on ResNet50, its weights drawn and not trained."""
    keras.utils.set_random_seed(0)
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
    if FLAGS.measure == "resnet":
        report(resnet())
        return
    on_one_thread()
    if FLAGS.memory_of:
        memory_of(FLAGS.network[0], FLAGS.memory_of)
    else:
        report({name: memory(name) for name in FLAGS.network})


if __name__ == "__main__":
    app.run(main)

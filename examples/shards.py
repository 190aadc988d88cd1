"""Measure a model in two processes, each with a part of the data, and add the results.

No machine needs all data, or communicates with the others: each is told where its part starts.
Drawn labels depend on the number of an example, so with one seed the parts reproduce the whole run.
For the complexity of the weights, which needs no examples, each process measures a part of the
tensors.

`--engine` selects what starts the processes: `futures` (Python's own), `ray` or `dask`, if they are
installed. The function `measure` is the same for all.

The script compares a Fisher matrix, the counts of hidden states, and the complexity of the weights,
in parts and as a whole. Expected: the same counts and bits, and a matrix that differs by rounding.
Run time: a quarter of a minute.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, script

FLAGS = flags.FLAGS
script.define_flags("outputs/shards")
flags.DEFINE_enum("engine", "futures", ["futures", "ray", "dask"], "Who starts the processes.")
NUM_PARTS = 2


def measure(path, x, first, kernels):
    """One part: what the model in the file is on these examples, and the bits of these tensors."""
    model = keras.models.load_model(path)
    fisher = kib.estimators.fisher_information(model, x, first_example=first, seed=0)
    counts = kib.estimators.StateCounts.from_model(model, x, "hidden")
    found = [kib.estimators.quantized_complexity(kernel, num_bits=4) for kernel in kernels]
    bits = sum(each.total_bits for each in found)
    return fisher, counts, bits


def run():
    """Train, measure in parts and whole, compare."""
    images = datasets.load(path=FLAGS.data)
    size = 200 if FLAGS.smoke else len(images.x_train)
    x, y = images.x_train[:size].reshape(size, -1), images.y_train[:size]
    keras.utils.set_random_seed(FLAGS.seed)
    model = keras.Sequential(
        [
            keras.Input((x.shape[1],)),
            keras.layers.Dense(16, activation="relu", name="hidden"),
            keras.layers.Dense(images.num_classes),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=2 if FLAGS.smoke else 20, verbose=0)
    path = os.fspath(script.output_folder() / "model.keras")
    model.save(path)

    kernels = [layer.get_weights()[0] for layer in model.layers]
    ends = [size * part // NUM_PARTS for part in range(NUM_PARTS + 1)]
    parts = [
        (path, x[ends[part] : ends[part + 1]], ends[part], kernels[part::NUM_PARTS])
        for part in range(NUM_PARTS)
    ]
    (fisher, counts, bits), *others = ENGINES[FLAGS.engine](parts)
    for more in others:
        fisher, counts, bits = fisher + more[0], counts + more[1], bits + more[2]
    whole = measure(path, x, 0, kernels)
    pairs = zip(fisher.diagonal(), whole[0].diagonal(), strict=True)
    difference = max(float(np.abs(a - b).max() / b.max()) for a, b in pairs)
    same = bool(np.array_equal(np.sort(counts.counts), np.sort(whole[1].counts)))
    script.finish(
        f"in {NUM_PARTS} parts by {FLAGS.engine}: largest difference of the Fisher matrix "
        f"{difference:.1g} of its largest entry, counts of {counts.num_states} states "
        f"{'the same' if same else 'others'}, {bits:.0f} bits, whole {whole[2]:.0f}",
        engine=FLAGS.engine,
        largest_difference=difference,
        same_counts=same,
        bits=float(bits),
        bits_of_the_whole=float(whole[2]),
    )


def by_futures(parts):
    """Processes of Python itself; a process that was forked would have a broken TensorFlow."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(NUM_PARTS, mp_context=context) as pool:
        return list(pool.map(measure, *zip(*parts, strict=True)))


def by_ray(parts):
    """Tasks of Ray, here on this machine; `ray.init(address="auto")` finds a cluster."""
    import ray

    ray.init(num_cpus=NUM_PARTS, include_dashboard=False, log_to_driver=False)
    try:
        return ray.get([ray.remote(measure).remote(*part) for part in parts])
    finally:
        ray.shutdown()


def by_dask(parts):
    """Tasks of Dask, here on this machine; `Client("address:port")` finds a cluster."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(NUM_PARTS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        return client.gather([client.submit(measure, *part) for part in parts])


ENGINES = {"futures": by_futures, "ray": by_ray, "dask": by_dask}

if __name__ == "__main__":
    script.main(run)

"""Time and peak memory against examples, weights, classes and states, with fitted exponents.

Every point is a process of its own, so that its peak memory is its own. A point that the output
already holds is not measured again: what is stopped goes on. An exponent is the slope of log
processor seconds against log size by least squares, with its standard error; the second one is of
the larger half of the sizes, where fixed costs weigh less.

    python benchmarks/scaling.py --output docs/results/scaling.json \
        --figure docs/figures/scaling.png

Run time: about fifteen minutes on two cores, seconds with --smoke.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "outputs/benchmarks/scaling.json", "The JSON file of all points.")
flags.DEFINE_string("figure", None, "A PNG of seconds and of peak memory.")
flags.DEFINE_multi_string("measure", None, "Only these measures.")
flags.DEFINE_float("largest", np.inf, "Sizes above this are left out.")
flags.DEFINE_bool("smoke", False, "Sizes of a hundredth.")
flags.DEFINE_bool("here", False, "For internal use: one point in this process, printed as JSON.")
flags.DEFINE_integer("size", None, "For internal use: the size of that point.")

# A point is measured until it took this long and this often, or once if it takes longer.
ENOUGH_SECONDS, FEWEST, MOST, TOO_LONG = 0.5, 3, 20, 15.0
BATCH_SIZE, NUM_INPUTS = 250, 100


def network(*widths, classes=10):
    """A perceptron compiled for so many classes, its first hidden layer called `hidden`."""
    import keras

    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(w, "relu", name=f"hidden_{i}") for i, w in enumerate(widths)]
    model = keras.Sequential([keras.Input((NUM_INPUTS,)), *hidden, keras.layers.Dense(classes)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def stream(num_examples, classes=10):
    """Examples that no memory holds: every batch is made when it is asked for."""
    import tensorflow as tf

    def batches():
        for start in range(0, num_examples, BATCH_SIZE):
            rng = np.random.default_rng(start)
            rows = min(BATCH_SIZE, num_examples - start)
            x = rng.random((rows, NUM_INPUTS), np.float32) - 0.5
            yield x, rng.integers(classes, size=rows)

    signature = tf.TensorSpec((None, NUM_INPUTS)), tf.TensorSpec((None,), tf.int64)
    return tf.data.Dataset.from_generator(batches, output_signature=signature)


def fisher(model, num_examples, classes=10):
    """One sampled diagonal of a stream; traced before the clock starts."""
    from keras_infobottleneck.estimators import fisher_information

    def run(count):
        fisher_information(model, stream(count, classes), labels="sampled", seed=0)

    run(2 * BATCH_SIZE)
    return lambda: run(num_examples)


def fisher_by_examples(num_examples):
    """Of the perceptron 100-32-10."""
    return fisher(network(32), num_examples)


def fisher_by_weights(num_weights):
    """Of a perceptron with two equal hidden layers, 500 examples."""
    return fisher(network(*[width_of(num_weights)] * 2), 500)


def fisher_by_classes(classes):
    """Of the perceptron 100-32-classes, 500 examples."""
    return fisher(network(32, classes=classes), 500, classes)


def width_of(num_weights):
    """Of two hidden layers: `w^2 + 112 w + 10` weights, biases included."""
    return max(round((3136 + num_weights) ** 0.5 - 56), 1)


def state_counts_by_examples(num_examples):
    """States of 12 units, of which there are at most 4,096, as the data pass."""
    from keras_infobottleneck.estimators import StateCounts

    model = network(12)

    def run(count):
        StateCounts.from_model(model, stream(count), "hidden_0")

    run(2 * BATCH_SIZE)
    return lambda: run(num_examples)


def counting_by_states(num_states):
    """Distinct states of 64 units, given in ten parts."""
    from keras_infobottleneck.estimators import StateCounts, resolution_relevance

    def run():
        rng = np.random.default_rng(0)
        counts = StateCounts()
        for part in range(10):
            rows = num_states * (part + 1) // 10 - num_states * part // 10
            bits = rng.integers(256, size=(rows, 8), dtype=np.uint8)
            counts.update(np.unpackbits(bits, axis=1).view(bool))
        resolution_relevance(counts)

    return run


def complexity_by_weights(num_weights):
    """Of one square layer of normal weights, with its shuffles."""
    from keras_infobottleneck.estimators import quantized_complexity

    side = int(num_weights**0.5)
    weights = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    quantized_complexity({"kernel": weights[:64, :64]})
    return lambda: quantized_complexity({"kernel": weights})


def half_decades(first, last):
    """Sizes from one power of ten to another."""
    return [round(10 ** (k / 2)) for k in range(2 * first, 2 * last + 1)]


# From a name to the axis, the sizes, and from a size to what is timed.
MEASURES = {
    "Fisher diagonal by examples": ("examples", half_decades(3, 6), fisher_by_examples),
    "state counts by examples": ("examples", half_decades(3, 6), state_counts_by_examples),
    "Fisher diagonal by weights": ("weights", half_decades(5, 8), fisher_by_weights),
    "complexity by weights": ("weights", half_decades(5, 8), complexity_by_weights),
    "Fisher diagonal by classes": ("classes", [10, 100, 1000, 10_000, 50_000], fisher_by_classes),
    "counting by states": ("states", half_decades(4, 7), counting_by_states),
}


def processor_seconds():
    """Of all threads of this process, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def enough(seconds):
    """Whether so many runs will do."""
    if len(seconds) < FEWEST:
        return max(seconds, default=0.0) > TOO_LONG
    return sum(seconds) >= ENOUGH_SECONDS or len(seconds) >= MOST


def point(measure, size):
    """Seconds of the best of some runs, and the peak memory of this process."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    run = MEASURES[measure][2](size)
    wall, processor = [], []
    while not enough(processor):
        started, used = time.perf_counter(), processor_seconds()
        run()
        wall.append(time.perf_counter() - started)
        processor.append(processor_seconds() - used)
    return {
        "seconds": min(wall),
        "processor_seconds": min(processor),
        "runs": len(wall),
        "peak_mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def point_of_its_own(measure, size):
    """A point in a process of its own."""
    command = [sys.executable, __file__, "--here", f"--measure={measure}", f"--size={size}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{measure}, {size:,}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def exponent(points):
    """Slope of log processor seconds against log size, and its standard error."""
    x, y = np.log([[float(size), p["processor_seconds"]] for size, p in points.items()]).T
    x = x - x.mean()
    slope = x @ y / (x @ x)
    residuals = y - y.mean() - slope * x
    error = np.sqrt(residuals @ residuals / max(len(x) - 2, 1) / (x @ x))
    return float(slope), float(error)


def summary(points, axis):
    """Exponents of a measure, over all sizes and over the larger half; and growth of memory."""
    sizes = list(points)
    larger = {size: points[size] for size in sizes[(len(sizes) - 1) // 2 :]}
    found = {}
    for name, chosen in (("all sizes", points), ("larger half", larger)):
        if len(chosen) < 2:
            continue
        slope, error = exponent(chosen)
        found[name] = {"exponent": slope, "standard_error": error}
    first, last = points.get("10000"), points[sizes[-1]]
    if axis == "examples" and first is not None:
        found["peak over that of 10,000"] = last["peak_mebibytes"] / first["peak_mebibytes"]
    return found


def draw(results, path):
    """Processor seconds above, peak memory below, an axis a column."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = {name: row for name, row in results.items() if "larger half" in row["summary"]}
    axes = list(dict.fromkeys(MEASURES[name][0] for name in results))
    figure, grid = pyplot.subplots(2, len(axes), figsize=(3 * len(axes), 5.5), layout="constrained")
    grid = np.reshape(grid, (2, len(axes)))
    for name, row in results.items():
        axis = axes.index(MEASURES[name][0])
        sizes = np.array(list(map(int, row["points"])))
        fit = row["summary"]["larger half"]
        label = f"{name.split(' by ')[0]}: {fit['exponent']:.2f} ± {fit['standard_error']:.2f}"
        for line, key in zip(grid[:, axis], ("processor_seconds", "peak_mebibytes"), strict=True):
            values = [p[key] for p in row["points"].values()]
            line.loglog(sizes, values, "o-", label=label if line is grid[0, axis] else None)
        grid[0, axis].legend(fontsize=7)
        grid[1, axis].set(xlabel=axes[axis])
    grid[0, 0].set(ylabel="processor seconds")
    grid[1, 0].set(ylabel="peak memory of the process, MiB")
    figure.savefig(path, dpi=100)


def main(argv):
    """Measure what is missing, then fit, print, write and draw."""
    del argv
    if FLAGS.here:
        print(json.dumps(point(FLAGS.measure[0], FLAGS.size)))
        return
    output = pathlib.Path(FLAGS.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(output.read_text("utf-8"))["measures"] if output.exists() else {}
    for name in FLAGS.measure or MEASURES:
        points = results.setdefault(name, {"points": {}})["points"]
        for size in MEASURES[name][1]:
            size = max(size // 100, 4) if FLAGS.smoke else size
            if str(size) not in points and size <= FLAGS.largest:
                points[str(size)] = point_of_its_own(name, size)
                print(f"{name}, {size:,}: {points[str(size)]}", flush=True)
                write(output, results)
            if FLAGS.smoke and len(points) == 2:
                break
        points = dict(sorted(points.items(), key=lambda item: int(item[0])))
        results[name] = {"points": points, "summary": summary(points, MEASURES[name][0])}
        print(name, results[name]["summary"], flush=True)
    write(output, results)
    if FLAGS.figure:
        draw(results, FLAGS.figure)


def write(output, results):
    """Replace the file as a whole: what is stopped leaves a file that can be read."""
    part = output.with_suffix(".part")
    report = {"command": "python benchmarks/scaling.py", "measures": results}
    part.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    part.replace(output)


if __name__ == "__main__":
    app.run(main)

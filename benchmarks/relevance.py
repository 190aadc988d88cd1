"""Counting states against NumPy, and multiscale relevance against the procedure written plainly.

All ratios are taken in one run, as medians of repeated timings taken in turn, of processor time, as
nothing here has a second thread; the slow ways (unique rows, the plain procedure) are timed once,
after ours. Prints one line per comparison and writes a JSON file. Run time: about two minutes on
two cores, seconds with --smoke.
"""

import json
import pathlib
import resource
import time
from collections import Counter

import numpy as np
from absl import app, flags

from keras_infobottleneck import estimators

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", "outputs/benchmarks", "where the JSON file is written")
flags.DEFINE_bool("smoke", False, "a hundredth of the work")
flags.DEFINE_integer("repeats", 7, "timings of each way")


def seconds(*ways, repeats):
    """Median processor time of each way, taken in turn: a busy moment meets all of them."""
    times = [[] for _ in ways]
    for _ in range(repeats):
        for way, kept in zip(ways, times, strict=True):
            start = time.process_time()
            way()
            kept.append(time.process_time() - start)
    return [float(np.median(kept)) for kept in times]


def entropies(counts):
    k, m = np.unique(counts, return_counts=True)
    share = k * m / counts.sum()
    return -np.sum(share * np.log(k / counts.sum())), -np.sum(share * np.log(share))


def numpy_best(states):
    keys = np.packbits(states, axis=1).view(np.uint64)[:, 0]
    return entropies(np.unique(keys, return_counts=True)[1])


def numpy_flat(states):
    keys = np.packbits(states.reshape(-1)).view(np.uint64)
    return entropies(np.unique(keys, return_counts=True)[1])


def numpy_rows(states):
    return entropies(np.unique(states, axis=0, return_counts=True)[1])


def count_states(num_samples, repeats):
    """Ours against NumPy on distinct, sparse and repeating states of 64 units."""
    rng = np.random.default_rng(0)
    results = {}
    table = rng.random((1000, 64)) < 0.5
    for name, states in (
        ("distinct", rng.random((num_samples, 64)) < 0.5),
        ("sparse", rng.random((num_samples, 64)) < 0.1),
        ("sparse uint8", (rng.random((num_samples, 64)) < 0.1).astype(np.uint8)),
        ("repeating", table[np.minimum(rng.zipf(1.3, num_samples), 1000) - 1]),
    ):
        ours, best, flat = seconds(
            lambda states=states: estimators.resolution_relevance(states),
            lambda states=states: numpy_best(states),
            lambda states=states: numpy_flat(states),
            repeats=repeats,
        )
        (rows,) = seconds(lambda states=states: numpy_rows(states), repeats=1)
        point = estimators.resolution_relevance(states)
        np.testing.assert_allclose(
            (point.resolution_nats, point.relevance_nats), numpy_best(states), atol=1e-9
        )
        results[name] = {
            "num_samples": num_samples,
            "seconds": ours,
            "ratio_to_packbits_unique": ours / best,
            "ratio_to_flat_packbits_unique": ours / flat,
            "times_faster_than_unique_axis_0": rows / ours,
        }
        print(name, {key: round(value, 4) for key, value in results[name].items()}, flush=True)
    return results


def count_many(num_samples, batch):
    """Count a stream of distinct states of 64 units: time of counting, and peak memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rng = np.random.default_rng(1)
    counts, spent = estimators.StateCounts(), 0.0
    for _ in range(num_samples // batch):
        states = rng.integers(256, size=(batch, 8), dtype=np.uint8)
        states = np.unpackbits(states, axis=1).view(bool)
        start = time.process_time()
        counts.update(states)
        spent += time.process_time() - start
    start = time.process_time()
    point = estimators.resolution_relevance(counts)
    spent += time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    result = {
        "num_samples": num_samples,
        "num_states": point.num_states,
        "seconds": spent,
        "peak_gib": peak,
        "peak_gib_before": before,
    }
    print("stream", result, flush=True)
    return result


def plain_multiscale_relevance(spikes):
    """Follow the procedure of Cubero, Marsili and Roudi bin by bin."""
    num_points = len(spikes)
    largest = np.round(np.log10(num_points - 0.01 * num_points), 2)
    scales = np.append(np.unique(np.logspace(0.4, largest, 100).astype(int)), num_points)
    points = [(0.0, 0.0), (1.0, 0.0)]
    for num_bins in scales:
        bins = np.array_split(np.arange(num_points), num_bins)
        counts = Counter(int(np.sum(spikes[each])) for each in bins)
        k, m = np.array([pair for pair in counts.items() if pair[0] > 0]).T
        total = np.sum(k * m)
        share = k * m / total
        resolution = -np.sum(share * np.log(k / total)) / np.log(total)
        points.append((resolution, -np.sum(share * np.log(share)) / np.log(total)))
    x, y = np.array(sorted(points)).T
    return float(np.trapezoid(y, x))


def multiscale(num_points, repeats):
    rng = np.random.default_rng(2)
    rate = 0.02 * np.exp(2 * np.sin(np.arange(num_points) / 300))
    spikes = (rng.random(num_points) < rate).astype(int)
    (ours,) = seconds(lambda: estimators.multiscale_relevance(spikes), repeats=repeats)
    (plain,) = seconds(lambda: plain_multiscale_relevance(spikes), repeats=1)
    area = estimators.multiscale_relevance(spikes).area
    result = {
        "num_points": num_points,
        "seconds": ours,
        "times_faster_than_plain": plain / ours,
        "area": area,
        "difference": abs(area - plain_multiscale_relevance(spikes)),
    }
    print("multiscale", result, flush=True)
    return result


def main(argv):
    del argv
    shrink = 100 if FLAGS.smoke else 1
    estimators.resolution_relevance(np.eye(3, dtype=bool))  # first call
    report = {
        "stream": count_many(10**7 // shrink, 10**6 // shrink),
        "count": count_states(10**6 // shrink, FLAGS.repeats),
        "multiscale": multiscale(10**5 // shrink, FLAGS.repeats),
        "curve_seconds": {
            str(size): seconds(
                lambda size=size: estimators.maximum_relevance_curve(size), repeats=1
            )
            for size in (1000, 10_000, 60_000, 10**9 // shrink)
        },
    }
    output = pathlib.Path(FLAGS.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    (output / "relevance.json").write_text(json.dumps(report, indent=1) + "\n")
    count = report["count"]["distinct"]
    print(
        f"RESULT {report['stream']['num_samples']:,} states in "
        f"{report['stream']['seconds']:.1f} s; {count['num_samples']:,} at "
        f"{count['ratio_to_packbits_unique']:.2f} of NumPy's best time; multiscale relevance "
        f"{report['multiscale']['times_faster_than_plain']:.0f} times faster than plain"
    )


if __name__ == "__main__":
    app.run(main)

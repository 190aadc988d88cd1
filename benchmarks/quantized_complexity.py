"""Block decomposition against pybdm on the same matrix, and the cost of 25 million weights.

    python benchmarks/quantized_complexity.py --output=docs/results/quantized_complexity.json

Ratios are of the best processor times, taken in turn in one run; of many weights the time on the
clock stands beside that of all threads. Peak memory is that of the whole process, so TensorFlow,
the weights themselves and everything else are in it.
"""

import json
import re
import time
from pathlib import Path

import numpy as np
from absl import app, flags
from pybdm import BDM

import keras_infobottleneck as kib

_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write, if any.")
_WEIGHTS = flags.DEFINE_integer("weights", 25_000_000, "Number of weights.")


def best_seconds(*ways, repeats):
    """Best processor time of each way, the first called once a turn and each other twenty times."""
    best = [float("inf")] * len(ways)
    for _ in range(repeats):
        for number, way in enumerate(ways):
            for _ in range(20 if number else 1):
                start = time.process_time()
                way()
                best[number] = min(best[number], time.process_time() - start)
    return best


def peak_mebibytes(*, forget=False):
    """The most memory that the process held, of Linux; from now on, where what was is forgotten."""
    if forget:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 2**10


def against_pybdm():
    """Compare values, then best times, on 784 x 512 random bits of each type."""
    result = {}
    for dtype in (np.uint8, np.int64):
        bits = np.random.default_rng(0).integers(0, 2, (784, 512)).astype(dtype)
        peer = BDM(ndim=2)
        ours, theirs = kib.estimators.block_decomposition_complexity(bits), peer.bdm(bits)
        peer_seconds, our_seconds = best_seconds(
            lambda b=bits, p=peer: p.bdm(b),
            lambda b=bits: kib.estimators.block_decomposition_complexity(b),
            repeats=10,
        )
        result[np.dtype(dtype).name] = {
            "relative_difference": abs(ours - theirs) / theirs,
            "pybdm_milliseconds": 1e3 * peer_seconds,
            "milliseconds": 1e3 * our_seconds,
            "times_faster": peer_seconds / our_seconds,
        }
    return result


def on_many_weights(num_weights):
    """One square layer, and the same number in layers of 1024 x 1024, with three shuffles."""
    rng = np.random.default_rng(0)
    side = int(num_weights**0.5)
    layers = max(num_weights // 2**20, 1)
    cases = {
        "layers_of_1024x1024": lambda: {
            f"layer_{i}": rng.standard_normal((1024, 1024), dtype=np.float32) for i in range(layers)
        },
        "one_layer": lambda: {"w": rng.standard_normal((side, side), dtype=np.float32)},
    }
    result = {}
    for name, make in cases.items():
        weights = make()
        before = peak_mebibytes(forget=True)
        start, used = time.perf_counter(), time.process_time()
        measured = kib.estimators.quantized_complexity(weights)
        result[name] = {
            "weights": sum(array.size for array in weights.values()),
            "seconds": time.perf_counter() - start,
            "processor_seconds": time.process_time() - used,
            "peak_mebibytes_before": before,
            "peak_mebibytes": peak_mebibytes(),
            "shuffled_ratio": measured.shuffled_ratio,
            "saturation": max(measured.saturation.values()),
        }
    return result


def main(argv):
    del argv
    result = {"pybdm_784x512": against_pybdm(), "many_weights": on_many_weights(_WEIGHTS.value)}
    text = json.dumps(result, indent=1)
    print(text)
    if _OUTPUT.value:
        Path(_OUTPUT.value).write_text(text + "\n")


if __name__ == "__main__":
    app.run(main)

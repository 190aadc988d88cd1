"""Seconds to compress and decompress LeNet-5, and bits of the file per bit of information.

The posterior is made up, as training at a price leaves it: most weights know nothing, the others
hold a nat or two each. So there is nothing to download and nothing to train, and the divergence can
be chosen. Prints one line for each setting and writes a JSON file. A search along a beam stands
beside blocks that are chosen by themselves (minimal random coding) at the same rate: `log_ratio` is
the log density ratio of posterior and prior at the weights of the file, as a share of the
divergence, which draws of the posterior have in the mean. Run time: two minutes of one core,
seconds with --smoke.
"""

import json
import math
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import app, flags

import keras_infobottleneck as kib

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", "outputs/benchmarks", "where the JSON file is written")
flags.DEFINE_bool("smoke", False, "a small network and few settings")
flags.DEFINE_integer("nats", 6000, "divergence of the posterior, about", 100)

SETTINGS = {
    "default": {},
    "beam of 512": {"beam": 512},
    "beam of 32": {"beam": 32},
    "rate 1": {"rate": 1.0},
    "blocks of 8 bits": {"bits_per_block": 8, "beam": 256},
    "each block by itself, 12 bits": {"bits_per_block": 12, "beam": 1},
    "each block by itself, 14 bits": {"bits_per_block": 14, "beam": 1},
}


def lenet(scale):
    """LeNet-5 with a posterior on every weight; a part of it where scale is below 1."""
    layers = keras.layers

    def noisy(layer):
        return kib.layers.VariationalWeights(layer, variational_bias=True)

    wide = [max(int(scale * number), 2) for number in (6, 16, 120, 84)]
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            noisy(layers.Conv2D(wide[0], 5, padding="same", activation="relu")),
            layers.MaxPooling2D(),
            noisy(layers.Conv2D(wide[1], 5, activation="relu")),
            layers.MaxPooling2D(),
            layers.Flatten(),
            noisy(layers.Dense(wide[2], activation="relu")),
            noisy(layers.Dense(wide[3], activation="relu")),
            noisy(layers.Dense(10)),
        ]
    )
    return kib.InformationBottleneckModel(network, num_examples=60_000)


def spread_out(model, nats):
    """Give some weights of every tensor a posterior that knows something, about so much in all."""
    rng = np.random.default_rng(0)
    size = sum(w.numpy().size for x in model.variational_layers for w in x.variational_weights)
    for layer in model.variational_layers:
        spreads = [w for w in layer.noise_weights if w.name.endswith("_spread")]
        for weight, spread in zip(layer.variational_weights, spreads, strict=True):
            shape = tuple(weight.shape)
            knows = rng.random(shape) < nats / 1.1 / size
            scale = np.where(knows, np.exp(rng.uniform(np.log(0.1), 0.0, shape)), 0.999)
            weight.assign(np.where(knows, np.sqrt(1 - scale**2) * rng.normal(size=shape), 0.0))
            spread.assign(np.log(scale))


def log_ratio(model, network):
    """Log density ratio of posterior and prior at the weights of a network, by its divergence."""
    found, ratio, nats = iter(network.get_weights()), 0.0, 0.0
    for layer in model.variational_layers:
        for posterior, prior in zip(
            layer.posterior().values(), layer.prior().values(), strict=True
        ):
            drawn = next(found)
            difference = posterior.log_prob(drawn) - prior.log_prob(drawn)
            ratio += float(np.sum(difference, dtype=np.float64))
            nats += float(np.sum(posterior.kl_divergence(prior), dtype=np.float64))
    return ratio / nats


def measure(model, folder, options):
    """Seconds, bytes and quality of one setting."""
    path = folder / "network.kib"
    start = time.perf_counter(), time.process_time()
    file = kib.compress(model, path, seed=0, verbose=0, **options)
    middle = time.perf_counter(), time.process_time()
    network = kib.decompress(path)
    end = time.perf_counter()
    return {
        "bytes": file.bytes,
        "nats": file.nats,
        "bits_per_bit_of_information": 8 * file.bytes * math.log(2) / file.nats,
        "bits_of_choices_per_bit": 8 * file.parts["blocks"] * math.log(2) / file.nats,
        "log_ratio": log_ratio(model, network),
        "seconds_to_compress": middle[0] - start[0],
        "processor_seconds_to_compress": middle[1] - start[1],
        "seconds_to_decompress": end - middle[0],
    }


def main(argv):
    """Measure all settings."""
    del argv
    model = lenet(0.3 if FLAGS.smoke else 1.0)
    spread_out(model, 300 if FLAGS.smoke else FLAGS.nats)
    settings = dict(list(SETTINGS.items())[:2]) if FLAGS.smoke else SETTINGS
    report = {"num_weights": model.network.count_params() // 2, "settings": {}}
    with tempfile.TemporaryDirectory() as folder:
        measure(model, pathlib.Path(folder), {"beam": 8})  # first call
        for name, options in settings.items():
            found = measure(model, pathlib.Path(folder), options)
            report["settings"][name] = found
            print(name, {key: round(value, 3) for key, value in found.items()}, flush=True)
    output = pathlib.Path(FLAGS.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    (output / "compression.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    first = report["settings"]["default"]
    print(
        f"RESULT {report['num_weights']:,} weights, {first['nats']:,.0f} nats, {first['bytes']:,} "
        f"bytes: {first['bits_per_bit_of_information']:.3f} bits a bit; compressed in "
        f"{first['seconds_to_compress']:.1f} s, read in {first['seconds_to_decompress']:.2f} s"
    )


if __name__ == "__main__":
    app.run(main)

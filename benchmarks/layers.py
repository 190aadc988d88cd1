"""What noise on the weights costs: time per training step and peak memory, as ratios in one run.

An MLP 784-512-512-10, a small CNN and a transformer block, batch 128, Adam, one thread: plain Keras
against every estimator of `VariationalWeights`, with and without XLA, against the floor of each
estimator (`layer_floors.py`), and against the layers of `tfp.layers` on tf-keras for the same
estimator. Times are of the processor. Steps of all rivals alternate, so that a drift of the machine
meets them alike; a ratio is the median over rounds of the ratio within a round.

    python benchmarks/layers.py [--network=cnn] [--rounds=20] [--output=layers.json]

Run time: with 20 rounds five minutes for the MLP, twenty for the CNN, ten for the transformer.
"""

import json
import os
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["OMP_NUM_THREADS"] = "1"

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_enum("network", "mlp", ["mlp", "cnn", "transformer"], "What to train.")
flags.DEFINE_integer("rounds", 20, "Rounds in which every rival takes its steps.", 1)
flags.DEFINE_integer("steps", 5, "Steps of a rival in a round.", 1)
flags.DEFINE_bool("peers", True, "Whether tfp.layers are measured too.")
flags.DEFINE_bool("memory", True, "Whether peak memory is measured, in a process for each rival.")
flags.DEFINE_multi_enum("mode", ["", "xla"], ["", "xla"], "Without XLA, with it.")
flags.DEFINE_string("output", None, "Where the ratios are written as JSON.")
flags.DEFINE_string("memory_of", None, "For internal use: measure the peak memory of one rival.")

BATCH_SIZE = 128
NUM_EXAMPLES = 60_000
ESTIMATORS = ("local", "sample", "flipout")
NETWORKS = {
    "mlp": [("Dense", 512), ("Dense", 512), ("Dense", 10)],
    "cnn": [
        ("Conv2D", 32, 3),
        ("Conv2D", 64, 3, 2),
        ("Conv2D", 64, 3, 2),
        ("Flatten",),
        ("Dense", 10),
    ],
}
SHAPES = {"mlp": (784,), "cnn": (28, 28, 1), "transformer": (32, 128)}


def main(_):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    kinds = ["plain", *ESTIMATORS, *(f"floor {kind}" for kind in ESTIMATORS)]
    if FLAGS.peers and FLAGS.network != "transformer":
        # tfp.layers has no convolution with local reparameterisation.
        peers = ESTIMATORS if FLAGS.network == "mlp" else ("sample", "flipout")
        kinds += [f"tfp {kind}" for kind in peers]
    names = [f"{kind} {mode}".strip() for kind in kinds for mode in sorted(FLAGS.mode)]
    if FLAGS.memory_of:
        step = make_step(FLAGS.memory_of)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # forget the peak of the imports
        before = resident_mib("VmRSS")
        for _ in range(3):
            step()
        print(resident_mib("VmHWM") - before)
        return
    steps = {name: make_step(name) for name in names}
    times = {name: [] for name in names}
    for step in steps.values():
        for _ in range(3):
            step()
    for _ in range(FLAGS.rounds):
        for name, step in steps.items():
            start = time.process_time()
            for _ in range(FLAGS.steps):
                step()
            times[name].append((time.process_time() - start) / FLAGS.steps)
    rows = {name: row(name, times) for name in names}
    print(f"{FLAGS.network}, batch {BATCH_SIZE}, one thread; ratios to plain Keras without XLA")
    for name, r in rows.items():
        cells = ", ".join(f"{key} {value:.2f}" for key, value in r.items())
        print(f"{name:>17}: {cells}")
    if FLAGS.output:
        report = {
            "command": f"python benchmarks/layers.py --network={FLAGS.network} "
            f"--rounds={FLAGS.rounds} --steps={FLAGS.steps}",
            "network": FLAGS.network,
            "rivals": rows,
        }
        with open(FLAGS.output, "w") as file:
            file.write(json.dumps(report, indent=1) + "\n")


def row(name, times):
    import numpy as np

    def ratio(rival):
        return float(np.median(np.array(times[name]) / np.array(times[rival])))

    found = {"milliseconds": float(np.median(times[name])) * 1e3}
    rivals = {
        "ratio": "plain",
        "ratio_same_mode": "plain xla" if name.endswith("xla") else "plain",
        "ratio_to_floor": f"floor {name}",
    }
    found |= {key: ratio(rival) for key, rival in rivals.items() if rival in times}
    return {**found, "peak_mib": memory(name)} if FLAGS.memory else found


def memory(name):
    """Peak memory of training above that of the built model, in a process of its own."""
    command = [sys.executable, __file__, f"--memory_of={name}", f"--network={FLAGS.network}"]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def resident_mib(key):
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(key))
    return int(line.split()[1]) / 1024


def make_step(name):
    """A function that takes one training step of a rival."""
    import numpy as np

    random = np.random.default_rng(0)
    shape = SHAPES[FLAGS.network]
    x = random.random((BATCH_SIZE, *shape), "float32")
    y = random.integers(10, size=BATCH_SIZE)
    kind = name.removesuffix(" xla")
    build = build_peer if kind.startswith("tfp ") else build_ours
    model = build(kind.removeprefix("tfp "), shape, jit_compile=name.endswith(" xla"))
    return lambda: model.train_on_batch(x, y)


def build_ours(kind, shape, jit_compile):
    import keras
    from layer_floors import Floor

    import keras_infobottleneck as kib

    def noisy(layer):
        if kind == "plain":
            return layer
        if kind.startswith("floor "):
            return Floor(layer, kind.removeprefix("floor "))
        return kib.layers.VariationalWeights(layer, estimator=kind)

    if FLAGS.network == "transformer":
        model = transformer_block(shape, noisy)
    else:
        stack = []
        for name, *arguments in NETWORKS[FLAGS.network]:
            layer = getattr(keras.layers, name)(*arguments, **activation(name, arguments))
            stack.append(layer if name == "Flatten" else noisy(layer))
        model = keras.Sequential([keras.layers.Input(shape), *stack])
    if kind in ESTIMATORS:
        model = kib.InformationBottleneckModel(model, num_examples=NUM_EXAMPLES)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=jit_compile)
    return model


def transformer_block(shape, noisy):
    """One head of attention and two layers behind it, every product with a kernel of its own.

    `MultiHeadAttention` has four kernels, and takes `"sample"` alone.
    """
    import keras

    layers = keras.layers
    width = shape[-1]
    inputs = keras.Input(shape)
    normal = layers.LayerNormalization()(inputs)
    query, value, key = (noisy(layers.Dense(width))(normal) for _ in range(3))
    mixed = layers.Attention(use_scale=True)([query, value, key])
    hidden = layers.Add()([inputs, noisy(layers.Dense(width))(mixed)])
    normal = layers.LayerNormalization()(hidden)
    wide = noisy(layers.Dense(4 * width, activation="relu"))(normal)
    hidden = layers.Add()([hidden, noisy(layers.Dense(width))(wide)])
    pooled = layers.GlobalAveragePooling1D()(hidden)
    return keras.Model(inputs, noisy(layers.Dense(10))(pooled))


def build_peer(kind, shape, jit_compile):
    import tensorflow_probability as tfp
    import tf_keras

    suffix = {"local": "LocalReparameterization", "sample": "Reparameterization"}
    suffix = suffix.get(kind, "Flipout")
    divergence = tfp.distributions.kl_divergence
    stack = []
    for name, *arguments in NETWORKS[FLAGS.network]:
        if name == "Flatten":
            stack.append(tf_keras.layers.Flatten())
            continue
        layer = getattr(tfp.layers, name.replace("Conv2D", "Convolution2D") + suffix)
        price = {"kernel_divergence_fn": lambda q, p, _: divergence(q, p) / NUM_EXAMPLES}
        stack.append(layer(*arguments, **activation(name, arguments), **price))
    model = tf_keras.Sequential([tf_keras.layers.InputLayer(shape), *stack])
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.Adam(), loss, jit_compile=jit_compile)
    return model


def activation(name, arguments):
    is_hidden = name != "Flatten" and arguments != [10]
    return {"activation": "relu"} if is_hidden else {}


if __name__ == "__main__":
    app.run(main)

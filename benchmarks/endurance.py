"""A long training: whether every number is finite to the end, and memory stays where it was.

A small network with noise on its weights and on its activations is trained by `fit`, in each
precision in a process of its own. A hundred times on the way the losses of the steps since then and
the resident memory are read. Reported are the losses that were not finite, the weights that are not
finite at the end, and the memory of the last nine tenths against that at the end of the first.

    python benchmarks/endurance.py --output endurance.json

Run time: some ten minutes of one core; seconds with --smoke.
"""

import json
import os
import shlex
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import app, flags
from process_memory import resident_mebibytes

import keras_infobottleneck as kib

FLAGS = flags.FLAGS
STEPS = {"float32": 200_000, "mixed_bfloat16": 20_000}
READINGS = 100
flags.DEFINE_multi_enum("precision", list(STEPS), list(STEPS), "Precisions of the training.")
flags.DEFINE_bool("smoke", False, "A thousandth of the steps.")
flags.DEFINE_string("output", None, "A JSON file for the results.")
flags.DEFINE_bool("here", False, "For internal use: train in this process and print JSON.")


class Readings(keras.callbacks.Callback):
    """Counts losses that are not finite; reads the memory at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.memory, self.losses, self.not_finite, self.steps = [], [], 0, 0

    def on_train_batch_end(self, batch, logs=None):
        """The logs hold the mean since the epoch began: one that is not finite stays so in it."""
        self.steps += 1
        self.not_finite += not np.isfinite(logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        """One reading of a hundred."""
        self.losses.append(logs["loss"])
        self.memory.append(resident_mebibytes())


def trained(precision):
    """What was read while one network was trained."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(precision)
    random = np.random.default_rng(0)
    x = random.normal(size=(1024, 32)).astype("float32")
    y = (x[:, :4].argmax(1) + random.integers(0, 2, 1024)) % 4  # half of the labels are wrong
    network = keras.Sequential(
        [
            keras.Input((32,)),
            kib.layers.InformationDropout(keras.layers.Dense(32, activation="relu"), beta=0.1),
            keras.layers.Dense(4, dtype="float32"),
        ]
    )
    model = kib.make_variational(network, num_examples=1024, weight_beta=0.1, seed=0, verbose=0)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    # Smoke: of ten readings, the first ends the first tenth.
    count, share = (10, 1000) if FLAGS.smoke else (READINGS, 1)
    readings, steps = Readings(), STEPS[precision] // share
    each = steps // count
    options = {"steps_per_epoch": each, "epochs": steps // each, "verbose": 0}
    model.fit(batches(x, y, random), callbacks=[readings], **options)
    memory = np.asarray(readings.memory)
    start, later = memory[len(memory) // 10 - 1], memory[len(memory) // 10 :]
    return {
        "steps": readings.steps,
        "losses_not_finite": readings.not_finite,
        "weights_not_finite": sum(int((~np.isfinite(w)).sum()) for w in model.get_weights()),
        "first_loss": readings.losses[0],
        "last_loss": readings.losses[-1],
        "mebibytes_after_a_tenth": start,
        "least_and_most_mebibytes_later": [later.min(), later.max()],
        "largest_change": float(np.abs(later / start - 1.0).max()),
    }


def batches(x, y, random):
    """Batches of 32 without end."""
    while True:
        chosen = random.integers(0, len(x), 32)
        yield x[chosen], y[chosen]


def main(argv):
    """Train in every precision, print a line for each, write all as JSON."""
    del argv
    if FLAGS.here:
        print(json.dumps(trained(FLAGS.precision[0])))
        return
    rows = {}
    for precision in FLAGS.precision:
        command = [sys.executable, __file__, "--here", f"--precision={precision}"]
        command += ["--smoke"] if FLAGS.smoke else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{precision} failed:\n{done.stderr}")
        rows[precision] = row = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{precision:15} {row['steps']:,} steps, {row['losses_not_finite']} losses and "
            f"{row['weights_not_finite']} weights not finite, memory within "
            f"{row['largest_change']:.2%}",
            flush=True,
        )
    if FLAGS.output:
        command = shlex.join(["python", "benchmarks/endurance.py", *sys.argv[1:]])
        with open(FLAGS.output, "w") as file:
            file.write(json.dumps({"command": command, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)

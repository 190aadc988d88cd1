"""How many files of the package a first call enters: each is one more place for a reader to go.

Files are counted with `sys.setprofile` while the call runs: a file counts as soon as one of its
functions does. Imports are done before, and do not count.

  python tools/files_entered.py [--files]
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from absl import app, flags

import keras_infobottleneck as kib

FLAGS = flags.FLAGS
flags.DEFINE_bool("files", False, "Name the files too.")

PACKAGE = pathlib.Path(kib.__file__).parent


def files_entered(call):
    """Paths, below the package, of the files that a call enters."""
    entered = set()

    def enter(frame, event, _):
        if event == "call" and frame.f_code.co_name != "<module>":
            entered.add(frame.f_code.co_filename)

    sys.setprofile(enter)
    try:
        call()
    finally:
        sys.setprofile(None)
    inside = [pathlib.Path(name) for name in entered if name.startswith(str(PACKAGE))]
    return sorted(str(path.relative_to(PACKAGE)) for path in inside)


def calls():
    """Name to a function that makes the first call of it, on a small classifier."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).standard_normal([64, 6]).astype(np.float32)
    y = np.arange(64) % 3

    def classifier(*layers):
        model = keras.Sequential([keras.Input([6]), *layers])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        return model

    plain = classifier(keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3))
    audited = keras.models.clone_model(plain)
    audited.compile("adam", plain.loss, metrics=["accuracy"])
    noisy = kib.models.make_variational(plain, num_examples=len(x), verbose=0)
    noisy.compile("adam", plain.loss)
    noisy.anchor_prior((x[:32], y[:32]))
    layer = kib.layers.VariationalWeights(keras.layers.Dense(3))
    return {
        "fisher_information": lambda: kib.estimators.fisher_information(plain, (x, y)),
        "certify": lambda: kib.estimators.certify(noisy, (x[32:], y[32:])),
        "audit": lambda: kib.audit(audited, (x, y)),
        "VariationalWeights": lambda: layer(x),
    }


def main(_):
    """Counts and prints."""
    for name, call in calls().items():
        files = files_entered(call)
        lines = sum(len((PACKAGE / file).read_text("utf-8").splitlines()) for file in files)
        print(f"{name}: {len(files)} files of the package, {lines:,} lines")
        if FLAGS.files:
            print("".join(f"  {file}\n" for file in files), end="")


if __name__ == "__main__":
    app.run(main)

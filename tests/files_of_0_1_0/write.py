"""Writes the files of this folder; to be run with version 0.1.0 of the package.

In a checkout of that version, with this repository's root behind it on PYTHONPATH::

    PYTHONPATH=CHECKOUT:REPOSITORY python -m tests.files_of_0_1_0.write FOLDER
"""

import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_infobottleneck as kib
from tests.files_of_0_1_0 import networks, numbers_of_files


def main(folder):
    assert kib.__version__ == "0.1.0", f"The files are those of 0.1.0: {kib.__version__}"
    tf.config.experimental.enable_op_determinism()
    numbers = {name: written_model(folder, name) for name in networks.MODELS}
    numbers["fisher"] = {s: written_fisher(folder, s) for s in numbers_of_files.STRUCTURES}
    numbers["checkpoint"] = written_checkpoint(folder)
    numbers["report"] = written_report(folder)
    text = json.dumps(numbers, indent=None, separators=(",", ":")).replace('},"', '},\n"')
    (folder / "numbers.json").write_text(text + "\n", "utf-8")


def written_model(folder, name):
    """One model, trained for two epochs, and what it says of itself."""
    keras.utils.set_random_seed(0)
    build, x, y = networks.MODELS[name]
    model = build()
    if y is None:
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(x, batch_size=12, epochs=2, verbose=0)
    else:
        loss = kib.models.BoundedCrossentropy(from_logits=True)
        loss = loss if name == "bounded" else networks.LOSS
        # Adam's state would make the largest files thrice as large.
        optimizer = keras.optimizers.SGD(0.1) if x.ndim == 4 else keras.optimizers.Adam(0.01)
        model.compile(optimizer, loss, metrics=["accuracy"])
        if name == "anchored":
            model.anchor_prior((networks.X_PRIOR, networks.Y_PRIOR))
        model.fit(x, y, batch_size=len(x) // 2, epochs=2, verbose=0)
    model.save(folder / f"{name}.keras")
    if name == "functional":
        model.save_weights(folder / f"{name}.weights.h5")
    read = keras.models.load_model(folder / f"{name}.keras")
    np.testing.assert_allclose(read.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5)
    return numbers_of_files.numbers_of_model(read, x, y)


def written_fisher(folder, structure):
    keras.utils.set_random_seed(0)
    fisher = kib.estimators.fisher_information(
        networks.plain(), networks.X[:6], structure=structure, likelihood="categorical", seed=0
    )
    fisher.to_npz(folder / f"fisher_{structure}.npz")
    return numbers_of_files.numbers_of_fisher(fisher)


def written_checkpoint(folder):
    """Two epochs, their history and measurements."""
    keras.utils.set_random_seed(0)
    model = networks.functional()
    model.compile(keras.optimizers.Adam(0.01), networks.LOSS)
    checkpoint = kib.callbacks.Checkpoint(str(folder / "checkpoint.npz"))
    measured = {"nats": lambda m: float(m.weight_information())}
    measure = kib.callbacks.Measure(measured, csv_path=folder / "measurements.csv")
    model.fit(
        *(networks.X, networks.Y),
        **{"batch_size": 12, "epochs": 2, "verbose": 0, "callbacks": [measure, checkpoint]},
    )
    numbers = numbers_of_files.numbers_of_model(model, networks.X, networks.Y)
    return {**numbers, "history": checkpoint.history, "rows": measure.rows}


def written_report(folder):
    keras.utils.set_random_seed(0)
    model = networks.plain()
    model.compile("adam", networks.LOSS)
    report = kib.audit(model, (networks.X, networks.Y), seed=0, verbose=0)
    report.to_json(folder / "report.json")
    return {"nats": report.weights.nats, "readings": len(report.readings)}


if __name__ == "__main__":
    np.random.seed(0)
    main(pathlib.Path(sys.argv[1]))

"""How far numbers of networks in reduced precision are from those of the same weights in float64.

For each policy of Keras, the relative deviation of every measure from float64, on two small
networks with trained-like weights: |a - b| / |b|, of vectors the norm of the difference. Codes and
counts that read the stored weights alone are left out: they are equal.

  python benchmarks/precision.py --output precision.json
"""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from absl import app, flags
from sklearn.datasets import load_digits

from keras_infobottleneck.estimators import (
    effective_information,
    fisher_information,
    hessian,
    information_in_weights,
)

FLAGS = flags.FLAGS
flags.DEFINE_integer("num_examples", 500, "Images of digits, at most 1,797.", 1, 1797)
flags.DEFINE_integer("epochs", 5, "Epochs of training in float32.", 0)
flags.DEFINE_string("output", None, "A JSON file for the results.")

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


def digits():
    """Images `[n, 8, 8, 1]` in [0, 1] and labels."""
    x, y = load_digits(return_X_y=True)
    x = x[: FLAGS.num_examples].reshape(-1, 8, 8, 1) / 16
    return x.astype(np.float32), y[: FLAGS.num_examples]


def network(name, policy):
    """Two networks with logits, whose layers compute by a policy."""
    layers = keras.layers
    if name == "mlp":
        parts = [
            layers.Flatten(dtype=policy),
            layers.Dense(48, "tanh", dtype=policy),
            layers.Dense(16, "tanh", dtype=policy, name="narrow"),
        ]
    else:
        parts = [
            layers.Conv2D(8, 3, activation="relu", dtype=policy),
            layers.BatchNormalization(dtype=policy),
            layers.MaxPooling2D(dtype=policy),
            layers.Flatten(dtype=policy),
            layers.Dense(16, "tanh", dtype=policy, name="narrow"),
        ]
    model = keras.Sequential([keras.Input((8, 8, 1)), *parts, layers.Dense(10, dtype=policy)])
    model.compile(
        keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


def measured(model, data):
    """Name to a number or a vector."""
    fisher = fisher_information(model, data, labels="expected")
    implicit = fisher_information(model, data, labels="expected", structure="implicit")
    curvature = hessian(model, data)
    rng = np.random.default_rng(0)
    direction = [rng.normal(size=shape) for shape in fisher.layout.shapes]
    kronecker = fisher_information(model, data, labels="expected", structure="kronecker")

    def flat(tensors):
        return np.concatenate([np.ravel(t) for t in tensors]).astype(np.float64)

    beta = 1.0 / len(data[0])
    code = information_in_weights(model, data, beta=beta, labels="expected")
    sample = data[0][:50]
    return {
        "Fisher trace": float(fisher.trace()),
        "Fisher diagonal": flat(fisher.diagonal()),
        "Kronecker log-determinant": float(kronecker.logdet(1e-3)),
        "Fisher product": flat(implicit.matvec(direction)),
        "Hessian product": flat(curvature.matvec(direction)),
        "largest Hessian eigenvalue": float(curvature.eigenvalues(1)[0]),
        "information in weights": code.nats,
        "effective information": effective_information(
            model, sample, layer="narrow", fisher=fisher, beta=beta
        ).nats,
    }


def main(_):
    """Prints the table in Markdown, and writes it."""
    data, results = digits(), {}
    for name in ("mlp", "cnn"):
        keras.utils.set_random_seed(0)
        trained = network(name, "float32")
        trained.fit(*data, batch_size=50, epochs=FLAGS.epochs, verbose=0)
        found = {}
        for policy in ("float64", *POLICIES):
            model = network(name, policy)
            model.set_weights(trained.get_weights())
            found[policy] = measured(model, data)
        exact = found.pop("float64")
        results[name] = {
            measure: {
                policy: float(np.linalg.norm(np.subtract(row[measure], exact[measure])))
                / float(np.linalg.norm(exact[measure]))
                for policy, row in found.items()
            }
            for measure in exact
        }
    print("| measure | network |", " | ".join(POLICIES), "|")
    print("| --- | --- |", " --- |" * len(POLICIES))
    for measure in results["mlp"]:
        for name, rows in results.items():
            cells = " | ".join(f"{rows[measure][policy]:.0e}" for policy in POLICIES)
            print(f"| {measure} | {name} | {cells} |")
    if FLAGS.output:
        with open(FLAGS.output, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    app.run(main)

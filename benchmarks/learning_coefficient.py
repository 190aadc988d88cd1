"""Local learning coefficients of nine models whose coefficient is known, and what they cost.

Regular models have k/2; a product `w1^a w2^b` has `1 / (2 max(a, b))`; two linear layers one after
the other, reduced-rank regression, have the values of Aoyagi & Watanabe (2005), one case for each
of their formulas. The labels are what the model predicts at the weights, without noise, so that
the estimate should be the coefficient but for its standard error and a remainder in the price.
Two more, of multiplicity two, show how large that remainder is: it is left out of the verdict.

    python benchmarks/learning_coefficient.py --output_dir outputs/learning_coefficient

Run time: two minutes on two cores.
"""

import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import app, flags

import keras_infobottleneck as kib

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", "outputs/learning_coefficient", "Folder of the result.")
flags.DEFINE_integer("num_chains", 16, "Chains.", 2)
flags.DEFINE_integer("num_draws", 2_000, "Draws of each chain.", 8)
flags.DEFINE_integer("num_steps", 8, "Gradient steps of a draw.", 1)
flags.DEFINE_float("beta", 1e-3, "Price of a nat relative to the mean loss.", 0.0)
flags.DEFINE_float("localization", 0.01, "How strongly chains are held to the weights.", 0.0)
flags.DEFINE_integer("seed", 0, "Seed of the chains.", 0)

WITHIN, ERRORS = 0.1, 2.0


class Monomial(keras.layers.Layer):
    """`x w1^a w2^b`, from weights of zero."""

    def __init__(self, a, b):
        super().__init__()
        self._powers = a, b
        self._weights = [self.add_weight(shape=(), initializer="zeros") for _ in (a, b)]

    def call(self, inputs):
        """The product with the inputs."""
        (first, second), (a, b) = self._weights, self._powers
        return inputs * first**a * second**b


def product(a, b):
    """A network whose loss is half of `(w1^a w2^b)^2`, its data, and its coefficient."""
    model = keras.Sequential([keras.Input((1,)), Monomial(a, b)])
    return model, np.ones((1, 1), "float32"), 0.5 / max(a, b)


def regular(units):
    """A linear model of so many inputs, its data, and half its number of weights."""
    model = keras.Sequential([keras.Input((units,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.linspace(-0.5, 0.5, units)[:, None]])
    return model, _orthogonal(units), units / 2


def reduced_rank(inputs, hidden, outputs, rank):
    """Two linear layers at the most singular weights of a product of this rank."""
    dense = {"use_bias": False, "kernel_initializer": "zeros"}
    model = keras.Sequential(
        [
            keras.Input((inputs,)),
            keras.layers.Dense(hidden, **dense),
            keras.layers.Dense(outputs, **dense),
        ]
    )
    model.set_weights([np.eye(inputs, hidden), np.eye(hidden, outputs)])
    for weight, values in zip(model.weights, model.get_weights(), strict=True):
        values[rank:] = 0.0
        values[:, rank:] = 0.0
        weight.assign(values)
    return model, _orthogonal(inputs), coefficient_of_rank(inputs, hidden, outputs, rank)


def coefficient_of_rank(n, h, m, r):
    """Of reduced-rank regression of n inputs, m outputs and h hidden units, true rank r."""
    if m + h < n + r:
        return (h * m - h * r + n * r) / 2
    if n + h < m + r:
        return (h * n - h * r + m * r) / 2
    if m + n < h + r:
        return m * n / 2
    odd = (m + h + n + r) % 2
    return (2 * (h + r) * (m + n) - (m - n) ** 2 - (h + r) ** 2 + odd) / 8


def _orthogonal(width, num_examples=32):
    """Inputs whose second moments are those of the unit matrix, exactly."""
    random = np.random.default_rng(0).normal(size=(num_examples, width))
    return (np.linalg.qr(random)[0] * num_examples**0.5).astype("float32")


CASES = {
    "linear regression, 5 weights": (regular, (5,)),
    "linear regression, 12 weights": (regular, (12,)),
    "w1 w2^2": (product, (1, 2)),
    "w1 w2^3": (product, (1, 3)),
    "w1 w2^4": (product, (1, 4)),
    "reduced rank 4-2-3 of 1": (reduced_rank, (4, 2, 3, 1)),
    "reduced rank 5-1-3 of 1": (reduced_rank, (5, 1, 3, 1)),
    "reduced rank 3-1-5 of 1": (reduced_rank, (3, 1, 5, 1)),
    "reduced rank 2-4-2 of 1": (reduced_rank, (2, 4, 2, 1)),
}
OF_MULTIPLICITY_TWO = {
    "w1 w2": (product, (1, 1)),
    "reduced rank 3-2-2 of 0": (reduced_rank, (3, 2, 2, 0)),
}


def measured(make, arguments):
    """The estimate of one case beside its truth."""
    model, x, truth = make(*arguments)
    model.compile(loss="mse")
    start = time.perf_counter()
    found = kib.estimators.local_learning_coefficient(
        model,
        (x, model.predict(x, verbose=0)),
        num_chains=FLAGS.num_chains,
        num_draws=FLAGS.num_draws,
        num_steps=FLAGS.num_steps,
        beta=FLAGS.beta,
        localization=FLAGS.localization,
        seed=FLAGS.seed,
    )
    seconds = time.perf_counter() - start
    off = abs(float(found.coefficient) - truth)
    return {
        "truth": truth,
        "coefficient": float(found.coefficient),
        "standard_error": found.coefficient.standard_error,
        "relative_error": off / truth,
        "standard_errors_off": off / found.coefficient.standard_error,
        "r_hat": found.r_hat,
        "effective_sample_size": found.effective_sample_size,
        "gaussian_slope": found.information_slope,
        "flags": list(found.flags),
        "seconds": seconds,
    }


def main(argv):
    """Measure every case, print a line for each, write all as JSON."""
    del argv
    rows = {}
    for name, (make, arguments) in {**CASES, **OF_MULTIPLICITY_TWO}.items():
        keras.utils.set_random_seed(0)
        row = rows[name] = measured(make, arguments)
        print(
            f"{name:30s} truth {row['truth']:6.3f}, found {row['coefficient']:6.3f} "
            f"± {row['standard_error']:.3f} ({row['relative_error']:.1%}, "
            f"{row['standard_errors_off']:.1f} errors), Gaussian slope "
            f"{row['gaussian_slope']:.2f}, {row['seconds']:.0f} s",
            flush=True,
        )
    held = [
        rows[name]["relative_error"] <= WITHIN and rows[name]["standard_errors_off"] <= ERRORS
        for name in CASES
    ]
    seconds = sum(rows[name]["seconds"] for name in CASES)
    gradients = FLAGS.num_chains * FLAGS.num_steps * FLAGS.num_draws * 3 // 2
    print(
        f"{sum(held)} of {len(held)} within {WITHIN:.0%} and {ERRORS:g} standard errors, "
        f"{seconds:.0f} s together, {gradients:,} gradients each"
    )
    settings = {
        name: FLAGS[name].value
        for name in ("num_chains", "num_draws", "num_steps", "beta", "localization", "seed")
    }
    folder = pathlib.Path(FLAGS.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    command = "python benchmarks/learning_coefficient.py"
    result = {
        "command": command,
        "settings": settings,
        "gradients": gradients,
        "held": sum(held),
        "rows": rows,
    }
    (folder / "learning_coefficient.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)

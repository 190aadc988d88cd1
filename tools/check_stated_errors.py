"""Holds every stochastic estimator to what it states, on cases whose truth is known.

    python tools/check_stated_errors.py --num_seeds=200

For each: the mean over seeds beside the truth, in standard errors of the mean; the stated error
over the spread of the estimates; and how often the truth lies within 1.96 stated errors. Writes
`docs/results/stated_errors.json` and the table `docs/stated_errors.md`. About twenty minutes of one
core; finished cases are kept, and the estimates of an unfinished one in `outputs/stated_errors`, so
that an interrupted run goes on.
"""

import dataclasses
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from stated_errors_page import page

from keras_infobottleneck import estimators

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "stated_errors.json"
PAGE = ROOT / "docs" / "stated_errors.md"
UNFINISHED = ROOT / "outputs" / "stated_errors"
SEEDS_AT_ONCE = 10  # after which the estimates are written
NUM_SEEDS = flags.DEFINE_integer("num_seeds", 200, "Seeds of each case.", 20)
ONLY = flags.DEFINE_list("only", [], "Names of the cases to run; all by default.")

layers = keras.layers


def matrix_of(hessian):
    """The Hessian, by its products."""
    layout = hessian.layout
    rows = [hessian.matvec(layout.split(row)) for row in np.eye(layout.size, dtype="f4")]
    matrix = np.stack([layout.join(row) for row in rows]).astype(np.float64)
    return (matrix + matrix.T) / 2


def by_matrix(operator, matrix):
    """The same operator, whose products are those of its matrix."""
    layout, matrix = operator.layout, tf.constant(matrix, operator.dtype)

    def of_tensors(tensors):
        flat = tf.linalg.matvec(matrix, tf.concat([tf.reshape(t, [-1]) for t in tensors], 0))
        parts = tf.split(flat, layout.sizes)
        return [tf.reshape(p, shape) for p, shape in zip(parts, layout.shapes, strict=True)]

    return dataclasses.replace(operator, of_tensors=of_tensors)


class Classifier:
    """A small classifier of three classes, examples of any number, and its Fisher matrices."""

    def __init__(self):
        keras.utils.set_random_seed(1)
        self.model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(3)]
        )
        self.data = self.examples(40, 0)
        self.exact = self.fisher(self.data, structure="dense", labels="expected")
        self.operator = self.fisher(self.data, structure="implicit", labels="expected")
        hessian = estimators.hessian(self.model, self.data, likelihood="categorical")
        # What random vectors make of a matrix is tried on it, without a pass for each product.
        self.operator = dataclasses.replace(
            self.operator, operator=by_matrix(self.operator.operator, self.exact.matrix)
        )
        matrix = matrix_of(hessian)
        self.hessian = dataclasses.replace(hessian, operator=by_matrix(hessian.operator, matrix))
        self.hessian_matrix = matrix

    def examples(self, count, seed):
        """Inputs and labels."""
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(count, 4)).astype("float32")
        return x, rng.integers(0, 3, count)

    def fisher(self, data, **options):
        """A Fisher matrix of the classifier."""
        options = {"likelihood": "categorical", **options}
        return estimators.fisher_information(self.model, data, **options)


def trace_of_drawn_labels(net):
    """New examples and new labels for each seed: the error stated is that of both."""
    truth = float(net.fisher(net.examples(200_000, 12345), labels="expected").trace())
    return truth, lambda seed: net.fisher(
        net.examples(300, seed + 1)[0], labels="sampled", seed=seed
    ).trace()


def trace_by(method):
    """Of the Fisher matrix, from products with random vectors."""

    def case(net):
        truth = float(net.exact.trace())
        return truth, lambda seed: net.operator.trace(method=method, num_probes=8, seed=seed)

    return case


def log_determinant(num_probes):
    """By stochastic Lanczos quadrature."""

    def case(net):
        truth = float(net.exact.logdet(1e-2))
        return truth, lambda seed: net.operator.logdet(1e-2, num_probes=num_probes, seed=seed)

    return case


def trace_of_hessian(net):
    """By XTrace, of an indefinite matrix."""
    truth = float(np.trace(net.hessian_matrix))
    return truth, lambda seed: net.hessian.trace(num_probes=8, seed=seed)


def nuclear_norm(num_probes):
    """Sum of the magnitudes of the Hessian's eigenvalues."""

    def case(net):
        truth = float(np.abs(np.linalg.eigvalsh(net.hessian_matrix)).sum())
        options = {"num_probes": num_probes, "num_steps": 40}
        return truth, lambda seed: net.hessian.nuclear_norm(seed=seed, **options)

    return case


def nats_of_drawn_labels(net):
    """The Gaussian code from a diagonal of drawn labels; new examples for each seed."""
    options = {"beta": 1 / 300, "prior_scale": 1.0}
    large = net.fisher(net.examples(200_000, 12345), labels="expected")
    truth = estimators.information_in_weights(net.model, large, **options).nats

    def estimate(seed):
        fisher = net.fisher(net.examples(300, seed + 1)[0], labels="sampled", seed=seed)
        held = estimators.information_in_weights(net.model, fisher, **options)
        return estimators.Estimate(held.nats, held.standard_error)

    return truth, estimate


def drawn_loss(num_draws):
    """Loss that drawn weights add to a linear regression, whose curvature is known."""
    return lambda _: drawn_loss_of_regression(num_draws)


def drawn_loss_of_regression(num_draws):
    """Its truth, and an estimate of so many draws."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, dtype="float64")])
    solution = np.linalg.lstsq(np.c_[x, np.ones(50)], y, rcond=None)[0]
    model.layers[0].set_weights([solution[:-1], solution[-1]])
    options = {"labels": "expected", "likelihood": "normal", "structure": "dense"}
    fisher = estimators.fisher_information(model, (x, y), **options)
    values = fisher.eigenvalues()
    truth = 0.5 * float(np.sum(0.05 * values / (values + 0.05)))
    options = {"beta": 0.05, "prior_scale": 1.0, "num_draws": num_draws, "likelihood": "normal"}
    return truth, lambda seed: estimators.drawn_excess_loss(
        model, (x, y), fisher, seed=seed, **options
    )


def correlated(seed, count=300, units=8, rho=0.5):
    """Gaussian units, and their correlation matrix."""
    rng = np.random.default_rng(seed)
    covariance = rho ** np.abs(np.subtract.outer(np.arange(units), np.arange(units)))
    return rng.normal(size=(count, units)) @ np.linalg.cholesky(covariance).T, covariance


def total_correlation(transform, correlation_of, count=300, estimator="unbiased"):
    """Of units of a distribution whose correlations are known."""

    def case(_):
        truth = -0.5 * np.linalg.slogdet(correlation_of(correlated(0)[1]))[1]

        def estimate(seed):
            z = transform(correlated(seed, count)[0])
            found = estimators.total_correlation(
                z, estimator=estimator, num_permutations=2, seed=seed
            )
            return estimators.Estimate(found.nats, found.standard_error)

        return float(truth), estimate

    return case


def simulated(_):
    """A linear layer, whose noise and effective information are Gaussian and known."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 4))
    model = keras.Sequential(
        [keras.Input((4,), dtype="float64"), layers.Dense(2, dtype="float64", name="z")]
    )
    options = {"labels": "expected", "likelihood": "normal"}
    fisher = estimators.fisher_information(model, x, **options)
    options = {"layer": "z", "fisher": fisher, "beta": 0.01, "prior_scale": 0.7}
    truth = estimators.effective_information(model, x, **options).nats
    return truth, lambda seed: estimators.simulated_effective_information(
        model, x, linear_input=True, num_draws=100, seed=seed, **options
    )


def nuisance(_):
    """Two classes behind Gaussian noise, information by quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    log_ratio = np.log(2.0) - np.logaddexp(0.0, -2.0 * (points + 1.0))
    truth = float(weights @ log_ratio / weights.sum())

    def estimate(seed):
        rng = np.random.default_rng(seed)
        n = rng.integers(0, 2, 800)
        z = (2.0 * n - 1.0)[:, None] + rng.normal(size=(800, 1))
        found = estimators.nuisance_information(z, n, num_folds=2, epochs=30, seed=seed)
        return estimators.Estimate(found.nats, found.standard_error)

    return truth, estimate


def zipf(_):
    """Counts drawn from the fitted distribution."""

    def estimate(seed):
        counts = np.random.default_rng(seed).zipf(2.2, 500)
        found = estimators.zipf_exponent(counts)
        return estimators.Estimate(found.gamma, found.standard_error)

    return 2.2, estimate


def log_partition(_):
    """Annealed importance sampling of a machine small enough to be enumerated too."""
    from keras_infobottleneck.models.boltzmann import log_partition as sampling

    rng = np.random.default_rng(0)
    weights = 0.7 * rng.normal(size=(12, 10)), rng.normal(size=12), rng.normal(size=10)
    truth = sampling.enumerated_log_partition(*weights)

    def estimate(seed):
        options = {"num_chains": 100, "num_steps": 300, "seed": seed}
        found = sampling.annealed_log_partition(*weights, weights[1], **options)
        return estimators.Estimate(*found)

    return truth, estimate


def log_normal_correlation(covariance):
    """Correlations of the exponentials of Gaussian units of unit variance."""
    return np.expm1(covariance) / np.expm1(1.0)


CASES = {
    "Fisher trace, drawn labels": trace_of_drawn_labels,
    "Fisher trace, Hutchinson": trace_by("hutchinson"),
    "Fisher trace, XTrace": trace_by("xtrace"),
    "Fisher log-determinant, 8 probes": log_determinant(8),
    "Fisher log-determinant, 24 probes": log_determinant(24),
    "Hessian trace, XTrace": trace_of_hessian,
    "Hessian nuclear norm, 8 probes": nuclear_norm(8),
    "Hessian nuclear norm, 24 probes": nuclear_norm(24),
    "information in weights, drawn labels": nats_of_drawn_labels,
    "loss of the drawn Gaussian code, 8 draws": drawn_loss(8),
    "loss of the drawn Gaussian code, 40 draws": drawn_loss(40),
    "total correlation, Gaussian units": total_correlation(lambda z: z, lambda c: c),
    "total correlation, log-normal units, 300 examples": total_correlation(
        np.exp, log_normal_correlation
    ),
    "total correlation, log-normal units, 30,000 examples": total_correlation(
        np.exp, log_normal_correlation, 30_000
    ),
    "total correlation, log-normal units, 300 examples, jackknife": total_correlation(
        np.exp, log_normal_correlation, estimator="jackknife"
    ),
    "total correlation, log-normal units, 1,000 examples, jackknife": total_correlation(
        np.exp, log_normal_correlation, 1_000, "jackknife"
    ),
    "simulated effective information": simulated,
    "nuisance information, two classes": nuisance,
    "Zipf exponent": zipf,
    "log partition function, annealed": log_partition,
}


def measured(name: str, num_seeds: int) -> dict:
    """One row: what was stated against what was seen."""
    truth, estimate = CASES[name](Classifier())
    UNFINISHED.mkdir(parents=True, exist_ok=True)
    unfinished = UNFINISHED / f"{list(CASES).index(name)}.json"
    found = json.loads(unfinished.read_text("utf-8")) if unfinished.exists() else []
    for seed in range(len(found), num_seeds):
        made = estimate(seed)
        found.append([float(made), float(made.standard_error)])
        if len(found) % SEEDS_AT_ONCE == 0:
            unfinished.write_text(json.dumps(found), "utf-8")
    unfinished.unlink(missing_ok=True)
    values, errors = np.transpose(found[:num_seeds])
    spread = values.std(ddof=1)
    return {
        "truth": truth,
        "mean": values.mean(),
        "bias_in_standard_errors": (values.mean() - truth) / (spread / np.sqrt(num_seeds)),
        "spread": spread,
        "stated_over_spread": float(np.sqrt(np.mean(errors**2)) / spread),
        "coverage": float(np.mean(np.abs(values - truth) <= 1.96 * errors)),
        "num_seeds": num_seeds,
    }


def main(_):
    """Runs the cases and writes results and page."""
    rows = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    for name in ONLY.value or CASES:
        if name not in CASES:
            raise app.UsageError(f"--only must name cases, {list(CASES)}. Received: {name!r}")
        if rows.get(name, {}).get("num_seeds") != NUM_SEEDS.value or ONLY.value:
            rows[name] = measured(name, NUM_SEEDS.value)
        print(name, {key: round(value, 4) for key, value in rows[name].items()}, flush=True)
        ordered = {each: rows[each] for each in CASES if each in rows}
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")
        PAGE.write_text(page(ordered), "utf-8")


if __name__ == "__main__":
    app.run(main)

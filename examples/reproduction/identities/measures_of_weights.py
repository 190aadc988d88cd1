"""Identities of paper 3, about information in weights, one function each, as in `measures`."""

import functools

import keras
import numpy as np
from scipy import integrate, optimize

import keras_infobottleneck as kib
from reproduction.identities.measures import Found


def _linear_case():
    """A linear model in float64, its inputs, and its Hessian of the mean squared error / 2."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(50, 6)) * [3, 2, 1, 1, 0.3, 0.1]
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="float64"),
            keras.layers.Dense(1, use_bias=False, dtype="float64"),
        ]
    )
    fisher = kib.estimators.fisher_information(
        model, x, structure="dense", labels="expected", likelihood="normal"
    )
    return model, x, fisher


def quadratic_optimum():
    """3-a: the numerical optimum of the Lagrangian is the corrected posterior."""
    model, x, fisher = _linear_case()
    beta, scale = 0.01, 0.7
    curvature, loc = x.T @ x / len(x), np.ravel(model.get_weights()[0])
    size = len(loc)
    rows, columns = np.tril_indices(size)

    def divergence(covariance):
        return 0.5 * (
            (np.trace(covariance) + loc @ loc) / scale**2
            - size
            + 2 * size * np.log(scale)
            - np.linalg.slogdet(covariance)[1]
        )

    def covariance_of(entries):
        root = np.zeros([size, size])
        root[rows, columns] = entries
        return root @ root.T

    def lagrangian(entries):
        covariance = covariance_of(entries)
        return np.trace(curvature @ covariance) / 2 + beta * divergence(covariance)

    start = 0.3 * np.eye(size)[rows, columns]
    best = optimize.minimize(lagrangian, start, method="BFGS", tol=1e-10)
    found = kib.estimators.information_in_weights(model, fisher, beta=beta, prior_scale=scale)
    printed = kib.estimators.information_in_weights(
        model, fisher, beta=beta, prior_scale=scale, paper_form=True
    )
    # BFGS leaves the covariance with an error of order sqrt(tolerance); the value is quadratic.
    value = found.excess_loss + beta * found.nats
    errors = {
        "lagrangian": abs(best.fun / value - 1),
        "nats": abs(divergence(covariance_of(best.x)) / found.nats - 1),
    }

    def ratio(price):
        wide, shift = np.eye(size), price / scale**2
        true = np.trace(price * np.linalg.inv(curvature + shift * wide))
        return np.trace(price / 2 * np.linalg.inv(curvature + shift / 2 * wide)) / true

    printed_posterior = beta / 2 * np.linalg.inv(curvature + beta / 2 / scale**2 * np.eye(size))
    missing = printed.nats - divergence(printed_posterior)
    return Found(
        f"linear model of {size} weights, beta = {beta}, prior scale {scale}",
        f"Lagrangian off by {errors['lagrangian']:.1g} and nats by {errors['nats']:.1g}, relative; "
        f"printed trace {ratio(beta):.4f} of the true one, {ratio(1e-6):.5f} at beta = 1e-6; "
        f"equation 8 minus true {missing:.4f} nats",
        bool(
            max(errors.values()) < 1e-6
            and abs(ratio(1e-6) - 0.5) < 1e-4
            and abs(missing + size / 2) < 1e-9
        ),
        {**errors, "trace_ratio": ratio(beta), "limit": ratio(1e-6), "equation_8": missing},
    )


def average_divergence():
    """3-b: E_D KL(Q || P) = I(w;D) + KL(Q(w) || P)."""
    rng = np.random.default_rng(0)
    data = rng.dirichlet(np.ones(4))
    posterior, prior = rng.dirichlet(np.ones(6), size=4), rng.dirichlet(np.ones(6))
    marginal = data @ posterior
    average = data @ np.sum(posterior * np.log(posterior / prior), 1)
    # The information that w has about the data set, as that of a label about a known source.
    joint = (data[:, None] * posterior).T[None, None]
    terms = kib.estimators.cross_entropy_decomposition(joint, np.full([1, 6, 4], 1 / 6))
    gap = average - terms.overfitting - np.sum(marginal * np.log(marginal / prior))
    return Found(
        "4 data sets, 6 weights, random laws",
        f"difference {abs(gap):.1g} nats of {average:.4f}",
        bool(abs(gap) < 1e-12),
        {"average_divergence": float(average), "difference": float(gap)},
    )


def slope_of_the_lagrangian():
    """3-c: the information is the slope of the least Lagrangian over the price."""
    model, _, fisher = _linear_case()
    beta = 0.01 * np.array([1 - 1e-5, 1, 1 + 1e-5])
    curve = kib.estimators.information_curve(model, fisher, beta=beta, loss=0.0)
    quadratic = np.diff(curve.lagrangian[[0, 2]])[0] / np.diff(beta[[0, 2]])[0]
    errors = {"quadratic": float(abs(quadratic / curve.nats[1] - 1))}

    def loss(w):
        return (w**2 - 1) ** 2 + 0.3 * w

    def weight(w, price):
        return np.exp(-(w**2) / 8 - loss(w) / price) / np.sqrt(8 * np.pi)

    def integral(function):
        return integrate.quad(function, -6, 6, limit=400, epsabs=1e-13)[0]

    price, step = 0.2, 1e-4
    least = {
        p: -p * np.log(integral(functools.partial(weight, price=p)))
        for p in (price - step, price, price + step)
    }
    total = np.exp(-least[price] / price)
    mean_loss = integral(lambda w: loss(w) * weight(w, price) / total)
    wells = -mean_loss / price - np.log(total)
    slope = (least[price + step] - least[price - step]) / (2 * step)
    errors["two_wells"] = float(abs(slope / wells - 1))
    return Found(
        "linear model with the best prior scale at each price; two wells on a line, exact",
        f"slope off by {errors['quadratic']:.1g} and {errors['two_wells']:.1g}, relative "
        f"({curve.nats[1]:.4f} and {wells:.4f} nats)",
        bool(max(errors.values()) < 1e-6),
        {**errors, "nats": float(curve.nats[1]), "nats_two_wells": float(wells)},
    )


def logistic_regression():
    """3-d: H = F."""
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [keras.Input((4,), dtype="float64"), keras.layers.Dense(3, dtype="float64")]
    )
    data = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)
    options = {"likelihood": "categorical"}
    fisher = kib.estimators.fisher_information(
        model, data, structure="dense", labels="expected", **options
    )
    curvature = kib.estimators.hessian(model, data, **options)
    difference = 0.0
    for row in np.eye(fisher.size):
        tensors = fisher.layout.split(row)
        pair = zip(fisher.matvec(tensors), curvature.matvec(tensors), strict=True)
        difference = max(difference, *(float(np.abs(a - b).max()) for a, b in pair))
    largest = float(np.abs(fisher.matrix).max())
    return Found(
        "4 inputs, 3 classes, 30 examples, random weights and labels",
        f"largest difference {difference:.1g}, largest entry {largest:.3g}",
        bool(difference < 1e-10 * largest),
        {"largest_difference": difference, "largest_entry": largest},
    )


def activation_order():
    """3-g: the activations' Fisher information scales with the weights' and keeps its order."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(10, 5))
    dense = functools.partial(keras.layers.Dense, activation="tanh", dtype="float64")
    model = keras.Sequential([keras.Input((5,), dtype="float64"), dense(4), dense(3, name="z")])
    options = {"labels": "expected", "likelihood": "normal", "structure": "gram"}
    few, more = (kib.estimators.fisher_information(model, x[:n], **options) for n in (5, 10))

    def of(fisher, beta, prior_scale):
        return kib.estimators.activation_fisher(
            model, x, layer="z", fisher=fisher, beta=beta, prior_scale=prior_scale
        )

    # F and its floor beta / prior_scale^2 times 7 is beta over 7 with the same ratio.
    plain, scaled = of(more, 0.01, 0.8), of(more, 0.01 / 7, 0.8 / np.sqrt(7))
    scaling = float(np.abs(scaled - 7 * plain).max() / np.abs(plain).max())
    # F >= F_few / 2, a mean over half of the examples; twice the price halves F_few and its floor.
    below, above = of(few, 0.02, 0.8 * np.sqrt(2)), of(more, 0.01, 0.8)
    smallest = float(np.linalg.eigvalsh(above - below).min() / np.abs(above).max())
    return Found(
        "tanh network 5-4-3, 10 examples; F of half of the examples below F of all",
        f"scaling off by {scaling:.1g}; smallest eigenvalue of the difference {smallest:.1g}, both "
        "relative",
        bool(scaling < 1e-8 and smallest > -1e-9),
        {"scaling_error": scaling, "smallest_eigenvalue": smallest},
    )


MEASURES = {
    "3-a": quadratic_optimum,
    "3-b": average_divergence,
    "3-c": slope_of_the_lagrangian,
    "3-d": logistic_regression,
    "3-g": activation_order,
}

"""The Hessian and what is estimated from products."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import fisher_information, flat_minimum_bound, hessian
from keras_infobottleneck.linear_algebra.lanczos import largest_eigenvalues, spectral_sum
from keras_infobottleneck.linear_algebra.stochastic_trace import hutchinson_trace, xtrace
from tests.support import reference_fisher as reference

layers = keras.layers


@pytest.fixture(scope="module")
def logistic():
    """Logistic regression in float64, and data."""
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype="float64")])
    return model, rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


@pytest.fixture(scope="module")
def network():
    """A tanh network in float64 with its dense reference, whose Hessian is indefinite."""
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, activation="tanh", dtype="float64"),
            layers.Dense(3, dtype="float64"),
        ]
    )
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 3, 20)

    def loss(logits):
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        )

    exact = reference.hessian(model, model.trainable_variables, x, loss)
    return model, (x, y), exact


def matrix_of(result):
    rows = [reference.flat(result.matvec(result.layout.split(row))) for row in np.eye(result.size)]
    return np.stack(rows)


def test_hessian_of_logistic_regression_is_the_fisher_information(logistic):
    model, x, y = logistic
    curvature = matrix_of(hessian(model, (x, y), likelihood="categorical"))
    fisher = fisher_information(
        model, x, structure="dense", labels="expected", likelihood="categorical"
    )
    assert reference.relative_error(curvature, fisher.matrix) < 1e-10


def test_products_equal_the_dense_reference_whatever_the_batches(network):
    model, data, exact = network
    for size in (1, 7, 20):
        result = hessian(model, data, likelihood="categorical", batch_size=size)
        assert reference.relative_error(matrix_of(result), exact) < 1e-10


def test_estimates_agree_with_the_dense_reference(network):
    model, data, exact = network
    result = hessian(model, data, likelihood="categorical")
    values = np.linalg.eigvalsh(exact)
    assert values[0] < -1e-3, "the case must be indefinite"
    for method in ("xtrace", "hutchinson"):
        assert result.trace(method=method).agrees_with(values.sum())
    by_size = values[np.argsort(-np.abs(values))]
    np.testing.assert_allclose(result.eigenvalues(3), by_size[:3], atol=1e-3 * by_size[0])
    norm = result.nuclear_norm(num_probes=10, num_steps=31)
    assert norm.agrees_with(np.abs(values).sum(), standard_errors=3)
    shift = 0.1 - values[0]
    logdet = result.logdet(shift, num_probes=10, num_steps=31)
    assert logdet.agrees_with(np.log(values + shift).sum(), standard_errors=3)
    table = result.by_variable(num_probes=12)
    trace = sum(row["trace"] for row in table.values())
    error = sum(row["trace"].standard_error for row in table.values())
    assert abs(trace - values.sum()) < 4 * error
    with pytest.raises(ValueError, match="positive definite"):
        result.logdet(1e-6, num_steps=30)


def test_recurrent_products_equal_the_dense_reference():
    """Second derivatives through a loop over time."""
    rng = np.random.default_rng(0)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        model = keras.Sequential([keras.Input((3, 2)), layers.GRU(2), layers.Dense(2)])
    finally:
        keras.config.set_dtype_policy(policy)
    x, y = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 2))
    vector = rng.normal(size=sum(v.numpy().size for v in model.trainable_variables))
    result = hessian(model, (x, y), likelihood="normal")
    step = 1e-5

    def gradient(sign):
        moved = keras.models.clone_model(model)
        parts = result.layout.split(vector)
        for target, source, part in zip(moved.weights, model.weights, parts, strict=True):
            target.assign(source.value + sign * step * part)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((moved(x) - y) ** 2) / 2 / 4
        return reference.flat(tape.gradient(loss, [v.value for v in moved.trainable_variables]))

    difference = (gradient(1) - gradient(-1)) / (2 * step)
    product = reference.flat(result.matvec(result.layout.split(vector)))
    assert reference.relative_error(product, difference) < 1e-6


def test_an_operator_keeps_its_model_alive():
    x = np.ones([4, 3], np.float32)
    build = lambda: keras.Sequential([keras.Input((3,)), layers.Dense(2)])  # noqa: E731
    options = {"likelihood": "categorical"}
    second = hessian(build(), (x, [0, 1, 0, 1]), **options)
    fisher = fisher_information(build(), x, labels="expected", structure="implicit", **options)
    vector = [np.ones([3, 2]), np.zeros(2)]
    assert np.all(np.isfinite(second.matvec(vector)[0]))
    assert np.all(np.isfinite(fisher.matvec(vector)[0]))


def decaying(size, seed=0):
    """A symmetric matrix with a fast decaying spectrum of both signs, and its product."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(size, size)))
    values = 0.7 ** np.arange(size) * np.where(np.arange(size) % 3 == 2, -1, 1)
    matrix = (q * values) @ q.T
    return matrix, values, lambda v: tf.linalg.matvec(tf.constant(matrix), v)


@pytest.mark.slow
def test_trace_estimators_are_unbiased_and_know_their_error():
    matrix, _, product = decaying(40)
    for estimator in (hutchinson_trace, xtrace):
        runs = [estimator(product, 40, num_probes=8, seed=s, dtype=tf.float64) for s in range(60)]
        errors = np.array([float(run) - np.trace(matrix) for run in runs])
        claimed = np.sqrt(np.mean([run.standard_error**2 for run in runs]))
        assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(60)
        assert 0.5 < errors.std() / claimed < 2


def by_definition(matrix, omega):
    """What each probe gives: a QR decomposition for every probe left out."""
    values = []
    for i in range(omega.shape[1]):
        q, _ = np.linalg.qr(matrix @ np.delete(omega, i, 1))
        rest = omega[:, i] - q @ (q.T @ omega[:, i])
        values.append(np.trace(q.T @ matrix @ q) + rest @ matrix @ rest)
    return values


def test_xtrace_leaves_one_probe_out_of_the_range():
    matrix, _, product = decaying(12)
    probes = 5
    from keras_infobottleneck.linear_algebra.stochastic_trace import probe

    omega = np.stack([probe(12, 0, i, tf.float64) for i in range(probes)], 1)
    values = by_definition(matrix, omega)
    result = xtrace(product, 12, num_probes=probes, seed=0, dtype=tf.float64)
    assert result == pytest.approx(np.mean(values), rel=1e-9)
    # The spread of the values is too small, a jackknife too large: their geometric mean is stated.
    spread = np.std(values, ddof=1) / np.sqrt(probes)
    means = [np.mean(by_definition(matrix, np.delete(omega, i, 1))) for i in range(probes)]
    jackknife = np.sqrt((probes - 1) * np.var(means))
    assert result.standard_error == pytest.approx(np.sqrt(spread * jackknife), rel=1e-7)


def test_the_trace_of_a_single_weight_is_exact():
    options = {"num_probes": 8, "seed": 0, "dtype": tf.float64}
    for estimator in (hutchinson_trace, xtrace):
        trace = estimator(lambda v: 3.0 * v, 1, **options)
        assert float(trace) == pytest.approx(3.0)
        assert trace.standard_error == 0.0


def test_xtrace_beats_hutchinson_on_a_decaying_spectrum():
    _, _, product = decaying(60)
    options = {"seed": 0, "dtype": tf.float64}
    deflated = xtrace(product, 60, num_probes=12, **options)
    plain = hutchinson_trace(product, 60, num_probes=24, **options)
    assert deflated.standard_error < plain.standard_error / 5


def test_quadrature_is_exact_over_probes_once_steps_suffice():
    _, values, product = decaying(10)
    options = {"num_probes": 40, "seed": 0, "dtype": tf.float64}
    full = spectral_sum(product, 10, np.exp, num_steps=10, **options)
    assert full.agrees_with(np.exp(values).sum(), standard_errors=3)
    short = spectral_sum(product, 10, np.exp, num_steps=3, **options)
    assert short.standard_error > full.standard_error


def test_a_multiple_of_the_identity_ends_lanczos_at_once():
    result = spectral_sum(
        lambda v: 3.0 * v, 50, np.log, num_probes=2, num_steps=20, seed=0, dtype=tf.float64
    )
    assert result == pytest.approx(50 * np.log(3.0))
    assert result.standard_error < 1e-9


def test_fewer_eigenvalues_are_given_where_no_more_are_distinct():
    values = largest_eigenvalues(
        lambda v: tf.constant([3.0, 3.0, 0.0, 0.0], tf.float64) * v,
        4,
        3,
        tolerance=1e-6,
        max_steps=10,
        seed=0,
        dtype=tf.float64,
    )
    np.testing.assert_allclose(values, [3.0, 0.0], atol=1e-9)


def test_largest_eigenvalues_are_by_magnitude_or_refused():
    _, values, product = decaying(60)
    options = {"seed": 0, "dtype": tf.float64}
    found = largest_eigenvalues(product, 60, 4, tolerance=1e-8, max_steps=60, **options)
    np.testing.assert_allclose(found, values[:4], atol=1e-8)
    with pytest.raises(ValueError, match="max_steps"):
        largest_eigenvalues(product, 60, 4, tolerance=1e-12, max_steps=6, **options)


def test_bound_lies_above_the_information_at_the_best_noise():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(50, 50))
    matrix, weights = factor @ factor.T / 50, rng.normal(size=50)
    beta, examples = 0.01, 30
    exact = 0.5 * np.log(np.diag(matrix) * examples * weights**2 / beta).sum()
    norm = np.linalg.svd(matrix, compute_uv=False).sum()
    options = {"num_examples": examples, "weight_beta": beta}
    bound = flat_minimum_bound(weights, norm, **options)
    assert exact < bound
    printed = flat_minimum_bound([weights[:20], weights[20:]], norm, paper_form=True, **options)
    assert printed - bound == pytest.approx(25 * np.log(2))


def test_bound_is_attained_when_every_weight_counts_the_same():
    """Equality in both of Jensen's steps: H = h I and equal squares."""
    weights, h = np.full(8, 0.5), 3.0
    bound = flat_minimum_bound(weights, 8 * h, num_examples=10)
    assert bound == pytest.approx(0.5 * 8 * np.log(10 * h * 0.25))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"weights": np.zeros(3)}, "weights"),
        ({"weights": np.array([np.nan])}, "weights"),
        ({"nuclear_norm": 0.0}, "nuclear_norm"),
        ({"num_examples": -1}, "num_examples"),
        ({"weight_beta": 0.0}, "weight_beta"),
    ],
)
def test_bound_refuses(arguments, word):
    good = {"weights": np.ones(3), "nuclear_norm": 1.0, "num_examples": 2}
    with pytest.raises(ValueError, match=rf"`{word}.* must .*Received: "):
        flat_minimum_bound(**{**good, **arguments})

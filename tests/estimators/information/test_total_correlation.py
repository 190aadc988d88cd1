import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import total_correlation


def autoregressive(rng, n, d, rho):
    """Gaussian units with correlation rho^|i-j|, whose total correlation is known."""
    covariance = rho ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    z = rng.normal(size=(n, d)) @ np.linalg.cholesky(covariance).T
    return z * rng.uniform(0.1, 10, d) + rng.normal(size=d), -(d - 1) / 2 * np.log(1 - rho**2)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(
    ("d", "n"), [(5, 500), (20, 200), (50, 100), pytest.param(90, 100, marks=pytest.mark.slow)]
)
def test_unbiased_for_gaussians_with_the_stated_standard_error(d, n, rho):
    rng = np.random.default_rng(d)
    repeats = 60
    values, errors = [], []
    for _ in range(repeats):
        z, truth = autoregressive(rng, n, d, rho)
        result = total_correlation(z, num_permutations=2, seed=0)
        values.append(result.nats)
        errors.append(result.standard_error)
    error = np.sqrt(np.mean(np.square(errors)))
    assert abs(np.mean(values) - truth) < 4 * error / np.sqrt(repeats)
    # The spread of 60 values has relative standard error 1 / sqrt(120).
    assert abs(np.std(values, ddof=1) / error - 1) < 4 / np.sqrt(2 * repeats)


def units_of(kind, rng, n=200, d=8, rho=0.5):
    """Correlated units of a distribution."""
    covariance = rho ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    z = rng.normal(size=(n, d)) @ np.linalg.cholesky(covariance).T
    if kind == "log-normal":
        return np.exp(z)
    if kind == "student":
        return z / np.sqrt(rng.chisquare(6, size=(n, 1)) / 6)
    return np.maximum(z, 0) if kind == "relu" else z > 0


@pytest.mark.parametrize("kind", ["log-normal", "student", "relu", "boolean"])
def test_the_stated_error_is_the_spread_whatever_the_distribution(kind):
    rng = np.random.default_rng(1)
    repeats = 200
    results = [
        total_correlation(units_of(kind, rng), num_permutations=2, seed=0) for _ in range(repeats)
    ]
    values = np.array([result.nats for result in results])
    errors = np.array([result.standard_error for result in results])
    assert abs(np.sqrt(np.mean(errors**2)) / values.std(ddof=1) - 1) < 0.2
    covered = np.abs(values - values.mean()) < 1.96 * errors
    assert 0.9 <= covered.mean() <= 0.99


def test_the_result_says_in_which_direction_the_estimator_errs():
    z = np.random.default_rng(0).normal(size=(30, 4))
    assert "at least" in total_correlation(z, estimator="shrinkage", num_permutations=2).bias
    assert "upwards" in total_correlation(z, estimator="plain", num_permutations=2).bias
    assert "none" in total_correlation(z, num_permutations=2).bias
    assert "any" in total_correlation(z, estimator="jackknife", num_permutations=2).bias


def test_the_jackknife_leaves_out_each_example_in_turn():
    z = np.exp(np.random.default_rng(0).normal(size=(25, 3)))
    options = {"num_permutations": 2, "seed": 0}
    plain = [
        total_correlation(part, estimator="plain", **options).nats
        for part in (z, *(np.delete(z, i, 0) for i in range(25)))
    ]
    found = total_correlation(z, estimator="jackknife", **options)
    assert found.nats == pytest.approx(25 * plain[0] - 24 * np.mean(plain[1:]), rel=1e-9)


def test_the_jackknife_takes_off_most_of_what_heavy_tails_add():
    """Of log-normal units, whose correlations are `expm1(covariance) / expm1(1)`."""
    rng, repeats = np.random.default_rng(0), 100
    covariance = 0.5 ** np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    truth = -0.5 * np.linalg.slogdet(np.expm1(covariance) / np.expm1(1))[1]
    values = {"unbiased": [], "jackknife": []}
    for _ in range(repeats):
        z = units_of("log-normal", rng, n=1000)
        for estimator, found in values.items():
            result = total_correlation(z, estimator=estimator, num_permutations=2, seed=0)
            found.append(result.nats)
    above = {estimator: np.mean(found) - truth for estimator, found in values.items()}
    error = np.std(values["unbiased"], ddof=1) / np.sqrt(repeats)
    assert above["unbiased"] > 4 * error
    assert abs(above["jackknife"]) < 0.6 * above["unbiased"]


def test_plain_estimate_is_too_large_by_the_stated_correction():
    z, truth = autoregressive(np.random.default_rng(0), 100, 50, 0.5)
    plain = total_correlation(z, estimator="plain", num_permutations=2)
    unbiased = total_correlation(z, num_permutations=2)
    psi = tf.math.digamma((100.0 - np.arange(1, 51)) / 2).numpy()
    assert plain.nats - unbiased.nats == pytest.approx(-0.5 * np.sum(psi - psi[0]), rel=1e-9)
    assert plain.nats > truth + 5


def test_two_units_by_hand():
    z, _ = autoregressive(np.random.default_rng(1), 30, 2, 0.7)
    r = np.corrcoef(z.T)[0, 1]
    plain = total_correlation(z, estimator="plain", num_permutations=2)
    assert plain.nats == pytest.approx(-0.5 * np.log(1 - r**2), rel=1e-9)
    assert plain.per_unit == plain.nats / 2


def test_null_of_the_unbiased_estimator_is_zero_and_of_the_plain_one_is_its_bias():
    z, _ = autoregressive(np.random.default_rng(2), 120, 60, 0.8)
    unbiased = total_correlation(z, num_permutations=40, seed=0)
    assert abs(unbiased.null) < 4 * unbiased.null_std / np.sqrt(40)
    plain = total_correlation(z, estimator="plain", num_permutations=40, seed=0)
    assert plain.null == pytest.approx(unbiased.null + plain.nats - unbiased.nats, rel=1e-9)
    assert unbiased.nats > 20 * unbiased.null_std


def test_scale_shift_and_order_of_units_change_nothing():
    rng = np.random.default_rng(3)
    z, _ = autoregressive(rng, 80, 6, 0.4)
    changed = z[:, rng.permutation(6)] * [1, -2, 3, 1e-3, 5e4, 7] + 11
    for estimator in ("unbiased", "plain", "shrinkage"):
        values = [total_correlation(each, estimator=estimator).nats for each in (z, changed)]
        assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_shrinkage_serves_more_units_than_examples_and_separates_from_its_null():
    z, truth = autoregressive(np.random.default_rng(4), 60, 120, 0.9)
    result = total_correlation(z, estimator="shrinkage", seed=0)
    assert 0 < result.shrinkage < 1
    assert result.null + 10 * result.null_std < result.nats < truth
    assert result.standard_error > 0


def test_shrinkage_vanishes_with_many_examples():
    z, truth = autoregressive(np.random.default_rng(5), 20_000, 4, 0.6)
    result = total_correlation(z, estimator="shrinkage", seed=0)
    assert result.shrinkage < 1e-3
    assert result.nats == pytest.approx(truth, abs=4 * result.standard_error)


def test_the_authors_form_takes_the_logarithm_of_the_activations():
    z, _ = autoregressive(np.random.default_rng(6), 50, 5, 0.5)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    ours = total_correlation(np.exp(z), log=True, estimator="plain", num_permutations=2)
    covariance = np.cov(z.T)
    authors = -0.5 * np.linalg.slogdet(covariance / np.diag(covariance)[:, None])[1] / 5
    assert ours.per_unit == pytest.approx(authors, rel=1e-9)


def test_constant_units_add_nothing_and_maps_are_flattened():
    z, _ = autoregressive(np.random.default_rng(7), 50, 4, 0.5)
    dead = np.concatenate([z, np.zeros((50, 2))], axis=1)
    with_dead = total_correlation(dead.reshape(50, 2, 3), seed=0)
    assert with_dead.num_constant == 2
    assert with_dead.nats == pytest.approx(total_correlation(z, seed=0).nats, rel=1e-9)


Z = np.random.default_rng(8).normal(size=(10, 4))


@pytest.mark.parametrize(
    ("z", "options", "message"),
    [
        (Z[:, 0], {}, r"`z` must have the shape \[num_examples, units, ...\]"),
        (Z[:2], {}, "at least 3 examples"),
        (np.where(Z > 1, np.nan, Z), {}, "finite"),
        (Z, {"log": True}, "positive"),
        (Z * [1, 0, 0, 0], {}, "2 units that vary"),
        (Z[:4], {}, "more examples than units"),
        (Z[:, [0, 1, 1]], {}, "determine each other"),
        (Z, {"estimator": "copula"}, "estimator"),
        (Z, {"num_permutations": 1}, "num_permutations"),
    ],
)
def test_bad_input_gives_one_clear_sentence(z, options, message):
    with pytest.raises(ValueError, match=f"(?s){message}.*Received: "):
        total_correlation(z, **options)


@pytest.mark.parametrize(
    ("z", "options", "message"),
    [
        (np.full((5, 2), "a"), {}, "numbers"),
        (Z + 1j, {}, "numbers"),
        (Z, {"log": 1}, "log"),
        (Z, {"seed": 1.5}, "seed"),
    ],
)
def test_input_of_another_kind_gives_one_clear_sentence(z, options, message):
    with pytest.raises(TypeError, match=f"{message}.*Received: "):
        total_correlation(z, **options)


@pytest.mark.parametrize("estimator", ["plain", "unbiased", "jackknife", "shrinkage"])
@pytest.mark.parametrize("power", [-700, 600, 900])
def test_no_scale_is_too_large_or_too_small(estimator, power):
    z = np.random.default_rng(0).normal(size=(40, 3))
    z[:, 1] += z[:, 0]
    options = {"estimator": estimator, "seed": 0, "num_permutations": 2}
    scales = np.array([power, -power, 0])
    found = total_correlation(np.ldexp(z, scales), **options)
    assert found == total_correlation(z, **options)

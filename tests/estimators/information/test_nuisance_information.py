import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import nuisance_information


def linear_gaussian(rng, num_examples):
    """Task y and nuisance n mixed into x, and z = W x + noise; informations in closed form."""
    mixing = np.array([[1.0, 0.5], [-0.3, 1.0], [0.8, 0.8]])
    encoder, noise = np.array([[1.0, 0.2, 0.5], [0.1, -1.0, 0.7]]), 0.6
    sources = rng.normal(size=(num_examples, 2))
    x = sources @ mixing.T
    z = x @ encoder.T + noise * rng.normal(size=(num_examples, 2))

    def log_det(covariance):
        return np.linalg.slogdet(covariance + noise**2 * np.eye(2))[1]

    weights = encoder @ mixing
    of_y, of_n = (np.outer(column, column) for column in weights.T)
    information = {
        "x": 0.5 * (log_det(of_y + of_n) - log_det(0)),
        "y": 0.5 * (log_det(of_y + of_n) - log_det(of_n)),
        "n": 0.5 * (log_det(of_y + of_n) - log_det(of_y)),
    }
    return z, sources, information


@pytest.fixture(scope="module")
def gaussian():
    z, sources, truth = linear_gaussian(np.random.default_rng(0), 4000)
    return nuisance_information(z, sources[:, 1], num_folds=3, seed=0), truth


@pytest.mark.slow
def test_linear_gaussian_information_is_found(gaussian):
    estimate, truth = gaussian
    assert abs(estimate.nats - truth["n"]) < 4 * estimate.standard_error
    assert estimate.lower_bound < truth["n"] + 4 * estimate.standard_error
    assert estimate.lower_bound > 0.8 * truth["n"]
    assert estimate.upper_bound == np.inf


@pytest.mark.slow
def test_nuisance_information_is_below_what_the_task_leaves_over(gaussian):
    estimate, truth = gaussian
    assert truth["n"] <= truth["x"] - truth["y"]
    assert estimate.nats - 4 * estimate.standard_error <= truth["x"] - truth["y"]


@pytest.mark.slow
def test_the_null_of_a_permuted_nuisance_is_zero(gaussian):
    estimate, _ = gaussian
    assert abs(estimate.null) < 4 * estimate.standard_error
    assert np.isnan(estimate.null_std)


def test_discrete_nuisance_is_found_below_its_entropy():
    rng = np.random.default_rng(1)

    def sample(num_examples):
        n = rng.choice(3, size=num_examples, p=[0.5, 0.3, 0.2])
        return n, np.stack([np.cos(2 * n), np.sin(2 * n)], 1) * 1.5 + rng.normal(
            size=(num_examples, 2)
        )

    n, z = sample(400_000)
    centres = np.stack([np.cos([0, 2, 4]), np.sin([0, 2, 4])], 1) * 1.5
    log_density = -0.5 * np.sum((z[:, None] - centres) ** 2, axis=2)
    marginal = np.log(np.exp(log_density) @ [0.5, 0.3, 0.2])
    truth = np.mean(log_density[np.arange(len(n)), n] - marginal)

    n, z = sample(4000)
    estimate = nuisance_information(z, n, num_folds=2, num_permutations=2, seed=0)
    assert abs(estimate.nats - truth) < 4 * estimate.standard_error
    share = np.bincount(n) / len(n)
    assert estimate.upper_bound == pytest.approx(-np.sum(share * np.log(share)))
    assert estimate.nats < estimate.upper_bound
    assert abs(estimate.null) < estimate.nats / 10


@keras.saving.register_keras_serializable(package="tests")
class GaussianRatio(keras.layers.Layer):
    """The exact log-density ratio of standard Gaussian pairs of correlation `rho`."""

    def __init__(self, rho, **kwargs):
        super().__init__(**kwargs)
        self.rho = rho

    def call(self, inputs):
        z, n = inputs
        rho, rest = self.rho, 1 - self.rho**2
        quadratic = 2 * rho * z * n - rho**2 * (z**2 + n**2)
        ratios = quadratic / (2 * rest) - 0.5 * np.log(rest)
        return keras.ops.sum(ratios, axis=1, keepdims=True)


@pytest.mark.parametrize("truth", [1.0, 4.0, 5.0])
def test_an_informative_continuous_nuisance_is_not_overestimated(truth):
    # Normalised over drawn values alone, of which none fits, the exact ratio gave 10 nats for 4.
    rng, units = np.random.default_rng(0), 6
    rho = np.sqrt(1 - np.exp(-2 * truth / units))
    n = rng.normal(size=(3000, units))
    z = rho * n + np.sqrt(1 - rho**2) * rng.normal(size=n.shape)
    inputs = [keras.Input([units]), keras.Input([units])]
    exact = keras.Model(inputs, GaussianRatio(rho)(inputs))
    estimate = nuisance_information(z, n, discriminator=exact, num_folds=2, seed=0)
    assert estimate.cap == pytest.approx(np.log(1024))
    assert estimate.nats < truth + 4 * estimate.standard_error
    bound, error = bound_of_1024_values(rho, units)
    assert abs(estimate.nats - bound) < 4 * np.hypot(estimate.standard_error, error)
    assert truth - 0.5 < bound <= truth + 4 * error
    assert estimate.lower_bound >= estimate.nats


def bound_of_1024_values(rho, units):
    """What the exact ratio gives among 1,024 values, in expectation, by fresh draws."""
    rng, rest = np.random.default_rng(1), 1 - rho**2
    n = rng.normal(size=(1024, 1000, units))
    z = rho * n[0] + np.sqrt(rest) * rng.normal(size=n.shape[1:])
    ratios = np.sum((2 * rho * z * n - rho**2 * (z**2 + n**2)) / (2 * rest), -1)
    values = ratios[0] - np.logaddexp.reduce(ratios, 0) + np.log(1024)
    return values.mean(), values.std() / np.sqrt(1000)


@pytest.mark.parametrize("num_classes", [200, pytest.param(500, marks=pytest.mark.slow)])
def test_many_classes_named_perfectly_are_their_entropy(num_classes):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(num_classes, 16))
    n = rng.permutation(np.arange(10 * num_classes) % num_classes)
    z = centres[n] + 0.1 * rng.normal(size=(len(n), 16))
    estimate = nuisance_information(z, n, num_folds=3, epochs=5, seed=0)
    assert estimate.upper_bound == estimate.cap
    assert estimate.nats <= estimate.upper_bound
    assert estimate.nats > 0.98 * estimate.upper_bound
    assert abs(estimate.null) < 0.05


def test_every_class_is_in_the_normalisation_of_a_given_discriminator():
    rng, num_classes = np.random.default_rng(0), 300
    n = rng.permutation(np.arange(1200) % num_classes)
    z = np.eye(num_classes, dtype="float32")[n]
    inputs = [keras.Input([num_classes]), keras.Input([num_classes])]
    # The product of the two one-hot vectors: a huge ratio where they agree, 1 elsewhere.
    agree = keras.layers.Dot(1)([keras.layers.ReLU()(inputs[0]), inputs[1]])
    named = keras.Model(inputs, keras.layers.Rescaling(30.0)(agree))
    estimate = nuisance_information(z, n, discriminator=named, num_folds=2, seed=0)
    assert estimate.nats == pytest.approx(estimate.upper_bound, abs=1e-6)


def test_states_of_booleans_are_representations():
    rng = np.random.default_rng(0)
    n = rng.integers(0, 2, 400)
    z = (n[:, None] ^ (rng.random((400, 3)) < 0.1)).astype(bool)
    options = {"epochs": 3, "num_folds": 2, "seed": 0}
    of_booleans = nuisance_information(z, n, **options)
    assert of_booleans.nats == nuisance_information(z.astype("float32"), n, **options).nats
    assert of_booleans.nats > 0.3


def test_a_given_discriminator_is_used_and_put_back():
    rng = np.random.default_rng(2)
    n = rng.integers(2, size=600)
    z = (n[:, None, None] + rng.normal(size=(600, 4, 4))).astype("float32")
    inputs = [keras.Input([4, 4]), keras.Input([2])]
    pooled = keras.layers.Dense(8, "tanh")(keras.layers.Flatten()(inputs[0]))
    both = keras.layers.Concatenate()([pooled, inputs[1]])
    discriminator = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(8, "tanh")(both)))
    before = discriminator.get_weights()
    estimate = nuisance_information(
        z, n, discriminator=discriminator, num_folds=2, learning_rate=0.01, seed=0
    )
    assert estimate.nats > 0.3
    for old, new in zip(before, discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


Z = np.random.default_rng(3).normal(size=(100, 2))
N = np.arange(100) % 3


@pytest.mark.parametrize(
    ("z", "n", "options", "error", "message"),
    [
        (Z[:, 0], N, {}, ValueError, r"`z` must have the shape \[num_examples, units, ...\]"),
        (Z, N[:50], {}, ValueError, r"`n` must have the shape \[100, ...\]"),
        (Z, np.full(100, "a"), {}, TypeError, "numbers"),
        (np.where(Z > 1, np.inf, Z), N, {}, ValueError, "finite"),
        (Z, np.full(100, np.nan), {}, ValueError, "finite"),
        (Z, np.ones(100, int), {}, ValueError, "vary"),
        (Z, N, {"num_folds": 1}, ValueError, "num_folds"),
        (Z, N, {"num_folds": 20}, ValueError, "10 examples per fold"),
        (Z, N, {"num_permutations": 0}, ValueError, "num_permutations"),
        (Z, N, {"epochs": 0}, ValueError, "epochs"),
        (Z, N, {"batch_size": 2.5}, TypeError, "batch_size"),
        (Z, N, {"learning_rate": 0.0}, ValueError, "learning_rate"),
        (Z, N, {"learning_rate": np.nan}, ValueError, "learning_rate"),
        (Z, N, {"seed": -1}, ValueError, "seed"),
        (Z, N, {"discriminator": "mlp"}, TypeError, "discriminator"),
    ],
)
def test_bad_input_gives_one_clear_sentence(z, n, options, error, message):
    with pytest.raises(error, match=f"(?s){message}.*Received: "):
        nuisance_information(z, n, **options)


def test_classes_in_a_column_are_classes():
    rng = np.random.default_rng(0)
    n = rng.integers(0, 3, 120)
    z = np.eye(3)[n] + rng.normal(size=(120, 3))
    options = {"epochs": 2, "num_folds": 2, "seed": 0}
    column = nuisance_information(z, n[:, None], **options)
    assert repr(column) == repr(nuisance_information(z, n, **options))
    nuisance_information(z, n, **options | {"num_folds": np.int64(2)})  # as NumPy counts


def test_no_scale_of_a_unit_is_too_large_or_too_small():
    options = {"epochs": 1, "num_folds": 2, "seed": 0}
    found = nuisance_information(np.ldexp(Z, [900, -800]), N, **options)
    assert found.nats == nuisance_information(Z, N, **options).nats

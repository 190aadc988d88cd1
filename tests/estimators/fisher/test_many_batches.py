"""Sums over very many small batches keep their digits."""

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import fisher_information, hessian

layers = keras.layers
COUNT = 200_000


@pytest.fixture(scope="module")
def equal_examples():
    """A network, the same example very often, and once."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    x, y = np.array([[0.3, -1.1, 0.7]], np.float32), np.array([1])
    return model, (np.repeat(x, COUNT, 0), np.repeat(y, COUNT)), (x, y)


@pytest.mark.parametrize(
    "structure",
    ["diagonal", *(pytest.param(name, marks=pytest.mark.slow) for name in ("kronecker", "dense"))],
)
def test_the_mean_over_equal_examples_is_the_example(structure, equal_examples):
    model, many, once = equal_examples
    options = {"structure": structure, "labels": "empirical", "likelihood": "categorical"}
    exact = fisher_information(model, once, **options).diagonal()
    result = fisher_information(model, many, batch_size=8, **options).diagonal()
    for mine, its in zip(result, exact, strict=True):
        np.testing.assert_allclose(mine, its, rtol=5e-6)


def test_products_of_the_hessian_too(equal_examples):
    model, many, once = equal_examples
    vector = [np.ones(v.shape) for v in model.trainable_variables]
    exact = hessian(model, once, likelihood="categorical").matvec(vector)
    result = hessian(model, many, likelihood="categorical", batch_size=8).matvec(vector)
    for mine, its in zip(result, exact, strict=True):
        np.testing.assert_allclose(mine, its, rtol=5e-6)

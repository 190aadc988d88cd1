"""Kronecker factors with a limit on their sides: of wider ones the diagonal alone."""

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import (
    FisherInformation,
    fisher_information,
    information_in_weights,
)
from tests.support import reference_fisher as reference
from tests.support.small_classifiers import IMAGES, POINTS, classifier, dense_classifier

pytestmark = pytest.mark.quick

SHIFT = 0.1
OPTIONS = {"structure": "kronecker", "labels": "expected", "likelihood": "categorical"}
# Sides are 5 and 5 of the first layer, 6 and 9 of the second, biases with the inputs. From a limit
# to the sides that are beyond it.
BEYOND = {
    6: ([], ["outputs"]),
    5: ([], ["inputs", "outputs"]),
    4: (["inputs", "outputs"], ["inputs", "outputs"]),
}


@pytest.fixture(scope="module")
def model():
    return dense_classifier(9, dtype="float64")


@pytest.fixture(scope="module")
def whole(model):
    return fisher_information(model, POINTS[0].astype(np.float64), **OPTIONS)


@pytest.fixture(scope="module", params=BEYOND)
def limited(request, model):
    x = POINTS[0].astype(np.float64)
    return request.param, fisher_information(model, x, max_side=request.param, **OPTIONS)


def matrix_of(whole, beyond):
    """The matrix itself: a product of the whole factors, diagonal where they are beyond."""
    matrix, start = np.zeros([whole.size, whole.size]), 0
    for block, names in zip(whole.blocks, beyond, strict=True):
        first, second = block.scaled_inputs[0], block.outputs[0]
        first = np.diag(np.diag(first)) if "inputs" in names else first
        second = np.diag(np.diag(second)) if "outputs" in names else second
        end = start + len(first) * len(second)
        matrix[start:end, start:end] = np.kron(first, second)  # a bias stands behind its kernel
        start = end
    assert start == whole.size
    return matrix


def diagonal_sides(result):
    return tuple(row["diagonal"] for row in result.factors().values())


def test_wider_sides_are_diagonal_and_everything_follows(whole, limited):
    max_side, result = limited
    assert diagonal_sides(result) == BEYOND[max_side]
    matrix = matrix_of(whole, BEYOND[max_side])
    rows = np.eye(result.size)
    products = [reference.flat(result.matvec(result.layout.split(row))) for row in rows]
    np.testing.assert_allclose(products, matrix, atol=1e-12)
    np.testing.assert_allclose(reference.flat(result.diagonal()), np.diag(matrix), atol=1e-12)
    values, vectors = np.linalg.eigh(matrix)
    np.testing.assert_allclose(result.eigenvalues(), np.maximum(values, 0)[::-1], atol=1e-12)
    exact = np.linalg.slogdet(matrix + SHIFT * rows)[1]
    assert result.logdet(SHIFT) == pytest.approx(exact, rel=1e-10)
    root = (vectors * np.sqrt(values + SHIFT)) @ vectors.T
    np.testing.assert_allclose(result.power_product(rows, 0.5, SHIFT), root, atol=1e-10)
    # The spectrum as information in weights asks for it: each variable's part of a trace.
    parts = result.spectrum().sums(lambda v: np.log1p(v / SHIFT)[None])[:, 0]
    whole_log = (vectors * np.log1p(np.maximum(values, 0) / SHIFT)) @ vectors.T
    exact = [d.sum() for d in result.layout.split(np.diag(whole_log))]
    np.testing.assert_allclose(parts, exact, atol=1e-10)


def test_traces_of_variables_are_those_of_whole_factors(whole, limited):
    """They are exact in both."""
    for path, row in whole.by_variable().items():
        assert limited[1].by_variable()[path]["trace"] == pytest.approx(row["trace"], rel=1e-10)


def test_files_and_sums_keep_what_is_diagonal(model, whole, limited, tmp_path):
    max_side, result = limited
    result.to_npz(tmp_path / "limited.npz")
    again = FisherInformation.from_npz(tmp_path / "limited.npz")
    assert again.factors() == result.factors()
    assert again.logdet(SHIFT) == pytest.approx(result.logdet(SHIFT))
    # What one of two knows of a side by its diagonal alone, both together know so.
    matrix = matrix_of(whole, BEYOND[max_side])
    for merged in (result + result, result + whole, whole + result):
        assert diagonal_sides(merged) == BEYOND[max_side]
        exact = np.linalg.slogdet(matrix + SHIFT * np.eye(len(matrix)))[1]
        assert merged.logdet(SHIFT) == pytest.approx(exact, rel=1e-10)


def test_a_limit_beyond_every_side_changes_nothing(model, whole):
    again = fisher_information(model, POINTS[0].astype(np.float64), max_side=9, **OPTIONS)
    assert again.logdet(SHIFT) == whole.logdet(SHIFT)


def test_diagonals_over_positions_are_those_of_the_slow_factors():
    x = IMAGES[0].astype(np.float64)
    options = {**OPTIONS, "labels": "empirical"}
    result = fisher_information(classifier("float64"), (x, IMAGES[1]), max_side=2, **options)
    whole = fisher_information(classifier("float64"), (x, IMAGES[1]), **options)
    for mine, its in zip(result.blocks, whole.blocks, strict=True):
        for side, other in ((mine.inputs, its.inputs), (mine.outputs, its.outputs)):
            np.testing.assert_allclose(side, np.diagonal(other, axis1=1, axis2=2), rtol=1e-10)


def test_what_does_not_fit_becomes_diagonal_widest_first():
    """A head of 20,000 classes; the rest keeps its factors."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(20_000)]
    )
    options = {"structure": "kronecker", "likelihood": "categorical", "memory_limit": 2**27}
    plan = fisher_information(model, POINTS[0], **options, dry_run=True)
    assert plan.total_bytes < 2**27
    result = fisher_information(model, POINTS[0], seed=0, **options)
    assert [row["diagonal"] for row in result.factors().values()] == [[], ["outputs"]]
    assert "1 of 4 factors diagonal" in repr(result)
    exact = fisher_information(model, POINTS[0], likelihood="categorical", seed=0)
    assert result.trace() == pytest.approx(exact.trace(), rel=1e-4)
    nats = information_in_weights(model, POINTS[0], beta=0.01, prior_scale=1.0, **options)
    assert np.isfinite(nats.nats)


def test_limits_of_other_structures_are_refused(model):
    with pytest.raises(ValueError, match=r"`max_side` is for.*Received: max_side=3"):
        fisher_information(model, POINTS[0], max_side=3, likelihood="categorical")
    with pytest.raises(ValueError, match="`max_side`"):
        fisher_information(model, POINTS[0], max_side=0, **OPTIONS)
    with pytest.raises(TypeError, match="`max_side`"):
        fisher_information(model, POINTS[0], max_side=2.5, **OPTIONS)

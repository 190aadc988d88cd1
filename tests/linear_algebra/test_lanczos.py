"""Sums over a spectrum by Lanczos quadrature, on matrices whose spectrum is known."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.linear_algebra.lanczos import Quadrature, quadratures
from keras_infobottleneck.linear_algebra.layout import Layout
from keras_infobottleneck.linear_algebra.operator import Operator

pytestmark = pytest.mark.quick

SIZE, RANK, SHIFT = 20_000, 64, 1e-3
# A few sharp directions among very many empty ones, as of a classifier.
VALUES = np.zeros(SIZE, np.float32)
VALUES[:RANK] = 310.0 * np.geomspace(1.0, 1e-4, RANK)


def logarithm(values):
    return np.log1p(np.maximum(values, 0.0) / SHIFT)


EXACT = logarithm(VALUES.astype(np.float64)).sum()


def measures(num_steps, values=VALUES, is_semidefinite=True, dtype=tf.float32, seed=0):
    return quadratures(
        lambda v: v * tf.constant(values, dtype),
        len(values),
        num_probes=4,
        num_steps=num_steps,
        seed=seed,
        dtype=dtype,
        is_semidefinite=is_semidefinite,
    )


@pytest.mark.parametrize("num_steps", [5, 20, 40])
def test_the_bracket_holds_what_each_vector_would_give(num_steps):
    """Signs see all entries of a diagonal matrix alike: the rule's error is all there is."""
    for measure in measures(num_steps, dtype=tf.float64):
        assert measure.is_bracket
        gauss = logarithm(measure.nodes) @ measure.weights
        radau = measure.other.total(logarithm)
        assert radau <= EXACT * (1 + 1e-9)
        assert gauss >= EXACT * (1 - 1e-9)
        assert abs(measure.total(logarithm) - EXACT) <= measure.gap(logarithm) + 1e-9 * EXACT


def test_the_bracket_closes_with_the_steps():
    gaps = [measures(n)[0].gap(logarithm) for n in (10, 20, 40, 80)]
    assert all(b < a for a, b in itertools.pairwise(gaps))
    assert gaps[0] > EXACT / 4, "few steps say little, and it is said"
    assert gaps[-1] < EXACT / 100


@pytest.mark.parametrize("num_steps", [20, pytest.param(60, marks=pytest.mark.slow)])
def test_the_stated_error_of_a_determinant_covers_the_truth(num_steps):
    """In directions of its own, so that vectors differ; 20 steps alone were off by 180 percent."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(2000, RANK)))[0]
    scaled = tf.constant(basis * np.sqrt(VALUES[:RANK]), tf.float32)

    def product(tensors):
        return [tf.linalg.matvec(scaled, tf.linalg.matvec(scaled, tensors[0], transpose_a=True))]

    layout = Layout(("weights",), ((2000,),))
    operator = Operator(layout, product, tf.float32, is_semidefinite=True)
    exact = 2000 * np.log(SHIFT) + EXACT
    found = [operator.logdet(SHIFT, num_probes=8, num_steps=num_steps, seed=s) for s in range(10)]
    assert sum(each.agrees_with(exact, standard_errors=2) for each in found) >= 9
    # And the error is no excuse: with enough steps it is small.
    assert num_steps < 60 or np.mean([e.standard_error for e in found]) < 0.1 * EXACT


def test_exhausted_spaces_need_no_bracket():
    values = np.repeat([0.0, 1.0, 3.0], 10)
    for measure in measures(8, values, dtype=tf.float64):
        assert measure.other is None
        assert measure.total(np.sqrt) == pytest.approx(10 * (1 + np.sqrt(3.0)))


def test_an_indefinite_matrix_keeps_the_change_of_the_last_step():
    values = np.linspace(-1.0, 2.0, 300)
    pairs = [measures(n, values, is_semidefinite=False, dtype=tf.float64) for n in (12, 11)]
    for measure, earlier in zip(*pairs, strict=True):
        assert not measure.is_bracket
        change = abs(measure.total(np.abs) - earlier.total(np.abs))
        assert measure.gap(np.abs) == pytest.approx(change)
        assert measure.total(np.square) == pytest.approx(np.square(values).sum())


def test_traces_are_exact_whatever_the_steps():
    for measure in measures(3):
        assert measure.total(lambda v: v) == pytest.approx(VALUES.sum(), rel=1e-4)
    assert Quadrature.spread(measures(3), lambda v: v).standard_error < 1e-2 * VALUES.sum()

"""Sums over a spectrum by Lanczos quadrature, on matrices whose spectrum is known."""

import itertools
import weakref

import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.linear_algebra.krylov import bytes_with
from keras_infobottleneck.linear_algebra.lanczos import (
    Quadrature,
    largest_eigenvalues,
    quadratures,
)
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


def bytes_of(num_kept, size=SIZE, dtype=tf.float32):
    """A limit under which so many vectors are kept."""
    return bytes_with(num_kept, size * dtype.size)


def measures(num_steps, values=VALUES, is_semidefinite=True, dtype=tf.float32, seed=0, **options):
    return quadratures(
        lambda v: v * tf.constant(values, dtype),
        len(values),
        num_probes=2,  # all see a diagonal matrix alike
        num_steps=num_steps,
        seed=seed,
        dtype=dtype,
        is_semidefinite=is_semidefinite,
        **options,
    )


@pytest.mark.parametrize("dtype", [tf.float64, tf.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("num_steps", "num_kept"), [(5, 40), (20, 0), (40, 0), (40, 10), (40, 40)])
def test_the_bracket_holds_what_each_vector_would_give(num_steps, num_kept, dtype):
    """Signs see all entries of a diagonal matrix alike: the rule's error is all there is.

    However many vectors are kept: eigenvalues found several times over share their weight. In
    float32 rounding moves 20,000 zeros by what a shift of 1e-3 sees.
    """
    options = {"dtype": dtype, "memory_limit": bytes_of(num_kept, dtype=dtype)}
    rounding = (1e-9 if dtype == tf.float64 else 0.02) * EXACT
    for measure in measures(num_steps, **options):
        assert measure.is_bracket
        gauss = logarithm(measure.nodes) @ measure.weights
        radau = measure.other.total(logarithm)
        assert radau <= EXACT + rounding
        assert gauss >= EXACT - rounding
        assert abs(measure.total(logarithm) - EXACT) <= measure.gap(logarithm) + rounding


def test_the_bracket_closes_with_the_steps():
    gaps = [measures(n)[0].gap(logarithm) for n in (10, 20, 40, 80)]
    assert all(b < a for a, b in itertools.pairwise(gaps))
    assert gaps[0] > EXACT / 4, "few steps say little, and it is said"
    assert gaps[-1] < EXACT / 100


def test_vectors_that_are_kept_make_the_same_steps_say_more():
    """Some of them do most of it, and steps make up for them."""
    gaps = {
        (steps, kept): np.mean(
            [m.gap(logarithm) for m in measures(steps, memory_limit=bytes_of(kept))]
        )
        for steps, kept in ((40, 0), (40, 20), (40, 40), (80, 0))
    }
    assert gaps[40, 40] < gaps[40, 20] < gaps[40, 0] / 2
    assert gaps[80, 0] < gaps[40, 0] / 5


def test_without_room_two_vectors_are_held_at_a_time():
    seen, alive = [], []

    def product(vector):
        seen.append(weakref.ref(vector))
        alive.append(sum(reference() is not None for reference in seen))
        return vector * tf.constant(VALUES)

    options = {"num_probes": 2, "num_steps": 12, "seed": 0, "dtype": tf.float32}
    quadratures(product, SIZE, memory_limit=bytes_of(0), **options)
    assert len(seen) == 24
    assert max(alive) <= 3, "the last, this one, and one that goes"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_steps", "num_kept", "num_probes"), [(20, 60, 4), (60, 0, 4), (40, 40, 8)]
)
def test_the_stated_error_of_a_determinant_covers_the_truth(num_steps, num_kept, num_probes):
    """In directions of its own, so that vectors differ; 20 steps alone were off by 180 percent."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(2000, RANK)))[0]
    scaled = tf.constant(basis * np.sqrt(VALUES[:RANK]), tf.float32)

    def product(tensors):
        return [tf.linalg.matvec(scaled, tf.linalg.matvec(scaled, tensors[0], transpose_a=True))]

    layout = Layout(("weights",), ((2000,),))
    limit = bytes_of(num_kept, 2000)
    operator = Operator(layout, product, tf.float32, is_semidefinite=True, memory_limit=limit)
    exact = 2000 * np.log(SHIFT) + EXACT
    options = {"num_probes": num_probes, "num_steps": num_steps}
    found = [operator.logdet(SHIFT, seed=seed, **options) for seed in range(10)]
    assert sum(each.agrees_with(exact, standard_errors=2) for each in found) >= 9
    # And the error is no excuse: with enough steps it is small.
    share = 0.1 if num_kept else 0.2
    assert num_steps < 40 or np.mean([e.standard_error for e in found]) < share * EXACT


def test_rounding_of_zeros_is_in_the_gap_once_a_space_is_exhausted():
    """20,000 weights at 5e-7 instead of 0 would make 10 nats at a shift of 1e-3."""
    for measure in measures(80):
        assert abs(measure.total(logarithm) - EXACT) <= measure.gap(logarithm) + 0.005 * EXACT


def test_exhausted_spaces_need_no_bracket():
    values = np.repeat([0.0, 1.0, 3.0], 10)
    for measure in measures(8, values, dtype=tf.float64):
        assert measure.gap(np.sqrt) < 1e-6
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


def test_eigenvalues_go_on_from_the_products_they_have():
    spent = []

    def product(vector):
        spent.append(1)
        return vector * tf.constant(VALUES, tf.float64)

    options = {"tolerance": 1e-6, "max_steps": 100, "seed": 0, "dtype": tf.float64}
    found = largest_eigenvalues(product, SIZE, 6, **options)
    np.testing.assert_allclose(found, VALUES[:6], rtol=1e-5)
    assert len(spent) < 40, "a start anew would have spent 20 + 40"


@pytest.mark.parametrize("room", [8, 21])
def test_eigenvalues_without_room_for_their_vectors_are_refused(room):
    options = {"tolerance": 1e-12, "max_steps": 100, "seed": 0, "dtype": tf.float32}
    with pytest.raises(ValueError, match=r"6 eigenvalues.*Received: memory_limit="):
        largest_eigenvalues(
            lambda v: v * tf.constant(VALUES), SIZE, 6, memory_limit=bytes_of(room), **options
        )


def test_probes_of_a_trace_without_room_are_refused_with_the_cheaper_method():
    layout = Layout(("weights",), ((SIZE,),))
    product = lambda tensors: [tensors[0] * tf.constant(VALUES)]  # noqa: E731
    operator = Operator(layout, product, tf.float32, True, memory_limit=bytes_of(4))
    with pytest.raises(ValueError, match=r"hutchinson.*Received: memory_limit="):
        operator.trace(num_probes=8)
    assert operator.trace(method="hutchinson").agrees_with(VALUES.sum(), standard_errors=3)

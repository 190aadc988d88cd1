"""What a measurement costs is told before any work, and refused beyond a limit."""

import keras
import numpy as np
import pytest

from keras_infobottleneck.estimators import MemoryEstimate, fisher_information, hessian
from keras_infobottleneck.estimators.fisher import measurement, scores
from tests.support.small_classifiers import POINTS, dense_classifier

pytestmark = pytest.mark.quick

layers = keras.layers
X, Y = POINTS
CLASSES = 20_001


@pytest.fixture(scope="module")
def model():
    return dense_classifier()


@pytest.fixture(scope="module")
def wide():
    """A head of very many classes."""
    return keras.Sequential([keras.Input((4,)), layers.Dense(2), layers.Dense(CLASSES)])


def sequences(classes, width=64):
    return keras.Sequential([keras.Input((3, width)), layers.Dense(classes)])


def words():
    return np.zeros([5, 3, 64], np.float32)


@pytest.mark.parametrize("structure", ["diagonal", "kronecker"])
def test_a_pass_for_each_of_very_many_classes_is_refused_before_any_work(
    wide, structure, monkeypatch
):
    monkeypatch.setattr(scores.Scores, "__init__", None)
    options = {"labels": "expected", "likelihood": "categorical", "structure": structure}
    said = r"20,000 backward passes a batch.*'sampled'.*'implicit'.*Received: pass_limit=10000"
    with pytest.raises(ValueError, match=said):
        fisher_information(wide, X, **options)


def test_positions_count_as_many_passes(capsys):
    options = {"labels": "expected", "likelihood": "categorical"}
    plan = fisher_information(sequences(11), words(), dry_run=True, **options)
    assert plan.backward_passes == 3 * 10
    assert plan.numbers()["backward_passes"] == 30
    assert "30 backward passes a batch" in capsys.readouterr().out
    with pytest.raises(ValueError, match="30 backward passes"):
        fisher_information(sequences(11), words(), pass_limit=29, **options)
    assert fisher_information(sequences(11), words(), pass_limit=30, **options).num_examples == 5


def test_products_are_exact_whatever_the_number_of_classes(wide):
    """`p * (v - p . v)` of the logits, at one pass; the diagonal would take one for each class."""
    result = fisher_information(
        wide, X, structure="implicit", labels="expected", likelihood="categorical"
    )
    shapes, rng = result.layout.shapes, np.random.default_rng(0)
    vector = [np.zeros(shape, np.float32) for shape in shapes]
    vector[-1] = rng.normal(size=CLASSES).astype(np.float32)
    p = np.array(keras.ops.softmax(wide(X)), np.float64)
    moved = p * (vector[-1] - (p @ vector[-1])[:, None])
    np.testing.assert_allclose(result.matvec(vector)[-1], moved.mean(0), rtol=1e-3, atol=1e-8)
    with pytest.raises(ValueError, match="20,000 backward passes"):
        result.diagonal()
    assert result.trace(method="hutchinson", num_probes=2) > 0


def test_a_gradient_of_one_example_counts_where_it_exceeds_a_block():
    """Of a vocabulary over positions; with one position none is formed."""
    options = {"likelihood": "categorical", "dry_run": True}
    narrow, wide = (fisher_information(sequences(n), words(), **options) for n in (7, 80_000))
    logits = measurement.COTANGENT_COPIES * 5 * 3 * 80_000 * 4
    weights = 65 * 80_000 * 4
    formed = wide.working_bytes - weights - logits
    assert formed == 2 * 64 * 80_000 * 4 > narrow.working_bytes
    one = keras.Sequential([keras.Input((64,)), layers.Dense(80_000)])
    plan = fisher_information(one, np.zeros([5, 64], np.float32), **options)
    assert plan.working_bytes < wide.working_bytes - 2**23


@pytest.mark.parametrize("structure", ["diagonal", "implicit"])
def test_seconds_are_estimated_where_asked(model, structure, capsys):
    options = {"likelihood": "categorical", "structure": structure, "batch_size": 4}
    assert fisher_information(model, X, dry_run=True, **options).seconds is None
    plan = fisher_information(model, X, dry_run="timed", **options)
    assert 0 < plan.seconds < 60
    assert "seconds" in capsys.readouterr().out
    assert "seconds" in plan.numbers()


def test_seconds_of_a_product_with_the_hessian_are_estimated_where_asked(model, capsys):
    options = {"likelihood": "categorical", "batch_size": 4}
    assert hessian(model, (X, Y), dry_run=True, **options).seconds is None
    plan = hessian(model, (X, Y), dry_run="timed", **options)
    assert 0 < plan.seconds < 60
    assert "seconds" in capsys.readouterr().out
    with pytest.raises(TypeError, match="`dry_run` must be True or False"):
        hessian(model, (X, Y), dry_run="soon", **options)


def test_what_does_not_fit_is_not_timed(model):
    options = {"likelihood": "categorical", "dry_run": "timed", "memory_limit": 1}
    for plan in (
        fisher_information(model, X, structure="dense", **options),
        hessian(model, (X, Y), **options),
    ):
        assert plan.total_bytes > 1
        assert plan.seconds is None


def test_factors_that_lack_room_are_diagonal_with_a_warning(model):
    options = {"likelihood": "categorical", "structure": "kronecker"}
    need = fisher_information(model, X, dry_run=True, **options).total_bytes
    with pytest.warns(UserWarning, match="Kronecker factors wider than"):
        result = fisher_information(model, X, memory_limit=need, **options)
    assert any(factor["diagonal"] for factor in result.factors().values())


def test_a_timed_plan_of_a_dataset_leaves_it_as_it_was(model):
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    options = {"likelihood": "categorical", "labels": "expected"}
    assert fisher_information(model, data, dry_run="timed", **options).seconds > 0
    assert fisher_information(model, data, **options).num_examples == len(X)


def test_lanczos_and_xtrace_are_in_the_plan(model):
    plan = fisher_information(
        model, X, structure="implicit", likelihood="categorical", dry_run=True
    )
    assert plan.kept_bytes == 32 * 4 * model.count_params()
    assert "for a log-determinant or a trace" in str(plan)
    own = hessian(model, (X, Y), likelihood="categorical", dry_run=True)
    assert isinstance(own, MemoryEstimate)
    assert (own.structure, own.kept_bytes) == ("hessian", plan.kept_bytes)


def test_a_hessian_keeps_to_its_memory(model):
    options = {"likelihood": "categorical"}
    size = 4 * model.count_params()
    with pytest.raises(ValueError, match=r"Hessian.*variables.*Received: memory_limit="):
        hessian(model, (X, Y), memory_limit=5 * size, **options)
    little = hessian(model, (X, Y), memory_limit=6 * size, **options)
    with pytest.raises(ValueError, match=r"hutchinson.*Received: memory_limit="):
        little.trace()
    with pytest.raises(ValueError, match=r"eigenvalues.*Received: memory_limit="):
        little.eigenvalues()
    much = hessian(model, (X, Y), **options)
    # Steps enough for both; three vectors say what a basis says.
    mine, its = (each.logdet(2.0, num_probes=2, num_steps=12) for each in (little, much))
    assert mine == pytest.approx(its, rel=1e-3)


@pytest.mark.parametrize(("name", "value"), [("pass_limit", 0), ("dry_run", "soon")])
def test_what_is_no_limit_and_no_plan_is_refused(model, name, value):
    with pytest.raises((TypeError, ValueError), match=f"`{name}`"):
        fisher_information(model, X, likelihood="categorical", **{name: value})

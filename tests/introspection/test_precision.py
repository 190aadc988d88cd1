"""TensorFloat-32 is off while something is measured, and as it was afterwards."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_infobottleneck as kib
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.introspection.compiled_passes import CompiledSum
from keras_infobottleneck.introspection.contents import precision_of
from keras_infobottleneck.introspection.replicas import full_products

pytestmark = pytest.mark.quick

is_on = tf.config.experimental.tensor_float_32_execution_enabled
X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 3


@pytest.fixture(params=[True, False], ids=["on", "off"])
def before(request):
    was = is_on()
    tf.config.experimental.enable_tensor_float_32_execution(request.param)
    yield request.param
    tf.config.experimental.enable_tensor_float_32_execution(was)


def test_products_are_full_inside_and_the_switch_is_put_back(before):
    with full_products():
        with full_products():
            assert not is_on()
        assert not is_on()
    assert is_on() == before
    with pytest.raises(KeyError), full_products():
        raise KeyError
    assert is_on() == before


def test_the_last_of_several_threads_puts_it_back(before):
    inside, leave = threading.Barrier(2), threading.Event()

    def other():
        with full_products():
            inside.wait(10)
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    with full_products():
        inside.wait(10)
    assert not is_on()  # the other thread still measures
    leave.set()
    thread.join()
    assert is_on() == before


def test_every_pass_over_data_runs_without_it(before):
    seen = []

    def of_batch(batch):
        def look(x):
            seen.append(is_on())
            return x

        return tf.reduce_sum(tf.numpy_function(look, [batch.x], tf.float32))

    CompiledSum(of_batch).over(Batches(X, 4, needs_labels=False))
    assert seen == [False] * 3
    assert is_on() == before


def network(policy):
    head = keras.layers.Dense(3, dtype=policy)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "tanh", dtype=policy), head])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize(
    ("policy", "said"), [("float32", "float32"), ("mixed_bfloat16", "bfloat16")]
)
def test_results_say_in_which_precision_they_were_computed(policy, said, tmp_path):
    model = network(policy)
    assert precision_of(model) == said
    fisher = kib.estimators.fisher_information(model, X, seed=0)
    hessian = kib.estimators.hessian(model, (X, Y))
    more = kib.estimators.fisher_information(model, X, seed=1)
    for result in (fisher, fisher + more, hessian, hessian + hessian):
        assert result.precision == said
        assert ("precision" in repr(result)) == (said != "float32")
    assert fisher.to_dict()["precision"] == said
    fisher.to_npz(tmp_path / "fisher")
    assert kib.estimators.FisherInformation.from_npz(tmp_path / "fisher").precision == said


def test_two_precisions_are_both_said():
    first, second = (
        kib.estimators.fisher_information(network(policy), X, seed=seed)
        for seed, policy in enumerate(("float32", "mixed_bfloat16"))
    )
    names = {"layout": first.layout}
    together = first + type(second)(**{**vars(second), **names})
    assert together.precision == "float32 and bfloat16"

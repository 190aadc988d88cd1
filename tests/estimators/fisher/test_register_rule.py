"""Rules for a user's own layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_infobottleneck.estimators import (
    DirectGradient,
    KernelRule,
    LayerRule,
    fisher_information,
    hessian,
    register_rule,
)
from keras_infobottleneck.estimators.fisher.rules import example_loop, rule
from tests.support import reference_fisher as reference

layers = keras.layers


class Mixing(keras.layers.Layer):
    """Mixes channels at every position, and scales them: a kernel and a vector of weights."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.mixer = self.add_weight(shape=(shape[-1], self.units), name="mixer")
        self.offset = self.add_weight(shape=(self.units,), name="offset")

    def call(self, inputs):
        return keras.ops.tanh(keras.ops.matmul(inputs, self.mixer) + self.offset)


class MixingRule(LayerRule):
    """Written out by hand, from the output behind the activation."""

    def variables(self):
        return [self.layer.mixer, self.layer.offset]

    def run(self, call, inputs, args, kwargs):
        mixer, offset = (tf.stop_gradient(v.value) for v in self.variables())
        outputs = tf.tensordot(inputs, mixer, 1) + offset
        return rule.Call(inputs, outputs), outputs

    def finish(self, outputs):
        return tf.tanh(outputs)

    def gradients(self, calls):
        mixer, offset = self.variables()
        return [
            DirectGradient(mixer, calls, gradient=lambda x, g: tf.einsum("bti,bto->bio", x, g)),
            DirectGradient(offset, calls, gradient=lambda _, g: tf.reduce_sum(g, 1)),
        ]


class Transforming(keras.layers.Layer):
    """A kernel under another name."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(shape[-1], 3), name="weight")

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.weight)


class TransformingRule(KernelRule):
    activation_name = None
    bias = None

    @property
    def kernel(self):
        return self.layer.weight


@pytest.fixture(autouse=True)
def own_rules():
    """Rules of one test only."""
    kept = dict(rule._RULES)
    yield
    rule._RULES.clear()
    rule._RULES.update(kept)


def network(*parts, dtype="float32"):
    keras.utils.set_random_seed(1)
    with_dtype = [
        keras.Input((4, 3), dtype=dtype),
        *(part(dtype) for part in parts),
        layers.Flatten(dtype=dtype),
        layers.Dense(3, dtype=dtype),
    ]
    return keras.Sequential(with_dtype)


X = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
OPTIONS = {"labels": "expected", "likelihood": "categorical", "batch_size": 4}


@pytest.mark.parametrize(
    ("part", "layer", "rule_class"),
    [
        (lambda dtype: Mixing(2, dtype=dtype), Mixing, MixingRule),
        (lambda dtype: Transforming(dtype=dtype), Transforming, TransformingRule),
    ],
)
def test_a_rule_gives_what_the_dense_reference_gives(part, layer, rule_class, monkeypatch):
    register_rule(layer, rule_class)
    exact_model = network(part, dtype="float64")
    scores, p = reference.class_scores(exact_model, X.astype(np.float64))
    exact = reference.categorical_fisher(scores, p)
    model = network(part)
    model.set_weights(exact_model.get_weights())
    monkeypatch.setattr(example_loop.ExampleLoop, "__init__", None)  # no example runs alone
    dense = fisher_information(model, X, structure="dense", **OPTIONS)
    assert reference.relative_error(dense.matrix, exact) < 1e-5
    for structure in ("diagonal", "kronecker"):
        result = fisher_information(model, X, structure=structure, **OPTIONS)
        assert result.trace() == pytest.approx(np.trace(exact), rel=1e-5)
    vector = np.random.default_rng(2).normal(size=dense.size)
    implicit = fisher_information(model, X, structure="implicit", **OPTIONS)
    product = reference.flat(implicit.matvec(implicit.layout.split(vector)))
    assert reference.relative_error(product, exact @ vector) < 1e-5


def test_a_rule_serves_the_hessian():
    register_rule(Transforming, TransformingRule)
    model, y = network(lambda dtype: Transforming(dtype=dtype), dtype="float64"), np.arange(6) % 3

    def loss(logits):
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        return tf.reduce_mean(losses)

    x = X.astype(np.float64)
    exact = reference.hessian(model, model.trainable_variables, x, loss)
    result = hessian(model, (x, y), likelihood="categorical")
    vector = np.random.default_rng(2).normal(size=result.size)
    product = reference.flat(result.matvec(result.layout.split(vector)))
    assert reference.relative_error(product, exact @ vector) < 1e-10


class WrongSize(MixingRule):
    """Forgets one position."""

    def gradients(self, calls):
        mixer, offset = self.variables()
        forgetful = lambda x, g: tf.einsum("bti,bto->bio", x[:, 1:], g[:, 1:])  # noqa: E731
        summed = lambda _, g: tf.reduce_sum(g, 1)  # noqa: E731
        return [
            DirectGradient(mixer, calls, gradient=forgetful),
            DirectGradient(offset, calls, gradient=summed),
        ]


class WrongOutputs(MixingRule):
    """Leaves the activation out."""

    def finish(self, outputs):
        return outputs


class NotLinear(KernelRule):
    """Says of a layer behind an activation that it is linear."""

    activation_name = None

    @property
    def kernel(self):
        return self.layer.mixer

    @property
    def bias(self):
        return self.layer.offset


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (WrongSize, "a gradient of .*mixer"),
        (WrongOutputs, "outputs equal to the layer's own"),
        (NotLinear, "a gradient of .*mixer"),
    ],
)
def test_a_wrong_rule_is_noticed_and_a_right_one_then_taken(wrong, words):
    model = network(lambda dtype: Mixing(2, dtype=dtype))
    register_rule(Mixing, wrong)
    with pytest.raises(ValueError, match=f"{words}.*Received: rule {wrong.__name__} of layer"):
        fisher_information(model, X, **OPTIONS)
    register_rule(Mixing, MixingRule)
    by_rule = fisher_information(model, X, **OPTIONS).trace()
    del rule._RULES[Mixing]
    assert by_rule == pytest.approx(fisher_information(model, X, **OPTIONS).trace(), rel=1e-5)


def test_what_is_no_layer_or_no_rule_is_refused():
    with pytest.raises(TypeError, match="`layer_class` must be a subclass"):
        register_rule(Mixing(2), MixingRule)
    with pytest.raises(TypeError, match="`rule_class` must be a subclass"):
        register_rule(Mixing, Mixing)

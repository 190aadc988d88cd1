"""One name for each weight: all results of a model in which two layers have one path join on it."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_infobottleneck as kib
from keras_infobottleneck.introspection.contents import all_layers, layer_names, weight_names

X = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")
Y = np.arange(24) % 5
LOGITS = {"labels": "expected", "likelihood": "categorical"}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def part(wrap, num_inputs, num_units):
    """A model of its own whose layer is called as that of any other part."""
    x = keras.Input((num_inputs,))
    inner = keras.Sequential([wrap(layers.Dense(num_units, name="fc"))], name="inner")
    return keras.Model(x, inner(x))


def network(wrap=lambda layer: layer):
    """Two parts and an output layer in a model that sits in another."""
    keras.utils.set_random_seed(0)
    x = keras.Input((6,))
    y = part(wrap, 8, 7)(part(wrap, 6, 8)(x))
    whole = keras.Model(x, wrap(layers.Dense(5, name="output"))(y))
    # Through the layers of a layer, Keras' own walk goes backwards.
    return keras.Sequential([keras.Input((6,)), whole])


@pytest.fixture(scope="module")
def model():
    model = network()
    model.compile(loss=LOSS)
    return model


@pytest.fixture(scope="module")
def names(model):
    """Names of all weights, in order."""
    return weight_names(model, model.weights)


def test_the_second_weight_of_a_path_has_its_number(model, names):
    paths = [weight.path for weight in model.weights]
    assert paths[:2] == paths[2:4]
    assert list(names) == [*paths[:2], *(f"{path} #2" for path in paths[:2]), *paths[4:]]


def test_a_layer_has_the_number_of_its_weights(model, names):
    owners = [layer for layer in all_layers(model) if isinstance(layer, layers.Dense)]
    for layer, name in zip(owners, layer_names(model, owners), strict=True):
        (kernel,) = weight_names(model, [layer.kernel])
        path, _, number = name.partition(" #")
        assert kernel == f"{path}/kernel" + (f" #{number}" if number else "")


def test_weights_asked_for_alone_have_the_same_name(model, names):
    whole = kib.estimators.fisher_information(model, X, **LOGITS)
    assert whole.variables == names
    for weight, name in zip(model.weights, names, strict=True):
        alone = kib.estimators.fisher_information(model, X, variables=[weight], **LOGITS)
        assert alone.variables == (name,)
        assert alone.trace() == pytest.approx(whole.by_variable()[name]["trace"], rel=1e-5)


def test_every_result_has_these_names(model, names):
    kernels = [name for name in names if name.split(" ")[0].endswith("kernel")]
    fisher = kib.estimators.fisher_information(model, X, **LOGITS)
    hessian = kib.estimators.hessian(model, (X, Y), likelihood="categorical")
    assert hessian.variables == names
    held = kib.estimators.information_in_weights(model, fisher, beta=0.1)
    assert tuple(held.by_variable) == names
    by_variable = "optimal_by_variable"
    held = kib.estimators.information_in_weights(model, fisher, beta=0.1, prior_scale=by_variable)
    assert tuple(held.prior_scale) == names
    complexity = kib.estimators.quantized_complexity(model)
    assert [*complexity.by_layer] == [*complexity.shapes] == kernels
    skipped = {*complexity.skipped}
    assert skipped == set(names) - set(kernels)
    assert {*kib.estimators.weight_compression(model).skipped} == skipped


def test_readings_of_an_audit_have_these_names(model, names):
    report = kib.audit(model, (X, Y), include=("fisher", "weights", "complexity"))
    places = {reading.where for reading in report.readings if "/" in reading.where}
    assert places == set(names)


def test_what_a_trained_posterior_pays_has_the_names_of_its_layers():
    bottleneck = kib.InformationBottleneckModel(
        network(lambda layer: kib.layers.VariationalWeights(layer, name=layer.name)),
        num_examples=24,
    )
    noisy = bottleneck.variational_layers
    table = bottleneck.weight_information(by_layer=True)
    assert list(table) == list(layer_names(bottleneck.network, noisy))
    assert sorted(" #" in name for name in table) == [False, False, True]
    for name, layer in zip(table, noisy, strict=True):
        assert table[name] == float(layer.kl_divergence())
        names = weight_names(bottleneck, layer.layer.weights)
        assert {n.endswith(" #2") for n in names} == {name.endswith(" #2")}
    unanchored = bottleneck.unanchored_weights
    assert set(unanchored) <= set(weight_names(bottleneck, bottleneck.weights))
    assert len(set(unanchored)) == len(unanchored)
    assert sum(name.endswith("bias #2") for name in unanchored) == 1

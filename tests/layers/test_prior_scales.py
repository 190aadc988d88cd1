"""Scales on a grid: the best of all of them, at the price of telling which."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_infobottleneck as kib
from keras_infobottleneck.layers.prior_scales import chosen_scales, nats_of_rank

RANDOM = np.random.default_rng(0)
GRID = [10.0 * math.exp(-j / 16) for j in range(512)]


def price(rank):
    return 2 * math.log(rank + 1) + math.log(math.pi**2 / 6)


def divergence(loc, scale, prior_scale):
    """To a normal around zero, entry by entry, in float64."""
    loc, scale = np.float64(loc), np.float64(scale)
    ratio = (scale**2 + loc**2) / prior_scale**2
    return float(np.sum(0.5 * (ratio - 1) - np.log(scale / prior_scale)))


def layer_with(prior_scale, units=3, **options):
    wrapped = kib.layers.VariationalWeights(
        layers.Dense(units), prior_scale=prior_scale, seed=0, **options
    )
    wrapped.build((None, 5))
    wrapped.layer.kernel.assign(RANDOM.normal(size=(5, units)) * [0.01, 0.3, 4.0][:units])
    return wrapped


def parameters(layer):
    """Means and scales of the kernel."""
    (distribution,) = layer.posterior().values()
    return distribution.loc.numpy(), distribution.scale.numpy()


@pytest.mark.quick
def test_the_probabilities_of_all_ranks_sum_to_one():
    ranks = np.arange(2_000_000)
    total = np.exp(-nats_of_rank(ranks).numpy().astype("float64")).sum()
    assert total == pytest.approx(1 - 6 / math.pi**2 / 2e6, abs=1e-6)


def test_one_scale_is_the_best_of_the_grid_and_paid_for():
    layer = layer_with("grid")
    loc, scale = parameters(layer)
    costs = [divergence(loc, scale, s) + price(j) for j, s in enumerate(GRID)]
    assert float(layer.kl_divergence()) == pytest.approx(min(costs), rel=1e-5)
    (prior,) = layer.prior().values()
    np.testing.assert_allclose(prior.scale, GRID[int(np.argmin(costs))], rtol=1e-5)
    nats, nats_of_scales = layer.code_length()
    assert float(nats_of_scales) == pytest.approx(price(int(np.argmin(costs))), rel=1e-5)
    assert float(nats) + float(nats_of_scales) == pytest.approx(min(costs), rel=1e-5)


def test_one_scale_for_each_unit_is_the_best_of_all_steps_from_the_tensors():
    layer = layer_with("grid_per_unit")
    loc, scale = parameters(layer)
    costs = [divergence(loc, scale, s) + price(j) for j, s in enumerate(GRID)]
    start = int(np.argmin(costs))
    total = price(start)
    for unit in range(3):
        column = loc[:, unit], scale[:, unit]
        total += min(
            divergence(*column, GRID[start + d]) + price(2 * abs(d) - (d > 0))
            for d in range(-64, 65)
            if 0 <= start + d < 512
        )
    assert float(layer.kl_divergence()) == pytest.approx(total, rel=1e-5)
    assert total < min(costs)  # these units differ
    (prior,) = layer.prior().values()
    assert len(np.unique(prior.scale)) > 1
    assert prior.scale.shape == (5, 3)


def test_it_costs_the_price_and_the_rounding_more_than_the_free_scale():
    layer = layer_with(None)
    free = float(layer.kl_divergence())
    nats, nats_of_scales = layer.code_length()
    paid = float(nats) + float(nats_of_scales)
    assert free <= float(nats) < free + 15 / 1024 + 1e-3  # half a step, for each of 15 weights
    layer.prior_scale = "grid"
    assert float(layer.kl_divergence()) == pytest.approx(paid, rel=1e-6)


def test_a_bias_has_one_scale_in_either_form():
    layer = layer_with("grid_per_unit", variational_bias=True)
    bias = [p for name, p in layer.prior().items() if name.endswith("bias")]
    assert len(np.unique(bias[0].scale)) == 1


def test_scales_that_are_chosen_pass_no_gradient_and_the_divergence_that_of_a_fixed_prior():
    layer = layer_with("grid")
    (prior,) = layer.prior().values()
    fixed = layer_with(float(prior.scale[0, 0]))
    fixed.layer.kernel.assign(layer.layer.kernel)
    gradients = []
    for each in (layer, fixed):
        with tf.GradientTape() as tape:
            kl = each.kl_divergence()
        gradients.append(tape.gradient(kl, [w.value for w in each.trainable_weights[:1]])[0])
    np.testing.assert_allclose(*gradients, rtol=1e-5)
    compiled = tf.function(lambda *pair: chosen_scales(*pair, True).nats, jit_compile=True)
    pair = (tf.ones([4, 3]), tf.zeros([4, 3]))
    assert float(compiled(*pair)) == float(chosen_scales(*pair, True).nats)


def test_it_trains_and_survives_the_file(tmp_path):
    network = keras.Sequential([keras.Input((5,)), layers.Dense(4, "relu"), layers.Dense(2)])
    options = {"variational_bias": True, "prior_scale": "grid_per_unit", "seed": 0}
    model = kib.make_variational(network, num_examples=40, verbose=0, **options)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = RANDOM.normal(size=(40, 5)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    model.fit(x, y, epochs=2, verbose=0)
    assert all(layer.prior_is_fixed for layer in model.variational_layers)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.weight_information()) == float(model.weight_information())
    # No example is held out: all of them trained, and none is needed for the prior.
    found = kib.estimators.certify(loaded, (x, y), num_samples=2, seed=0)
    assert found.kl == pytest.approx(float(model.weight_information()), rel=1e-5)
    assert found.test_set_bound is None
    assert "no example was held out" in repr(found)


def test_scales_on_a_grid_are_of_gaussian_posteriors():
    with pytest.raises(ValueError, match=r"`prior_scale` belongs to posterior=.*Received"):
        kib.layers.VariationalWeights(layers.Dense(2), posterior="log_normal", prior_scale="grid")

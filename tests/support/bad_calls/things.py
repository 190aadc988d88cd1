"""Small objects that good arguments are made of."""

import functools
import types

import keras
import numpy as np

import keras_infobottleneck as kib
from tests.support.bad_calls.bad_values import NAN


@functools.cache
def things():
    """Small objects that good arguments are made of."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 4), np.float32), rng.integers(0, 3, 12)
    layers = [keras.layers.Dense(3, "relu", name="hidden"), keras.layers.Dense(3, name="out")]
    net = keras.Sequential([keras.Input((4,)), *layers])
    net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    normalised = [keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    options = {"labels": "expected"}
    of = functools.partial(kib.estimators.fisher_information, net, (x, y), **options)
    bits = rng.integers(0, 2, (12, 5)).astype("float32")
    machine = kib.models.RestrictedBoltzmannMachine(3, seed=0)
    machine.build((None, 5))
    network = kib.models.DeepBeliefNetwork([3, 2], seed=0)
    network.build((None, 5))
    broken = keras.models.clone_model(net)
    broken.set_weights([w * NAN for w in net.get_weights()])
    return types.SimpleNamespace(
        x=x,
        data=(x, y),
        net=net,
        broken=broken,
        normalised=keras.Sequential([keras.Input((4,)), *normalised]),
        noisy=kib.make_variational(net, num_examples=12, verbose=0, prior_scale=0.3),
        paid=kib.make_variational(net, num_examples=12, verbose=0, variational_bias=True),
        fisher=of(),
        kronecker=of(structure="kronecker"),
        dense=of(structure="dense"),
        gram=of(structure="gram"),
        implicit=of(structure="implicit"),
        hessian=kib.estimators.hessian(net, (x, y)),
        tensors=[np.ones(v.shape, np.float32) for v in net.trainable_variables],
        bits=bits,
        machine=machine,
        network=network,
        bottleneck=kib.layers.GaussianBottleneck(3, 0.1),
        dropout=kib.layers.InformationDropout(keras.layers.Dense(3, "relu"), 0.1),
        schedule=kib.callbacks.BetaSchedule(keras.Variable(1.0)),
        report=kib.audit(net, (x, y), include=("weights",)),
        null=kib.estimators.relevance_null(bits.astype(int), num_draws=2),
    )

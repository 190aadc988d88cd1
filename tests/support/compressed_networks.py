"""Small networks to be compressed, with posteriors as training leaves them, in an instant."""

import keras
import numpy as np

import keras_infobottleneck as kib

V = kib.layers.VariationalWeights


def spread_out(model, seed=0, kept=0.25):
    """Give every posterior some weights that know something and many that know nothing."""
    rng = np.random.default_rng(seed)
    for layer in model.variational_layers:
        pairs = zip(layer.variational_weights, layer.noise_weights, strict=True)
        for weight, spread in pairs:
            shape = tuple(weight.shape)
            knows = rng.random(shape) < kept
            scale = np.where(knows, np.exp(rng.uniform(np.log(0.1), 0.0, shape)), 0.99)
            mean = np.where(knows, np.sqrt(1.0 - scale**2) * rng.normal(size=shape), 0.0)
            weight.assign(0.3 * mean)
            spread.assign(np.log(0.3 * scale))
    return model


def perceptron(posterior="gaussian", units=24, num_examples=1000):
    """A held perceptron: everything in it but the biases has a posterior."""
    network = keras.Sequential(
        [
            keras.Input([10]),
            V(keras.layers.Dense(units, activation="relu"), posterior=posterior, name="first"),
            V(keras.layers.Dense(4), posterior=posterior, name="second"),
        ]
    )
    return kib.InformationBottleneckModel(network, num_examples=num_examples)


def residual():
    """A functional network of many kinds of weights, without noise."""
    inputs = keras.Input([8, 8, 2])
    x = keras.layers.Normalization(mean=[0.5, 0.1], variance=[2.0, 1.0])(inputs)
    x = keras.layers.Conv2D(4, 3, padding="same")(x)
    y = keras.layers.BatchNormalization()(x)
    x = keras.layers.Add()([x, y]) * 0.5
    x = keras.layers.Dropout(0.2)(keras.layers.Flatten()(x))
    outputs = keras.layers.Dense(3, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(1)
    model.set_weights([np.abs(w + 0.1 * rng.normal(size=w.shape)) for w in model.get_weights()])
    return model


def trained_perceptron(epochs=40, num_examples=400):
    """A perceptron that has learned, at the full price, to tell four clouds of points apart."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=num_examples)
    x = (rng.normal(size=(4, 10))[y] + rng.normal(size=(num_examples, 10))).astype("float32")
    model = perceptron(num_examples=num_examples)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.weight_beta = 0.01
    model.fit(x, y, batch_size=50, epochs=epochs // 2, verbose=0)
    model.weight_beta = 1.0
    model.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
    return model, x, y

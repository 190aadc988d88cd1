"""Measure the Fisher information of a transformer by layer, and check that it is right.

The Fisher matrix F says how much the predictions change when the weights change: for a small step
dw the divergence of the new predictions from the old is dw' F dw / 2 nats. Its trace, weight by
weight, shows where a network is sensitive; a product with F costs about as much as a gradient.

A small transformer reads the rows of an image as tokens. The script first checks F: it compares
the divergence measured after random steps with the prediction of F; for small steps their ratio is
1. Then it prints the trace by part of the network, in total and per weight: a part may have many
weights on which the predictions hardly depend. Expected: 1.00 for steps up to a hundredth of the
weights, about 2 for a tenth, where the quadratic no longer holds; more than half of the trace in
the embedding, which has 3 % of the weights. Run time: half a minute.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, script

FLAGS = flags.FLAGS
script.define_flags("outputs/fisher_of_a_transformer")
flags.DEFINE_integer("epochs", 30, "Epochs.", 1)
flags.DEFINE_integer("num_measured", 300, "Images over which F is a mean.", 1)
STEPS = (1e-3, 1e-2, 1e-1)  # length of a step, relative to the weights


def run():
    """Train, take steps, compare; then the trace by part."""
    images = datasets.load(path=FLAGS.data)
    size = 100 if FLAGS.smoke else len(images.x_train)
    x = images.x_train[:size].reshape(size, images.x_train.shape[1], -1)  # [images, tokens, pixels]
    keras.utils.set_random_seed(FLAGS.seed)
    model = transformer(x.shape[1:], images.num_classes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    epochs = 1 if FLAGS.smoke else FLAGS.epochs
    model.fit(x, images.y_train[:size], batch_size=50, epochs=epochs, verbose=0)
    measured = x[: min(FLAGS.num_measured, size)]

    operator = kib.estimators.fisher_information(
        model, measured, structure="implicit", labels="expected"
    )
    ratios = {
        f"{length:g}": measured_over_predicted(model, measured, operator, length)
        for length in STEPS
    }
    fisher = kib.estimators.fisher_information(model, measured, labels="expected")
    by_part = {}
    for path, row in fisher.by_variable().items():
        part = by_part.setdefault(path.split("/")[-2], {"trace": 0.0, "weights": 0})
        part["trace"] += row["trace"]
        part["weights"] += row["size"]
    print(f"{'part':>14} {'weights':>8} {'trace':>9} {'a weight':>9}")
    for name, part in by_part.items():
        print(
            f"{name:>14} {part['weights']:8d} {part['trace']:9.3g} "
            f"{part['trace'] / part['weights']:9.2g}"
        )
    largest = max(by_part, key=lambda name: by_part[name]["trace"])
    total = float(fisher.trace())
    script.finish(
        "divergence measured over dw' F dw / 2: "
        + ", ".join(f"{ratio:.3f} at steps of {length}" for length, ratio in ratios.items())
        + f"; trace {total:.3g}, {by_part[largest]['trace'] / total:.0%} of it in {largest}, which "
        f"has {by_part[largest]['weights'] / fisher.size:.0%} of the weights",
        ratio_by_step=ratios,
        trace=total,
        by_part=by_part,
    )


def transformer(shape, num_classes) -> keras.Model:
    """Places, one block of attention, one of a perceptron, the mean over tokens, logits."""
    inputs = keras.Input(shape)
    tokens, width = shape[0], 32
    x = keras.layers.Dense(width, name="embedding")(inputs)
    places = keras.layers.Embedding(tokens, width, name="places")
    x = x + places(keras.ops.arange(tokens))[None]
    attention = keras.layers.MultiHeadAttention(4, width // 4, name="attention")
    x = keras.layers.LayerNormalization(name="norm_1")(x + attention(x, x))
    hidden = keras.layers.Dense(2 * width, activation="relu", name="hidden")(x)
    x = keras.layers.LayerNormalization(name="norm_2")(
        x + keras.layers.Dense(width, name="back")(hidden)
    )
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="logits")(x))


def measured_over_predicted(model, x, operator, length) -> float:
    """Divergence of predictions after a random step, over what F says of that step."""
    random = np.random.default_rng(FLAGS.seed)
    weights = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    step = [random.standard_normal(w.shape) for w in weights]
    sizes = [np.sqrt(sum(np.sum(np.square(a)) for a in arrays)) for arrays in (weights, step)]
    step = [(length * sizes[0] / sizes[1] * s).astype("float32") for s in step]
    predicted = sum(np.sum(s * f) for s, f in zip(step, operator.matvec(step), strict=True)) / 2
    before = log_probabilities(model, x)
    for variable, weight, s in zip(model.trainable_weights, weights, step, strict=True):
        variable.assign(weight + s)
    after = log_probabilities(model, x)
    for variable, weight in zip(model.trainable_weights, weights, strict=True):
        variable.assign(weight)
    return float(np.sum(np.exp(before) * (before - after)) / len(x) / predicted)


def log_probabilities(model, x) -> np.ndarray:
    """Of all classes, in float64: small divergences are small differences."""
    logits = keras.ops.convert_to_numpy(model(x)).astype("float64")
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


if __name__ == "__main__":
    script.main(run)

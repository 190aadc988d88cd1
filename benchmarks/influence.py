"""How well influence tells what networks trained on other subsets say: ours beside `kronfluence`.

The linear datamodelling score (Park et al., 2023, arXiv 2303.14186): many networks are trained,
each on half of the examples, and the loss of a test example under them is compared with the sum of
the influences of the examples they were trained on. The score is the rank correlation over the
subsets, in the mean over test examples. The influences are those of one network trained on all, by
the inverse of the Fisher matrix plus the weight decay that all of them were trained with: ours in
every structure, those of `kronfluence` (Grosse et al., 2023, arXiv 2308.03296) on the same weights
with the same damping, and, the least that should be beaten, the product of the gradients. "Ceiling"
is the correlation of the networks with others of the same subsets, from other initial weights.

  python benchmarks/influence.py --peers_python /path/to/python

Run time on one core: ten minutes.
"""

import json
import os
import subprocess
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from scipy.stats import rankdata
from sklearn.datasets import load_digits

from keras_infobottleneck import estimators

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "NPZ file with x_train, y_train; digits by default.")
flags.DEFINE_integer("num_examples", 800, "For training; a tenth gets another label.", 20)
flags.DEFINE_integer("num_test", 100, "Test examples.", 1)
flags.DEFINE_integer("num_units", 32, "Of the hidden layer.", 1)
flags.DEFINE_integer("num_subsets", 100, "Subsets of half of the training examples.", 3)
flags.DEFINE_integer("repeats", 3, "Trainings on each subset, from other initial weights.", 1)
flags.DEFINE_integer("steps", 1500, "Steps of every training, on the whole subset.", 1)
flags.DEFINE_float("decay", 1e-3, "Weight decay: half the squared norm of the weights times this.")
flags.DEFINE_string("peers_python", None, "A Python with torch and kronfluence.")
flags.DEFINE_string("output", None, "A JSON file for the results.")

STRUCTURES = ("diagonal", "kronecker", "gram", "dense")
NUM_CLASSES = 10
RATE = 0.01  # of Adam at the start; it falls to zero as a cosine


def examples():
    """Training and test set, with a tenth of the training labels replaced."""
    if FLAGS.data:
        with np.load(FLAGS.data, allow_pickle=False) as archive:
            x, y = archive["x_train"], archive["y_train"].reshape(-1)
        x = x.reshape(len(x), -1) / 255
    else:
        x, y = load_digits(return_X_y=True)
        x = x / 16
    random = np.random.default_rng(0)
    rows = random.permutation(len(x))[: FLAGS.num_examples + FLAGS.num_test]
    x, y = x[rows].astype("float32"), y[rows].astype("int64")
    wrong = np.arange(len(y)) < FLAGS.num_examples // 10
    y = np.where(wrong, (y + random.integers(1, NUM_CLASSES, len(y))) % NUM_CLASSES, y)
    split = FLAGS.num_examples
    return (x[:split], y[:split]), (x[split:], y[split:])


def networks_trained_on(members, train, seed):
    """Perceptrons, one for each row of `members` `[networks, examples]`, trained side by side.

    Returns:
        Kernel and bias of both layers, each `[networks, ...]`.
    """
    x, y = (tf.constant(part) for part in train)
    count, width = len(members), FLAGS.num_units
    sizes = [(x.shape[1], width), (width, NUM_CLASSES)]
    random = np.random.default_rng(seed)
    weights = []
    for size in sizes:
        limit = np.sqrt(6 / sum(size))
        weights.append(tf.Variable(random.uniform(-limit, limit, (count, *size)).astype("float32")))
        weights.append(tf.Variable(tf.zeros((count, 1, size[1]))))
    share = tf.constant((members / members.sum(1, keepdims=True)).astype("float32"))
    labels = tf.tile(y[None], [count, 1])
    schedule = keras.optimizers.schedules.CosineDecay(RATE, FLAGS.steps)
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(weights)

    @tf.function(jit_compile=True)
    def step():
        with tf.GradientTape() as tape:
            hidden = tf.nn.relu(tf.einsum("nd,mdh->mnh", x, weights[0]) + weights[1])
            logits = hidden @ weights[2] + weights[3]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            norm = tf.add_n([tf.reduce_sum(tf.square(w)) for w in weights])
            loss = tf.reduce_sum(share * losses) + 0.5 * FLAGS.decay * norm
        gradients = tape.gradient(loss, weights)
        optimizer.apply(gradients, weights)

    for _ in range(FLAGS.steps):
        step()
    return [weight.numpy() for weight in weights]


def losses_of(weights, data):
    """Loss of every network on every example, `[networks, examples]`, in nats."""
    x, y = data
    logits = np.maximum(x @ weights[0] + weights[1], 0) @ weights[2] + weights[3]
    logits = logits - logits.max(-1, keepdims=True)
    log_shares = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -log_shares[:, np.arange(len(y)), y]


def as_keras(weights):
    """The first network as a Keras model."""
    inputs = keras.Input((weights[0].shape[1],))
    hidden = keras.layers.Dense(FLAGS.num_units, activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(NUM_CLASSES)(hidden))
    model.set_weights([weight[0].reshape(weight[0].shape[-2:]).squeeze() for weight in weights])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def ours(model, train, test, structure):
    """Influence of every training example on every test example's loss, `[test, examples]`."""
    count = len(train[0])
    options = {"labels": "expected", "structure": structure}
    fisher = estimators.fisher_information(model, train, **options)
    code = {"fisher": fisher, "beta": 1 / count, "prior_scale": (count * FLAGS.decay) ** -0.5}
    return np.stack(
        [
            estimators.posterior_influence(model, train, (x[None], y[None]), **code).influences
            for x, y in zip(*test, strict=True)
        ]
    )


def gradient_products(model, train, test):
    """Minus the product of the two gradients, `[test, examples]`."""

    def gradients(data):
        with tf.GradientTape() as tape:
            logits = model(data[0])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(data[1], logits)
        parts = tape.jacobian(losses, model.trainable_variables)
        return np.concatenate([part.numpy().reshape(len(data[0]), -1) for part in parts], axis=1)

    return -gradients(test) @ gradients(train).T / len(train[0])


def peers(weights, train, test):
    """What kronfluence gives, from its own process: method to `[test, examples]`, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        task, answer = os.path.join(folder, "task.npz"), os.path.join(folder, "answer.npz")
        parts = {f"weight_{i}": weight[0] for i, weight in enumerate(weights)}
        named = {"x": train[0], "y": train[1], "x_test": test[0], "y_test": test[1]}
        np.savez(task, decay=FLAGS.decay, **named, **parts)
        script = os.path.join(os.path.dirname(__file__), "influence_peers.py")
        subprocess.run([FLAGS.peers_python, script, task, answer], check=True)
        with np.load(answer, allow_pickle=False) as archive:
            found = {key: archive[key] for key in archive.files}
    seconds = {key[8:]: float(found.pop(key)) for key in list(found) if key.startswith("seconds ")}
    return found, seconds


def rank_correlations(one, other):
    """Of each column over the rows."""
    one, other = (rankdata(each, axis=0) for each in (one, other))
    one, other = (each - each.mean(0) for each in (one, other))
    return (one * other).sum(0) / np.sqrt((one**2).sum(0) * (other**2).sum(0))


def score(predicted, measured):
    """Mean over test examples, and its standard error over them."""
    found = rank_correlations(predicted, measured)
    return {"score": float(found.mean()), "error": float(found.std() / np.sqrt(len(found)))}


def main(_):
    """Trains, measures, compares."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    train, test = examples()
    count = len(train[0])
    random = np.random.default_rng(1)
    members = np.zeros((FLAGS.num_subsets, count))
    for row in members:
        row[random.permutation(count)[: count // 2]] = 1
    measured = [
        losses_of(networks_trained_on(members, train, 10 + repeat), test)
        for repeat in range(FLAGS.repeats + 1)
    ]
    measured, again = np.mean(measured[:-1], axis=0), measured[-1]
    weights = networks_trained_on(np.ones((1, count)), train, 2)
    model = as_keras(weights)
    found, seconds = {"gradient products": gradient_products(model, train, test)}, {}
    for structure in STRUCTURES:
        start = time.perf_counter()
        found[f"ours, {structure}"] = ours(model, train, test, structure)
        seconds[f"ours, {structure}"] = time.perf_counter() - start
    if FLAGS.peers_python:
        theirs, theirs_seconds = peers(weights, train, test)
        found, seconds = {**found, **theirs}, {**seconds, **theirs_seconds}
    scores = {name: score(members @ each.T, measured) for name, each in found.items()}
    scores["ceiling"] = score(again, measured)
    for name, row in scores.items():
        row |= {"seconds": seconds[name]} if name in seconds else {}
        took = f"  {row['seconds']:6.1f} s" if "seconds" in row else ""
        print(f"{name:36s} {row['score']:.3f} ± {row['error']:.3f}{took}")
    names = ("data", "num_examples", "num_test", "num_units", "num_subsets", "repeats", "steps")
    settings = {name: FLAGS[name].value for name in (*names, "decay")}
    settings["data"] = os.path.basename(FLAGS.data) if FLAGS.data else "digits"
    error = float(np.mean(np.argmax(model.predict(test[0], verbose=0), 1) != test[1]))
    if FLAGS.output:
        with open(FLAGS.output, "w") as file:
            json.dump({**settings, "test_error": error, "scores": scores}, file, indent=2)


if __name__ == "__main__":
    app.run(main)

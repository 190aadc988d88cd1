"""What is left of examples that a network was to forget, by five ways to forget them.

A perceptron learns images of MNIST (`--data`; scikit-learn's digits by default), and is then to
forget all examples of one class, or a hundred at random. It is scrubbed by `kib.forget`, by a full
step and by a damped one, trained further on the rest (fine-tuning), trained up the gradient of what
is to be forgotten and down that of the rest (negative gradient), and, for comparison, trained anew
without them. Of each network: accuracy on test images (of the classes that it is to keep); accuracy
on what was forgotten and on unseen images of the same kind, which would be equal if nothing were
left; the area under the ROC curve of telling the two by their losses; the steps of Adam with all
that was forgotten until its loss is at most 1.1 times what it was (relearn time); the nats that
could be read if noise of the price of `kib.forget` were added, by the quadratic estimate with each
network's own Fisher matrix; and seconds. The refusals of `kib.forget` are switched off by a large
tolerance.

Prints a line for each and writes a JSON file, in which finished runs are kept: the same command
goes on where it was. Run time: about a minute of one core for each seed and task.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from kept_runs import open_report

import keras_infobottleneck as kib
from keras_infobottleneck.forgetting.membership import membership_attack

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "NPZ file with x_train, y_train, x_test, y_test; else digits")
flags.DEFINE_integer("num_examples", 5000, "training examples, at most", 100)
flags.DEFINE_integer("num_units", 64, "of the hidden layer", 2)
flags.DEFINE_integer("epochs", 200, "of each training", 1)
flags.DEFINE_float("price", 1e-7, "of the noise of `kib.forget`", 0)
flags.DEFINE_float("shift", 0.03, "of the Fisher matrix, for the damped step and the ruler", 0)
flags.DEFINE_multi_enum("task", ["class", "examples"], ["class", "examples"], "what is forgotten")
flags.DEFINE_integer("seeds", 3, "repeats of each task", 1)
flags.DEFINE_string("output_dir", "outputs/benchmarks", "where the JSON file is written")
flags.DEFINE_bool("smoke", False, "one seed, few examples and epochs")

DECAY = 1e-3  # weight_decay / 2 |w|^2 beside the mean loss
FORGOTTEN_CLASS, NUM_FORGOTTEN = 3, 100
FURTHER_EPOCHS = 5  # of fine-tuning and of the negative gradient
MOST_STEPS = 300  # of relearning
NO_NOISE = 1e-30  # a price so small that nothing is added


def images():
    """Training and test images `[examples, pixels]` in [0, 1] with their labels."""
    if FLAGS.data is None:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(x))
        x, y, first = x[order], y[order], 1000
        parts = x[:first], y[:first], x[first:], y[first:]
    else:
        with np.load(FLAGS.data) as arrays:
            parts = [arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    top = float(np.max(parts[0]))
    inputs = [p.reshape(len(p), -1).astype("float32") / top for p in parts[::2]]
    labels = [p.reshape(-1).astype(int) for p in parts[1::2]]
    return inputs[0], labels[0], inputs[1], labels[1]


def network(num_inputs):
    """A perceptron with weight decay, compiled."""
    penalty = {"kernel_regularizer": keras.regularizers.L2(DECAY / 2)}
    penalty["bias_regularizer"] = keras.regularizers.L2(DECAY / 2)
    layers = [keras.Input((num_inputs,))]
    layers += [keras.layers.Dense(FLAGS.num_units, activation="tanh", **penalty)]
    model = keras.Sequential([*layers, keras.layers.Dense(10, **penalty)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    return model


def trained(data, epochs, seed, start=None, rate=3e-3):
    """A network, from the start or from another one's weights, that learned the data."""
    keras.utils.set_random_seed(seed)
    model = network(data[0].shape[1])
    if start is not None:
        model.set_weights(start.get_weights())
    steps = epochs * -(-len(data[0]) // 100)
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model.compile(keras.optimizers.Adam(schedule), model.loss)
    model.fit(*data, batch_size=100, epochs=epochs, verbose=0)
    return model


def driven_apart(start, forget, retain, seed):
    """The network after steps up the loss of what is forgotten and down that of the rest.

    They end where the forgotten examples are as surprising as all classes alike, log 10 nats, or
    after as many epochs as fine-tuning has.
    """
    keras.utils.set_random_seed(seed)
    model = network(retain[0].shape[1])
    model.set_weights(start.get_weights())
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            lost = tf.reduce_mean(model.loss(forget[1], model(forget[0])))
            kept = tf.reduce_mean(model.loss(y, model(x)))
            total = kept - lost + tf.add_n(model.losses)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(total, variables), variables)
        return lost

    batches = tf.data.Dataset.from_tensor_slices(retain).shuffle(len(retain[0]), seed=seed)
    for x, y in batches.batch(100, drop_remainder=True).repeat(FURTHER_EPOCHS):
        if float(step(x, y)) > np.log(10):
            break
    return model


def losses(model, data):
    """Nats for each example."""
    logits = tf.constant(model.predict(data[0], batch_size=1000, verbose=0))
    return tf.nn.sparse_softmax_cross_entropy_with_logits(data[1], logits).numpy()


def accuracy(model, data):
    """Share of right answers."""
    answers = model.predict(data[0], batch_size=1000, verbose=0).argmax(1)
    return float(np.mean(answers == data[1]))


def steps_to_relearn(start, forget, goal):
    """Steps of Adam with all of these examples until their mean loss is the goal, or None."""
    model = network(forget[0].shape[1])
    model.set_weights(start.get_weights())
    for step in range(MOST_STEPS + 1):
        if np.mean(losses(model, forget)) <= goal:
            return step
        model.train_on_batch(*forget)
    return None


def one_run(parts, task, seed):
    """All ways to forget, of one network."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(parts[0]))[: FLAGS.num_examples]
    x, y = parts[0][order], parts[1][order]
    if task == "class":
        lost, alike = y == FORGOTTEN_CLASS, parts[3] == FORGOTTEN_CLASS
        test = tuple(part[~alike] for part in parts[2:])
    else:
        lost = np.isin(np.arange(len(y)), random.permutation(len(y))[:NUM_FORGOTTEN])
        alike, test = np.ones(len(parts[3]), bool), parts[2:]
    forget, retain = (x[lost], y[lost]), (x[~lost], y[~lost])
    unseen = parts[2][alike], parts[3][alike]
    whole = trained((x, y), FLAGS.epochs, seed)
    goal = float(np.mean(losses(whole, forget))) * 1.1
    options = {"structure": "kronecker", "labels": "expected", "tolerance": 1e9}
    options |= {"weight_decay": DECAY, "seed": seed}

    def scrubbed(shift, price=FLAGS.price):
        return kib.forget(whole, forget, retain, shift=shift, price=price, **options)[0]

    ways = {
        "as it was": lambda: whole,
        "kib.forget": lambda: scrubbed(0.0),
        "kib.forget, damped": lambda: scrubbed(FLAGS.shift),
        "fine-tuning": lambda: trained(retain, FURTHER_EPOCHS, seed, whole, 1e-3),
        "negative gradient": lambda: driven_apart(whole, forget, retain, seed),
        "trained anew": lambda: trained(retain, FLAGS.epochs, seed + 1000),
    }
    rows = {}
    for name, way in ways.items():
        start = time.perf_counter()
        model = way()
        seconds = time.perf_counter() - start
        # Of the centre of what `kib.forget` draws: its noise is the ruler, not a distance.
        shift = {"kib.forget": 0.0, "kib.forget, damped": FLAGS.shift}.get(name)
        centre = model if shift is None else scrubbed(shift, NO_NOISE)
        ruler = {"shift": FLAGS.shift, "price": FLAGS.price, **options}
        nats = kib.forget(centre, forget, retain, **ruler)[1].nats_before
        attack = membership_attack(losses(model, forget), losses(model, unseen))
        rows[name] = {
            "test accuracy": accuracy(model, test),
            "forgotten": accuracy(model, forget),
            "unseen": accuracy(model, unseen),
            "attack": float(attack),
            "attack, standard error": attack.standard_error,
            "relearn steps": steps_to_relearn(model, forget, goal),
            "nats": nats,
            "seconds": seconds,
        }
    return rows


def main(argv):
    """Measure all tasks."""
    del argv
    if FLAGS.smoke:
        FLAGS.num_examples, FLAGS.epochs, FLAGS.seeds = 300, 20, 1
    parts = images()
    names = ("num_examples", "num_units", "epochs", "price", "shift")
    data = FLAGS.data and os.path.basename(FLAGS.data)
    settings = {**{name: FLAGS[name].value for name in names}, "data": data}
    report, write = open_report(FLAGS.output_dir, "forgetting.json", settings)
    for task in FLAGS.task:
        runs = report["runs"].setdefault(task, [])
        for seed in range(len(runs), FLAGS.seeds):
            runs.append(one_run(parts, task, seed))
            write()
        for name in runs[0]:
            cells = []
            for key in runs[0][name]:
                values = [run[name][key] for run in runs]
                ever = None not in values
                cells.append(f"{key} {np.mean(values):.3g}" if ever else f"{key} not in every run")
            print(f"{task}, {name}: " + ", ".join(cells))
    print(f"RESULT {sum(map(len, report['runs'].values()))} runs -> {FLAGS.output_dir}")


if __name__ == "__main__":
    app.run(main)

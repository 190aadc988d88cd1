"""Compare eight methods of training through wrong labels, tuned without any clean labels.

A share of the labels is replaced at random. A fifth of the examples, whose labels are as often
wrong as the rest, is held out for tuning: for every method, the one of four strengths with the best
accuracy on the held-out labels, at the last epoch and again over all epochs (early stopping).
Labels that are known to be right are used only for the test. All methods use a perceptron with the
same layers: plain; with binary dropout; with weight decay (Loshchilov & Hutter, 2019);
with smoothed labels; with the generalised cross-entropy (Zhang & Sabuncu, 2018); two networks that
select examples of small loss for each other (co-teaching, Han et al., 2018; the share left out
rises over the first tenth of the epochs); with Information Dropout, with softplus units instead of
relu; and with a price on the information in its weights, which rises over half of the epochs.

Expected on the digits of scikit-learn, the default: at the last epoch co-teaching and the price on
weights are ahead of all others; with early stopping, most methods lie within two points.

The script prints a line for each method: test accuracy at the last epoch and with early stopping,
the share of wrong labels that was learned, and the lead of the price on weights, paired over seeds.

Run time on one core: half an hour, on 5,000 images of MNIST or CIFAR-10 (`--data`) somewhat more.
If it is killed and started again, it continues where it was.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import matplotlib
import numpy as np
from absl import flags
from keras import ops

import keras_infobottleneck as kib
from reproduction.frame import datasets, experiment, script
from reproduction.frame.verdicts import said, spread

matplotlib.use("Agg")

import matplotlib.pyplot as plt

FLAGS = flags.FLAGS
script.define_flags("outputs/training_through_wrong_labels", resume=True)
flags.DEFINE_integer("seeds", None, "Repeats of every network; default 5.", 1)

STRENGTHS = {
    "plain": [0.0],
    "dropout": [0.2, 0.4, 0.6, 0.8],  # rate
    "weight decay": [0.1, 0.3, 1.0, 3.0],  # times the learning rate, a step
    "smoothed labels": [0.2, 0.4, 0.6, 0.8],  # share of a label given to all classes
    "generalised cross-entropy": [0.3, 0.5, 0.7, 0.9],  # q
    "co-teaching": [0.2, 0.3, 0.4, 0.5],  # share of a batch that is left out
    "Information Dropout": [0.3, 1.0, 3.0, 10.0],  # beta times the number of examples
    "paying for weights": [0.01, 0.03, 0.1, 0.3],  # weight_beta
}
DEFAULT = {
    "label_noise": 0.4,
    "num_examples": 5000,  # at most, with those held out
    "num_test": 5000,  # at most
    "updates": 2400,  # about, as in the quickstart
    "batch_size": 100,
    "units": [128, 128],
    "strengths": STRENGTHS,
    "seeds": 5,
}
SMOKE = {
    "num_examples": 100,
    "num_test": 100,
    "updates": 2,
    "units": [8],
    "strengths": {name: values[:1] for name, values in STRENGTHS.items()},
    "seeds": 1,
}
OURS = "paying for weights"
RISE = {OURS: 0.5, "co-teaching": 0.1}  # share of the epochs over which the strength is reached


def run():
    """Train every network with every seed, choose, print, draw."""
    settings = experiment.read_settings(DEFAULT, SMOKE, seeds=FLAGS.seeds)
    images = datasets.load(path=FLAGS.data)
    runs = experiment.Experiment(FLAGS.output_dir, settings)
    rows = []
    for seed in range(settings["seed"], settings["seed"] + settings["seeds"]):
        parts = split(images, settings, seed)
        for method, strengths in settings["strengths"].items():
            for strength in strengths:
                name = f"{method.replace(' ', '_')}-{strength:g}-{seed}"
                history = runs.run(name, trained, method, strength, parts, settings, seed)
                rows.append({"method": method, "strength": strength, "seed": seed, **history})
    found = {method: chosen(rows, method) for method in settings["strengths"]}
    draw(found, settings, runs.folder / "figure.png")
    for method, each in found.items():
        ahead = ", ".join(percent(ahead_of(found, method, when)) for when in ("last", "early"))
        print(
            f"{method:>26}: test accuracy {percent(each['last']['test'])} at the last epoch, "
            f"{percent(each['early']['test'])} stopped early; wrong labels learned "
            f"{percent(each['last']['wrong'])}, {percent(each['early']['wrong'])}; {OURS} is "
            f"ahead by {ahead}"
        )
    ours = found[OURS]
    script.finish(
        f"{OURS}: test accuracy {percent(ours['last']['test'])} at the last epoch, "
        f"{percent(ours['early']['test'])} stopped early",
        settings=runs.settings,
        **runs.minutes(),
        methods=found,
    )


def split(images, settings, seed) -> dict[str, tuple]:
    """Examples to train on, held out, to test, and those of the first whose labels are wrong."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(images.x_train))[: settings["num_examples"]]
    x, y = images.x_train[order], images.y_train[order]
    wrong = random.random(len(y)) < settings["label_noise"]
    shift = random.integers(1, images.num_classes, len(y))
    given = np.where(wrong, (y + shift) % images.num_classes, y)
    held = len(y) // 5
    last = settings["num_test"]
    return {
        "train": (x[held:], given[held:]),
        "held_out": (x[:held], given[:held]),
        "test": (images.x_test[:last], images.y_test[:last]),
        "wrong": (x[held:][wrong[held:]], given[held:][wrong[held:]]),
    }


def trained(method, strength, parts, settings, seed) -> dict[str, list[float]]:
    """Accuracy on every part after every epoch of one network."""
    keras.utils.set_random_seed(seed)
    x, y = parts["train"]
    num_classes = int(y.max()) + 1
    model = build(method, strength, x.shape[1:], settings["units"], num_classes, len(x))
    batch_size = settings["batch_size"]
    epochs = round(settings["updates"] / -(-len(x) // batch_size))
    decay = strength if method == "weight decay" else 0.0
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=decay)
    model.compile(optimizer, loss_of(method, strength))
    watch = Watch(parts)
    callbacks = [watch]
    if method in RISE:
        price = model.weight_beta if method == OURS else model.left_out
        rise = max(1, int(RISE[method] * epochs))
        callbacks.append(kib.callbacks.BetaSchedule(price, stop=strength, num_epochs=rise))
    model.fit(x, y, batch_size=batch_size, epochs=epochs, callbacks=callbacks, verbose=0)
    return watch.accuracies


def build(method, strength, shape, units, num_classes, num_examples) -> keras.Model:
    """The perceptron, with what a method adds to it."""

    def perceptron():
        x = inputs = keras.Input(shape)
        x = keras.layers.Flatten()(x)
        for width in units:
            if method == "Information Dropout":
                layer = keras.layers.Dense(width, activation="softplus")
                beta = strength / num_examples
                x = kib.layers.InformationDropout(layer, beta, prior="log_normal")(x)
            else:
                x = keras.layers.Dense(width, activation="relu")(x)
            if method == "dropout":
                x = keras.layers.Dropout(strength)(x)
        return keras.Model(inputs, keras.layers.Dense(num_classes)(x))

    if method == "co-teaching":
        return CoTeaching(perceptron(), perceptron())
    if method == OURS:
        options = {"num_examples": num_examples, "weight_beta": strength, "verbose": 0}
        return kib.make_variational(perceptron(), **options)
    return perceptron()


def loss_of(method, strength):
    """Nats for each example of a batch, from labels and logits."""

    def crossentropy(labels, logits):
        return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)

    def smoothed(labels, logits):
        everywhere = -ops.mean(ops.log_softmax(logits), axis=-1)
        return (1.0 - strength) * crossentropy(labels, logits) + strength * everywhere

    def generalised(labels, logits):
        return (1.0 - ops.exp(-strength * crossentropy(labels, logits))) / strength

    losses = {"smoothed labels": smoothed, "generalised cross-entropy": generalised}
    return losses.get(method, crossentropy)


class CoTeaching(keras.Model):
    """Two networks; each learns the examples of a batch of which the other has the smaller loss."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second
        self.left_out = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x, training=False):
        """Logits of the first, which is tested."""
        return self.first(x, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean of both losses over the examples that the other one would keep."""
        losses = [
            ops.sparse_categorical_crossentropy(y, logits, from_logits=True)
            for logits in (y_pred, self.second(x, training=training))
        ]
        size = ops.shape(losses[0])[0]
        kept = ops.cast(ops.ceil((1.0 - self.left_out) * ops.cast(size, "float32")), "int32")
        total = 0.0
        for own, other in (losses, losses[::-1]):
            is_small = ops.cast(ops.argsort(ops.argsort(other)) < kept, own.dtype)
            total += ops.sum(own * ops.stop_gradient(is_small)) / ops.cast(kept, own.dtype)
        return total


class Watch(keras.callbacks.Callback):
    """Accuracy on parts of the data after every epoch."""

    def __init__(self, parts):
        super().__init__()
        self.parts = {name: parts[name] for name in ("held_out", "test", "wrong")}
        self.accuracies = {name: [] for name in self.parts}

    def on_epoch_end(self, epoch, logs=None):
        """Answer every part, without noise."""
        for name, (x, y) in self.parts.items():
            answers = self.model.predict_on_batch(x).argmax(-1) if len(y) else y
            self.accuracies[name].append(float(np.mean(answers == y)) if len(y) else 0.0)


def chosen(rows, method) -> dict:
    """For each seed the strength, and the epoch, at which most held-out labels are answered."""
    found = {
        when: {"strength": [], "epoch": [], "test": [], "wrong": []} for when in ("last", "early")
    }
    for seed in sorted({row["seed"] for row in rows}):
        own = [row for row in rows if (row["method"], row["seed"]) == (method, seed)]
        epochs = range(len(own[0]["test"]))
        for when, which in (("last", epochs[-1:]), ("early", epochs)):
            pairs = [(row, epoch) for row in own for epoch in which]
            row, epoch = max(pairs, key=lambda pair: pair[0]["held_out"][pair[1]])
            values = row["strength"], epoch + 1, row["test"][epoch], row["wrong"][epoch]
            for key, value in zip(found[when], values, strict=True):
                found[when][key].append(value)
    return found


def ahead_of(found, method, when) -> np.ndarray:
    """How far paying for weights is ahead of a method, seed by seed."""
    return np.subtract(found[OURS][when]["test"], found[method][when]["test"])


def percent(values) -> str:
    """Mean and standard error over seeds."""
    return said(spread(values), ".1%")


def draw(found, settings, path):
    """Test accuracy by method: at the last epoch, and stopped early."""
    figure, axis = plt.subplots(figsize=(8, 4.2))
    methods = list(found)[::-1]
    for when, style, label in (("last", "o", "at the last epoch"), ("early", "D", "stopped early")):
        tests = np.array([found[method][when]["test"] for method in methods])
        error = [spread(each)["standard_error"] or 0.0 for each in tests]
        axis.errorbar(
            tests.mean(1), range(len(methods)), xerr=error, fmt=style, capsize=3, label=label
        )
    axis.set_yticks(range(len(methods)), methods)
    axis.set_xlabel("right on the test set")
    axis.xaxis.set_major_formatter("{x:.0%}")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", alpha=0.3)
    axis.legend(frameon=False)
    title = f"{settings['label_noise']:.0%} of the labels are wrong, those to choose by too"
    axis.set_title(title, fontweight="bold", loc="left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    script.main(run)

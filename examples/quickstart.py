"""Train through wrong labels: a network with a price on information does not memorise them.

Claim: with 40 % of the training labels replaced at random, a plain network learns them all by
heart and errs on the test set; the same network with little information in its weights cannot, and
predicts well ("Emergence of Invariance and Disentanglement", Achille & Soatto, 2018, section 6).
Expected: the plain network memorises nearly all wrong labels; with the default weight_beta it
memorises hardly any and gains some 25 points on the test set. Far below the transition it behaves
like the plain network; above it, it learns nothing at all.

Run time: about a minute. If it is killed and started again, it continues where it was.
"""

import functools
import math
import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import matplotlib
import numpy as np
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, experiment, script, training

matplotlib.use("Agg")

import matplotlib.pyplot as plt

FLAGS = flags.FLAGS
script.define_flags("outputs/quickstart", resume=True)
flags.DEFINE_enum(
    "dataset", "digits", ["digits", "mnist", "fashion_mnist", "cifar10"], "Images if no --data."
)
flags.DEFINE_float("label_noise", 0.4, "Share of training labels replaced at random.", 0.0, 1.0)
flags.DEFINE_integer("epochs", 200, "Epochs for each network.", 1)
flags.DEFINE_float("weight_beta", 0.1, "Price of a nat in the weights, near the transition.", 0.0)
flags.DEFINE_integer("batch_size", 100, "Examples in a step.", 1)
flags.register_validator("label_noise", math.isfinite, "must be finite")
flags.register_validator("weight_beta", lambda beta: 0 < beta < math.inf, "must be positive")

HIDDEN_UNITS = (128, 128)
BELOW, ABOVE = 1e-3, 10.0  # the other two prices, relative to weight_beta
ACTIVATION_BETA = 3.0  # price of a nat in the activations, times the number of training examples
WARM_UP = 0.5  # share of the epochs over which the price rises: first learn, then forget
SIGNAL_TO_NOISE = 0.5  # weights under this are pruned


def run():
    """Train all networks, print the table, write results."""
    images = datasets.load(FLAGS.dataset, FLAGS.data)
    if FLAGS.smoke:
        images = images._replace(x_train=images.x_train[:200], y_train=images.y_train[:200])
    random = np.random.default_rng(FLAGS.seed)
    replaced = random.random(len(images.y_train)) < FLAGS.label_noise
    shift = random.integers(1, images.num_classes, len(images.y_train))
    wrong = np.where(replaced, (images.y_train + shift) % images.num_classes, images.y_train)
    names = "dataset", "data", "label_noise", "epochs", "weight_beta", "batch_size", "seed", "smoke"
    runs = experiment.Experiment(FLAGS.output_dir, {name: FLAGS[name].value for name in names})
    rows = {}
    for name, build in networks(images).items():
        arguments = runs, name, build, images, wrong.astype("int32"), replaced
        rows[name] = runs.run(name, train, *arguments)
    report(runs, rows)


def networks(images) -> dict:
    """Functions that build the networks to compare, by name."""
    beta = FLAGS.weight_beta
    variational = functools.partial(build_variational, images)
    return {
        "plain": functools.partial(build_plain, images, "none"),
        "dropout": functools.partial(build_plain, images, "dropout"),
        "information_dropout": functools.partial(build_plain, images, "information"),
        f"weight_beta={beta * BELOW:g}": functools.partial(variational, beta * BELOW),
        f"weight_beta={beta:g}": functools.partial(variational, beta),
        f"weight_beta={beta * ABOVE:g}": functools.partial(variational, beta * ABOVE),
    }


def build_plain(images, noise):
    """A perceptron without noise, with binary dropout, or with Information Dropout."""
    x = inputs = keras.Input(images.x_train.shape[1:])
    x = keras.layers.Flatten()(x)
    for units in HIDDEN_UNITS:
        if noise == "information":
            layer = keras.layers.Dense(units, activation="softplus")
            beta = ACTIVATION_BETA / len(images.x_train)
            layer = kib.layers.InformationDropout(layer, beta, prior="log_normal")
        else:
            layer = keras.layers.Dense(units, activation="relu")
        x = layer(x)
        if noise == "dropout":
            x = keras.layers.Dropout(0.5)(x)
    return keras.Model(inputs, keras.layers.Dense(images.num_classes)(x))


def build_variational(images, weight_beta):
    """The same perceptron, its weights drawn from a distribution that must pay."""
    return kib.make_variational(
        build_plain(images, "none"),
        num_examples=len(images.x_train),
        weight_beta=weight_beta,
        verbose=0,
    )


def train(runs, name, build, images, labels, replaced):
    """Train one network, from where it was, save it and measure it."""
    keras.utils.set_random_seed(FLAGS.seed)
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    epochs = 3 if FLAGS.smoke else FLAGS.epochs
    callbacks = [Watch(images, labels, replaced)]
    if isinstance(model, kib.InformationBottleneckModel):
        warm_up = kib.callbacks.BetaSchedule(
            model.weight_beta, stop=float(model.weight_beta), num_epochs=int(WARM_UP * epochs)
        )
        callbacks.append(warm_up)
    history = training.train(
        model,
        images.x_train,
        labels,
        epochs=epochs,
        batch_size=FLAGS.batch_size,
        seed=FLAGS.seed,
        checkpoint=runs.checkpoint(name),
        callbacks=callbacks,
    )
    model.save(runs.folder / f"{name}.keras")
    weights = [weight for layer in model.layers for weight in layer.weights]
    row = {
        "test_accuracy": history["test_accuracy"][-1],
        "memorised": history["memorised"][-1],
        "weight_nats_per_example": None,
        "activation_nats_per_example": None,
        "kept_after_pruning": None,
        "accuracy_after_pruning": None,
        "num_parameters": int(sum(np.prod(weight.shape) for weight in weights)),
        "history": history,
    }
    logs = model.evaluate(images.x_test, images.y_test, verbose=0, return_dict=True)
    activations = [v for k, v in logs.items() if k.startswith("information_dropout")]
    if activations:
        row["activation_nats_per_example"] = sum(activations)
    if isinstance(model, kib.InformationBottleneckModel):
        ratios = [r for layer in model.variational_layers for r in layer.signal_to_noise().values()]
        ratios = np.concatenate([np.ravel(ratio) for ratio in ratios])
        pruned = kib.make_deterministic(model, prune_below=SIGNAL_TO_NOISE)
        predictions = pruned.predict(images.x_test, verbose=0).argmax(-1)
        row["weight_nats_per_example"] = float(model.weight_information()) / len(labels)
        row["kept_after_pruning"] = float(np.mean(ratios >= SIGNAL_TO_NOISE))
        row["accuracy_after_pruning"] = float(np.mean(predictions == images.y_test))
        row["num_parameters"] = pruned.count_params()
    return row


class Watch(keras.callbacks.Callback):
    """Adds to the logs what this example is about."""

    def __init__(self, images, labels, replaced):
        super().__init__()
        self.images = images
        self.wrong = images.x_train[replaced], labels[replaced]

    def on_epoch_end(self, epoch, logs):
        """Accuracy on the test set, and on wrong labels."""
        logs["test_accuracy"] = self.share_right(self.images.x_test, self.images.y_test)
        logs["memorised"] = self.share_right(*self.wrong) if len(self.wrong[0]) else 0.0

    def share_right(self, x, y):
        """Share of examples that get the label given."""
        return np.mean(self.model.predict_on_batch(x).argmax(-1) == y)


def report(runs, rows):
    """The table, the figure, the files."""
    best = max(rows, key=lambda name: rows[name]["test_accuracy"])
    runs.write("result.json", {"best": best, "networks": rows})
    shutil.copy(runs.folder / f"{best}.keras", runs.folder / "best.keras")
    model = keras.models.load_model(runs.folder / "best.keras")
    model.export(runs.folder / "best_savedmodel", verbose=False)
    draw(rows, runs.folder / "figure.png")

    columns = {
        "test accuracy": ("test_accuracy", "{:.1%}"),
        "wrong labels memorised": ("memorised", "{:.1%}"),
        "nats/example in weights": ("weight_nats_per_example", "{:.2f}"),
        "in activations": ("activation_nats_per_example", "{:.1f}"),
        "weights kept": ("kept_after_pruning", "{:.1%}"),
        "accuracy then": ("accuracy_after_pruning", "{:.1%}"),
    }
    print(f"\n{'network':>22}  " + "  ".join(columns))
    for name, row in rows.items():
        cells = [
            ("-" if row[key] is None else style.format(row[key])).rjust(len(title))
            for title, (key, style) in columns.items()
        ]
        print(f"{name:>22}  " + "  ".join(cells))
    print(
        f"\nBest on the test set: {best} ({rows[best]['test_accuracy']:.1%}, plain network "
        f"{rows['plain']['test_accuracy']:.1%}). Written to {FLAGS.output_dir}: result.json, "
        "figure.png, every network as .keras, best_savedmodel."
    )


def draw(rows, path):
    """Two panels over epochs: what is learned, and what is learned by heart."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharex=True, sharey=True)
    titles = {
        "test_accuracy": "right on the test set",
        "memorised": "wrong training labels learned by heart",
    }
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        for index, (name, row) in enumerate(rows.items()):
            values = row["history"][key]
            epochs = range(1, len(values) + 1)
            axis.plot(epochs, values, color=f"C{index}", label=name, linewidth=1.8)
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.set_ylim(0, 1.02)
        axis.spines[["top", "right"]].set_visible(False)
        axis.yaxis.set_major_formatter("{x:.0%}")
    axes[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(f"{FLAGS.label_noise:.0%} of the training labels are wrong", fontweight="bold")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    script.main(run)

"""A network that must pay for information does not memorise wrong labels.

Claim: with 40 % of the training labels replaced at random, a plain network learns them all by
heart and is wrong on the test set; the same network with little information in its weights cannot,
and is right ("Emergence of Invariance and Disentanglement", Achille & Soatto, 2018, section 6).
Expected: the plain network memorises nearly all wrong labels; at the weight_beta of the default it
memorises hardly any and gains some 25 points on the test set. Far below the transition it behaves
like the plain network; above, it learns nothing at all.

Run time: about two minutes on two cores. Killed and started again, it goes on where it was.
"""

import functools
import json
import math
import os
import shutil
import sys

from absl import app, flags, logging

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "dataset", "digits", ["digits", "mnist", "fashion_mnist", "cifar10"], "Images to learn."
)
flags.DEFINE_string("data", None, "An .npz file with x_train, y_train, x_test, y_test, instead.")
flags.DEFINE_float("label_noise", 0.4, "Share of training labels replaced at random.", 0.0, 1.0)
flags.DEFINE_integer("epochs", 200, "Epochs for each network.", 1)
flags.DEFINE_float("weight_beta", 0.1, "Price of a nat in the weights, near the transition.", 0.0)
flags.DEFINE_integer("batch_size", 100, "Examples in a step.", 1)
flags.DEFINE_integer("seed", 0, "Seed of labels, weights and noise.", 0)
flags.DEFINE_string("output_dir", "outputs/quickstart", "Where results are written.")
flags.DEFINE_bool("resume", True, "Go on with what output_dir holds; --noresume starts over.")
flags.register_validator("label_noise", math.isfinite, "must be finite")
flags.register_validator("weight_beta", lambda beta: 0 < beta < math.inf, "must be positive")
flags.DEFINE_bool("smoke", False, "A run of seconds, to see that everything works.")

HIDDEN_UNITS = (128, 128)
BELOW, ABOVE = 1e-3, 10.0  # the other two prices, relative to weight_beta
ACTIVATION_BETA = 3.0  # price of a nat in the activations, times the number of training examples
WARM_UP = 0.5  # share of the epochs over which the price rises: first learn, then forget
SIGNAL_TO_NOISE = 0.5  # weights under this are pruned


def main(argv):
    """Train all networks, print the table, write results."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"quickstart.py: takes flags only. Received: {argv[1:]}")
    try:
        run()
    except ValueError as error:
        sys.exit(f"quickstart.py: {error}")


def run():
    """The main job."""
    import datasets
    import numpy as np

    images = datasets.load(FLAGS.dataset, FLAGS.data)
    if FLAGS.smoke:
        images = images._replace(x_train=images.x_train[:200], y_train=images.y_train[:200])
    random = np.random.default_rng(FLAGS.seed)
    replaced = random.random(len(images.y_train)) < FLAGS.label_noise
    shift = random.integers(1, images.num_classes, len(images.y_train))
    wrong = np.where(replaced, (images.y_train + shift) % images.num_classes, images.y_train)
    _open_output_dir()

    rows = {}
    for name, build in networks(images).items():
        rows[name] = _train(name, build, images, wrong.astype("int32"), replaced)
    _report(rows)


def networks(images) -> dict:
    """Functions that build the networks to compare, by name."""
    beta = FLAGS.weight_beta
    variational = functools.partial(build_variational, images)
    return {
        "plain": functools.partial(build_plain, images, "none"),
        "dropout": functools.partial(build_plain, images, "dropout"),
        "information dropout": functools.partial(build_plain, images, "information"),
        f"weight_beta={beta * BELOW:g}": functools.partial(variational, beta * BELOW),
        f"weight_beta={beta:g}": functools.partial(variational, beta),
        f"weight_beta={beta * ABOVE:g}": functools.partial(variational, beta * ABOVE),
    }


def build_plain(images, noise):
    """A perceptron without noise, with binary dropout, or with Information Dropout."""
    import keras

    import keras_infobottleneck as kib

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
    import keras_infobottleneck as kib

    return kib.make_variational(
        build_plain(images, "none"),
        num_examples=len(images.x_train),
        weight_beta=weight_beta,
        verbose=0,
    )


def _train(name, build, images, labels, replaced):
    """Train one network, from where it was, and measure it."""
    import keras
    import numpy as np

    import keras_infobottleneck as kib

    keras.utils.set_random_seed(FLAGS.seed)
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    epochs = 3 if FLAGS.smoke else FLAGS.epochs
    price = float(model.weight_beta) if isinstance(model, kib.InformationBottleneckModel) else None
    checkpoint = kib.callbacks.Checkpoint(
        _path(os.path.join("checkpoints", f"{name.replace(' ', '_')}.npz"))
    )
    first = checkpoint.restore(model)
    callbacks = [_watch(name, epochs, images, labels, replaced), checkpoint]
    if price is not None:
        warm_up = int(WARM_UP * epochs)
        callbacks.append(
            kib.callbacks.BetaSchedule(model.weight_beta, stop=price, num_epochs=warm_up)
        )
    if first < epochs:
        model.fit(
            _batches(images.x_train, labels, first, epochs),
            steps_per_epoch=-(-len(labels) // FLAGS.batch_size),
            epochs=epochs,
            initial_epoch=first,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    weights = [weight for layer in model.layers for weight in layer.weights]
    row = {
        "test_accuracy": checkpoint.history["test_accuracy"][-1],
        "memorised": checkpoint.history["memorised"][-1],
        "weight_nats_per_example": None,
        "activation_nats_per_example": None,
        "kept_after_pruning": None,
        "accuracy_after_pruning": None,
        "num_parameters": int(sum(np.prod(weight.shape) for weight in weights)),
        "history": checkpoint.history,
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
    row["model"] = model
    return row


def _batches(x, y, first_epoch, epochs):
    """Batches of all epochs to come, in an order that depends on seed and epoch alone."""
    import tensorflow as tf

    x, y = tf.constant(x), tf.constant(y)

    def batches_of(epoch):
        seed = tf.stack([FLAGS.seed, tf.cast(epoch, tf.int32)])
        order = tf.random.experimental.stateless_shuffle(tf.range(len(x)), seed)
        return tf.data.Dataset.from_tensor_slices(order).batch(FLAGS.batch_size)

    order = tf.data.Dataset.range(first_epoch, epochs).flat_map(batches_of)
    return order.map(lambda chosen: (tf.gather(x, chosen), tf.gather(y, chosen))).prefetch(1)


def _watch(name, epochs, images, labels, replaced):
    """A callback that adds to the logs what this example is about, and draws a progress bar."""
    import keras
    import numpy as np

    wrong_images, wrong_labels = images.x_train[replaced], labels[replaced]

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            print(name)
            self.bar = keras.utils.Progbar(
                epochs, unit_name="epoch", stateful_metrics=["loss", "test_accuracy", "memorised"]
            )

        def on_epoch_end(self, epoch, logs):
            predict = self.model.predict_on_batch
            logs["test_accuracy"] = np.mean(predict(images.x_test).argmax(-1) == images.y_test)
            memorised = 0.0
            if len(wrong_labels):
                memorised = np.mean(predict(wrong_images).argmax(-1) == wrong_labels)
            logs["memorised"] = memorised
            shown = ("loss", "test_accuracy", "memorised")
            self.bar.update(epoch + 1, [(key, logs[key]) for key in shown])

    return Watch()


def _path(name):
    return os.path.join(FLAGS.output_dir, name)


def _open_output_dir():
    """Make the folder, or make sure that what it holds is of the same run."""
    names = (
        "dataset", "data", "label_noise", "epochs", "weight_beta", "batch_size", "seed", "smoke"
    )  # fmt: skip
    settings = {name: FLAGS[name].value for name in names}
    try:
        os.makedirs(FLAGS.output_dir, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--output_dir must be a folder. Received: {FLAGS.output_dir} ({error.strerror})"
        ) from None
    if not FLAGS.resume:
        shutil.rmtree(_path("checkpoints"), ignore_errors=True)
    elif os.path.exists(_path("settings.json")):
        with open(_path("settings.json")) as file:
            if json.load(file) != settings:
                raise ValueError(
                    "--output_dir holds a run with other flags; name another folder or start over "
                    f"with --noresume. Received: {FLAGS.output_dir}"
                )
    os.makedirs(_path("checkpoints"), exist_ok=True)
    _write("settings.json", json.dumps(settings, indent=2))


def _write(name, text):
    """Write a file so that it is there whole or not at all."""
    with open(_path(f"{name}.part"), "w") as file:
        file.write(text)
    os.replace(_path(f"{name}.part"), _path(name))


def _report(rows):
    """The table, the figure, the files."""
    best = max(rows, key=lambda name: rows[name]["test_accuracy"])
    results = {name: {k: v for k, v in row.items() if k != "model"} for name, row in rows.items()}
    _write("result.json", json.dumps({"best": best, "networks": results}, indent=1))
    model = rows[best]["model"]
    model.save(_path("best.keras"))
    model.export(_path("best_savedmodel"), verbose=False)
    _draw(rows)

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
        "figure.png, best.keras, best_savedmodel."
    )


def _draw(rows):
    """Two panels over epochs: what is learned, and what is learned by heart."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

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
    figure.savefig(_path("figure.png"), dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    app.run(main)

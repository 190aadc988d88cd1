"""Measure the algorithmic complexity of the weights, epoch by epoch, while a network learns.

The weights are quantised to eight bits, and each bit plane is cut into blocks of 4 x 4. A block is
the more complex, the more seldom small Turing machines print it (block decomposition, bits). A
`Measure` callback measures the complexity during `fit` and writes it to the log and a CSV file.

A number of bits says nothing by itself. It is compared with that of the weights at the start of
training (`ratio`) and of the same weights shuffled (`shuffled_ratio`). If only the first falls, the
values of the weights changed, not their arrangement. Expected: learning alone changes
nothing (0.997 of initial at 99 % on the test set); with weight decay the weights get simpler at the
same accuracy, to 0.93 of initial and 0.97 of shuffled. Run time: half a minute. Grokking, bit
planes and budgets: ``reproduction/weight_complexity``.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import matplotlib
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, script

matplotlib.use("Agg")

import matplotlib.pyplot as plt

FLAGS = flags.FLAGS
script.define_flags("outputs/complexity_while_training")
flags.DEFINE_integer("epochs", 100, "Epochs.", 1)
flags.DEFINE_float("weight_decay", 1.0, "Weight decay of the network that has it.", 0.0)


def run():
    """Train twice, with the complexity measured on the way."""
    images = datasets.load(path=FLAGS.data)
    folder = script.output_folder()
    rows, accuracy = {}, {}
    for name, decay in {"no decay": 0.0, "weight decay": FLAGS.weight_decay}.items():
        path = folder / f"{name.replace(' ', '_')}.csv"
        path.unlink(missing_ok=True)
        rows[name], accuracy[name] = train(images, decay, path)
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for color, (name, measured) in enumerate(rows.items()):
        epochs = [row["epoch"] for row in measured]
        for key, style in {"ratio": "-", "shuffled_ratio": ":"}.items():
            label = f"{name}, over {'initial' if key == 'ratio' else 'shuffled'} weights"
            axis.plot(epochs, [r[f"bits_{key}"] for r in measured], f"C{color}{style}", label=label)
    axis.set(xlabel="epoch", ylabel="complexity, ratio")
    axis.legend(frameon=False)
    figure.savefig(folder / "figure.png", dpi=90)
    plt.close(figure)
    last = {name: measured[-1] for name, measured in rows.items()}
    script.finish(
        "complexity after training, over initial (over shuffled) weights: "
        + ", ".join(
            f"{name} {row['bits_ratio']:.3f} ({row['bits_shuffled_ratio']:.3f}), test accuracy "
            f"{accuracy[name]:.1%}"
            for name, row in last.items()
        ),
        rows=rows,
        test_accuracy=accuracy,
    )


def train(images, decay, csv_path) -> tuple[list[dict], float]:
    """Rows of what was measured, and the accuracy at the end."""
    size = 200 if FLAGS.smoke else len(images.x_train)
    epochs = 4 if FLAGS.smoke else FLAGS.epochs
    keras.utils.set_random_seed(FLAGS.seed)
    model = keras.Sequential(
        [
            keras.Input(images.x_train.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(images.num_classes),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=decay)
    model.compile(optimizer, loss, metrics=["accuracy"])
    start = kib.estimators.quantized_complexity(model)

    def complexity(model):
        now = kib.estimators.quantized_complexity(model, baseline=start)
        return {"ratio": now.ratio, "shuffled_ratio": now.shuffled_ratio}

    measure = kib.callbacks.Measure(
        {"bits": complexity}, every=max(1, epochs // 20), csv_path=os.fspath(csv_path)
    )
    x, y = images.x_train[:size], images.y_train[:size]
    model.fit(x, y, batch_size=50, epochs=epochs, verbose=0, callbacks=[measure])
    logs = model.evaluate(images.x_test, images.y_test, verbose=0, return_dict=True)
    return measure.rows, logs["accuracy"]


if __name__ == "__main__":
    script.main(run)

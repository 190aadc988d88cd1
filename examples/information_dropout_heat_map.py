"""Map the nats that pass through a noisy layer, place by place, to see where a network looks.

A convolutional network learns digits that lie among pieces of other digits. Its two noisy layers
have a price for the information that passes, so they put noise on what the task does not need. The
remaining nats for each place (`InformationDropout.information`) are a heat map, made without any
labels of places.

The script measures how well the map distinguishes places with ink of the digit from places with ink
of the pieces, by the area under the ROC (1/2 for a random map), before and after training. Ink
against background would be no test, because any edge detector finds ink. Expected: 0.77 in the
first noisy layer, 0.87 in the second, about 1/2 before training. Run time: a minute. With other
prices and on MNIST: ``reproduction/occlusions``.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import matplotlib
import numpy as np
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, nuisances, script

matplotlib.use("Agg")

import matplotlib.pyplot as plt

FLAGS = flags.FLAGS
script.define_flags("outputs/information_dropout_heat_map")
flags.DEFINE_integer("epochs", 15, "Epochs.", 1)
flags.DEFINE_float("beta", 0.5, "Price of a nat, times the number of training images.", 0.0)
LAYERS = ("first", "second")
SHOWN = 4  # images in the figure


def run():
    """Train on cluttered digits; compare the maps with where the digits are."""
    images = datasets.load(path=FLAGS.data)
    folder = script.output_folder()
    random = np.random.default_rng(FLAGS.seed)
    size = 100 if FLAGS.smoke else 3000
    chosen = np.resize(random.permutation(len(images.x_train)), size)
    canvas = 2 * images.x_train.shape[1]
    x, _, _ = nuisances.cluttered(images.x_train[chosen], canvas, 4, random)
    x_test, digit, pieces = nuisances.cluttered(images.x_test[:500], canvas, 4, random)

    keras.utils.set_random_seed(FLAGS.seed)
    model = network(x.shape[1:], images.num_classes, FLAGS.beta / len(x))
    before = {name: area(heat_map(model, name, x_test), digit, pieces) for name in LAYERS}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    epochs = 1 if FLAGS.smoke else FLAGS.epochs
    # The price rises over the first half: first learn, then forget.
    rising = [
        kib.callbacks.BetaSchedule(
            model.get_layer(name).beta, stop=FLAGS.beta / len(x), num_epochs=max(1, epochs // 2)
        )
        for name in LAYERS
    ]
    y = images.y_train[chosen]
    model.fit(x, y, batch_size=50, epochs=epochs, verbose=0, callbacks=rising)
    kib.recalibrate_batch_normalization(model, x)
    accuracy = model.evaluate(x_test, images.y_test[:500], verbose=0, return_dict=True)["accuracy"]
    maps = {name: heat_map(model, name, x_test) for name in LAYERS}
    after = {name: area(maps[name], digit, pieces) for name in LAYERS}

    figure, axes = plt.subplots(3, SHOWN, figsize=(9, 7), layout="constrained")
    for column, image in enumerate(x_test[:SHOWN]):
        axes[0, column].imshow(image.max(-1), cmap="gray_r")
        axes[0, column].set_axis_off()
        for row, name in enumerate(LAYERS, start=1):
            kib.plots.plot_information_map(maps[name][column], ax=axes[row, column])
            axes[row, column].set_title(f"{name} layer", fontsize=8)
    figure.savefig(folder / "figure.png", dpi=90)
    plt.close(figure)
    script.finish(
        "digit against clutter, area under the ROC: "
        + ", ".join(f"{n} layer {after[n]:.3f} ({before[n]:.3f} untrained)" for n in LAYERS)
        + f"; test accuracy {accuracy:.1%}",
        area=after,
        area_before_training=before,
        test_accuracy=accuracy,
        nats_per_image={name: float(maps[name].sum((1, 2)).mean()) for name in LAYERS},
    )


def network(shape, num_classes, beta) -> keras.Model:
    """Plain and noisy convolutions in turn, the average over places, logits."""
    x = inputs = keras.Input(shape)
    for name, filters in zip(LAYERS, (16, 32), strict=True):
        x = convolution(filters)(x)
        # The scale of the noise at each place is the output of a convolution of its own.
        scale = keras.layers.Conv2D(filters, 3, strides=2, padding="same")
        x = kib.layers.InformationDropout(
            convolution(filters, strides=2), beta, alpha_layer=scale, max_alpha=1.0, name=name
        )(x)
    x = keras.layers.GlobalAveragePooling2D()(convolution(32)(x))
    return keras.Model(inputs, keras.layers.Dense(num_classes)(x))


def convolution(filters, strides=1) -> keras.Model:
    """A convolution of 3 x 3 places, normalised and rectified."""
    return keras.Sequential(
        [
            keras.layers.Conv2D(filters, 3, strides, padding="same"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
        ]
    )


def heat_map(model, name, x) -> np.ndarray:
    """Nats for each place of a noisy layer, ``[images, height, width]``."""
    layer = model.get_layer(name)
    below = keras.Model(model.inputs, layer.input)
    return keras.ops.convert_to_numpy(layer.information(below(x))).sum(-1)


def area(maps, digit, pieces) -> float:
    """Mean over images of how often a place of the digit has more nats than one of the pieces."""
    step = digit.shape[1] // maps.shape[1]
    shape = (len(digit), maps.shape[1], step, maps.shape[2], step)
    own, other = (mask.reshape(shape).any((2, 4)) for mask in (digit, pieces))
    areas = []
    for nats, where, elsewhere in zip(maps, own, other & ~own, strict=True):
        if where.any() and elsewhere.any():
            more = nats[where][:, None] - nats[elsewhere]
            areas.append(np.mean((more > 0) + 0.5 * (more == 0)))
    return float(np.mean(areas))


if __name__ == "__main__":
    script.main(run)

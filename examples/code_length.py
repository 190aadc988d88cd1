"""Code labels with a network: its divergence as code length, as file size, and as an error bound.

A small convolutional network is trained on all images, with a Gaussian distribution over every
weight. The prior is fixed except for its scales, which are chosen on a grid and counted. The
divergence of the weights is then (a) part of the length of a code of the labels, (b) a number of
bytes, (c) the divergence in a PAC-Bayes bound: an error rate on new data that is certified from the
training set alone, with no example held out.

The code and the bound use drawn weights, one draw for all places of an image, and so does training:
a step costs little more than one without noise. With ``--estimator=local`` every place of a
convolution draws its own noise, which averages out: the training loss is then lower than the loss
that the code pays.

The price of a nat rises slowly to four and then falls to one, at which training minimises the
code; ``--price=2`` makes the certificate tighter. The learning rate is high, because only the price
pulls weights without information to the prior, and it is small compared with the noise of the loss.

Published, on the 60,000 labels of MNIST (199 kbit without a network): variational codes of 22.2
kbit, prequential ones of 4.10 (Blier & Ollivier, 2018); a certificate of 11.6 % that holds no data
out (Lotfi et al., 2022). Run time on one core: digits, the default, four minutes; MNIST (`--data`)
ten minutes, and twenty more for the prequential code. If it is killed and started again, it
continues where it was.
"""

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, networks, script, training

FLAGS = flags.FLAGS
script.define_flags("outputs/code_length", resume=True)
flags.DEFINE_integer("epochs", 200, "Epochs of the variational network.", 3)
flags.DEFINE_float("price", 1.0, "Price of a nat at the end; 1 makes the shortest code.", 1e-6)
flags.DEFINE_float("rate", 0.02, "Learning rate, before it falls.", 0.0)
flags.DEFINE_enum("prior_scale", "grid_per_unit", ["grid", "grid_per_unit"], "Scales of the prior.")
flags.DEFINE_enum("estimator", "sample", ["local", "flipout", "sample"], "How noise is drawn.")
flags.DEFINE_integer("prequential_epochs", 8, "Epochs of each block; 0 leaves this code out.", 0)
BATCH_SIZE = 250
MIN_STEPS = 100  # in an epoch: small data are passed over more often
FILTERS = ((24, 5), (48, 3), (48, 3))  # of the prequential code's network, and their sizes


def run():
    """Train, code, certify; code prequentially."""
    images = datasets.load(path=FLAGS.data)
    size, epochs = (120, 3) if FLAGS.smoke else (len(images.x_train), FLAGS.epochs)
    x, y = images.x_train[:size], images.y_train[:size]
    folder = script.output_folder()
    if not FLAGS.resume:
        for name in ("training.npz", "blocks.npz"):
            (folder / name).unlink(missing_ok=True)

    model = trained(images, x, y, epochs, folder)
    length = kib.estimators.description_length(model, (x, y), batch_size=BATCH_SIZE, seed=0)
    print(length, flush=True)
    draws = {"num_samples": max(1, 12_000 // size), "seed": 0}
    certificate = kib.estimators.certify(model, (x, y), allow_repeats=True, **draws)
    print(certificate, flush=True)
    predictions = model.predict(images.x_test, verbose=0).argmax(-1)
    numbers = {
        "code_length": length.to_dict(),
        "kbit": length.kbit,
        "kbit_without_a_network": length.uniform_kbit,
        "bytes_of_the_weights": (length.weight_nats + length.scale_nats) / math.log(2.0) / 8,
        "certificate": certificate.to_dict(),
        "test_error": float(np.mean(predictions != images.y_test)),
    }
    told = ""
    if FLAGS.prequential_epochs:
        code = kib.estimators.prequential_code(
            lambda num_updates: augmenting(images, num_updates),
            (x, y),
            blocks=[
                math.ceil(size / 2 ** (k / 2)) for k in range(int(2 * math.log2(size / 50)), -1, -1)
            ],
            epochs=1 if FLAGS.smoke else FLAGS.prequential_epochs,
            min_updates=1 if FLAGS.smoke else 75,
            batch_size=50,
            path=folder / "blocks.npz",
            seed=FLAGS.seed,
            verbose=1,
        )
        code.plot().figure.savefig(folder / "blocks.png", dpi=120)
        numbers["prequential_code"] = {**code.to_dict(), "kbit": code.kbit}
        told = f"; {code.kbit:.2f} kbit prequentially"
    script.finish(
        f"{length.kbit:.2f} kbit for {size} labels instead of {length.uniform_kbit:.1f}{told}; "
        f"{numbers['bytes_of_the_weights']:.0f} bytes of weights; error at most "
        f"{certificate.error_bound:.2%} from the training set alone "
        f"({numbers['test_error']:.2%} on the test set)",
        **numbers,
    )


def augmenting(images, num_updates) -> keras.Model:
    """The network of the prequential code, compiled: it moves, turns and stretches its images.

    Nobody has to be told its weights, so that it may have many; what it must be is quick to learn.
    """
    layers = [
        keras.Input(images.x_train.shape[1:]),
        keras.layers.RandomTranslation(0.08, 0.08, fill_mode="constant"),
        keras.layers.RandomRotation(0.035, fill_mode="constant"),
        keras.layers.RandomZoom(0.12, fill_mode="constant"),
    ]
    for filters, kernel in FILTERS:
        layers += [
            keras.layers.Conv2D(filters, kernel, padding="same", use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(2),
        ]
    layers += [keras.layers.Flatten(), keras.layers.Dropout(0.3)]
    model = keras.Sequential([*layers, keras.layers.Dense(images.num_classes)])
    rate = keras.optimizers.schedules.CosineDecay(2e-3, num_updates)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    return model


def trained(images, x, y, epochs, folder) -> kib.InformationBottleneckModel:
    """The variational network, from where its training ended."""
    keras.utils.set_random_seed(FLAGS.seed)
    model = kib.make_variational(
        networks.network_of(images, "convolutions"),
        num_examples=len(x),
        prior_scale=FLAGS.prior_scale,
        estimator=FLAGS.estimator,
        seed=FLAGS.seed,
        verbose=0,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(FLAGS.rate), loss, metrics=["accuracy"])
    model.build((None, *x.shape[1:]))
    steps_per_pass = -(-len(x) // BATCH_SIZE)

    training.train(
        model,
        x,
        y,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        seed=FLAGS.seed,
        checkpoint=kib.callbacks.Checkpoint(os.fspath(folder / "training.npz")),
        callbacks=training.schedules(model, epochs=epochs, price=FLAGS.price, rate=FLAGS.rate),
        passes=1 if FLAGS.smoke else -(-MIN_STEPS // steps_per_pass),
    )
    return model


if __name__ == "__main__":
    script.main(run)

"""Compress a network to a file of about the size of the information in its weights.

A network with noise on its weights is trained at a price that ends at `--weight_beta`, and written
by `kib.compress`: once as it is, and once with training of the weights that are not coded yet
between the stages of coding. Everything that predictions need is in the file: architecture, scales,
biases.

The file is compared with draws from the posterior, one of which it holds, and with the usual
small file: the same network trained without noise, its smallest weights set to zero, trained
further, quantised to 8 bits and packed by zlib. Expected: the file is as long as its nats say, up
to a few dozen bytes, and errs as often as a draw; after fine-tuning it errs less than the usual
file, at a fifth of its size. Run time: a minute on the digits.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import math

import keras
import numpy as np
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, networks, script, small_files, training

FLAGS = flags.FLAGS
script.define_flags("outputs/compress")
flags.DEFINE_integer("epochs", 120, "Epochs with a price; it rises in the first third.", 2)
flags.DEFINE_integer("tuning_epochs", 4, "Epochs between two stages of coding.", 1)
flags.DEFINE_integer("batch_size", 50, "Examples in a batch.", 1)
flags.DEFINE_float("rate", 0.01, "Learning rate, before it falls.", 0.0)
flags.DEFINE_float("weight_beta", 0.3, "Price of a nat in the weights.", 1e-6)
flags.DEFINE_float("kept", 0.2, "Share of the weights that pruning by size keeps.", 0.0, 1.0)

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def run():
    """Train with and without noise, write the files, compare."""
    images = datasets.load(path=FLAGS.data)
    folder = script.output_folder()
    epochs = 2 if FLAGS.smoke else FLAGS.epochs
    options = {"batch_size": FLAGS.batch_size, "verbose": 0}
    data = images.x_train, images.y_train

    def error(network) -> float:
        return float(np.mean(network.predict(images.x_test, verbose=0).argmax(-1) != images.y_test))

    keras.utils.set_random_seed(FLAGS.seed)
    model = kib.make_variational(
        networks.network_of(images, "lenet", use_bias=True),
        num_examples=len(images.x_train),
        estimator="sample",
        variational_bias=True,
        seed=FLAGS.seed,
        verbose=0,
    )
    model.compile(keras.optimizers.Adam(FLAGS.rate), LOSS)
    schedule = {"epochs": epochs, "price": FLAGS.weight_beta, "rate": FLAGS.rate}
    model.fit(*data, epochs=epochs, callbacks=training.schedules(model, **schedule), **options)
    draws = model.predict_samples(images.x_test, 10, seed=FLAGS.seed).argmax(-1)
    rows = {
        "posterior mean": {"error": error(model)},
        "draws": {"error": float(np.mean(draws != images.y_test))},
    }

    def tune(network):
        network.fit(*data, epochs=1 if FLAGS.smoke else FLAGS.tuning_epochs, **options)

    for name, arguments in {
        "compressed": {},
        "compressed, tuned": {"finetune": tune, "num_stages": 3 if FLAGS.smoke else 12},
    }.items():
        path = folder / f"{name.replace(', ', '_')}.kib"
        file = kib.compress(model, path, seed=FLAGS.seed, verbose=0, **arguments)
        rows[name] = {
            "error": error(kib.decompress(path)),
            "bytes": file.bytes,
            "nats": file.nats,
            "nats_in_bytes": file.nats / 8 / math.log(2),
        }

    plain = networks.network_of(images, "lenet", use_bias=True)
    plain.compile(keras.optimizers.Adam(0.003), LOSS)
    plain.fit(*data, epochs=max(epochs // 2, 1), **options)
    rows["trained without noise"] = {"error": error(plain)}
    small_files.prune(plain, FLAGS.kept)
    plain.compile(keras.optimizers.Adam(0.003), LOSS)
    plain.fit(*data, epochs=max(epochs // 2, 1), **options)
    size = small_files.quantise(plain)
    rows["pruned, int8, zlib"] = {"error": error(plain), "bytes": size}
    for name, row in rows.items():
        size = f"{row['bytes']:7,} bytes" if "bytes" in row else ""
        nats = f" ({row['nats']:,.0f} nats)" if "nats" in row else ""
        print(f"{name:22s} test error {row['error']:6.2%}  {size}{nats}")
    tuned = rows["compressed, tuned"]
    usual = rows["pruned, int8, zlib"]
    script.finish(
        f"{tuned['bytes']:,} bytes at {tuned['error']:.2%} test error; pruned and quantised "
        f"{usual['bytes']:,} bytes at {usual['error']:.2%}",
        rows=rows,
    )


if __name__ == "__main__":
    script.main(run)

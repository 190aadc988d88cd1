"""The variational autoencoder as a special case of Information Dropout; total correlation.

Claims 2-d and 2-e (Achille & Soatto, "Information Dropout", 2018, arXiv 1611.01353). An image is
coded by a layer of Information Dropout and reconstructed from the code. At beta = 1 that is a
Gaussian variational autoencoder in ``log z``: loss and gradient are compared with one written by
hand, before and after training. Then beta is raised. The prior is factorised, so at a higher price
the units of the code should depend less on each other, as measured by the total correlation of
``log z``, noise included, over held-out images, as its authors measure it.

Noise alone makes units less dependent, whatever the code. So there are two controls:
the means of the same code, without noise; and the code learned at the lowest beta with as much
noise added, relative to the variance of its units, as the code at the higher price has.

Found on MNIST (docs/results/autoencoder_mnist.json): total correlation falls tenfold from beta =
0.03 to 10, and up to beta = 3 lies below that of noise alone; at 10 noise does all of it, and the
means of the code depend on each other more than ever.

Writes a verdict for each claim, a figure of total correlation against beta, and pictures:
reconstructed images, samples from the prior, and traversals of the units with the most information.
Five minutes on one core on MNIST (``--data``, 4,000 images), one on the digits of scikit-learn;
``--full`` is all of MNIST, a wider network and ten seeds. If killed, it continues where it was.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where `reproduction` is found
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import numpy as np
import tensorflow as tf
from absl import flags

import keras_infobottleneck as kib
from reproduction.autoencoder.claims import CLAIMS, judge, summary
from reproduction.autoencoder.figure import draw_pictures, draw_total_correlation
from reproduction.autoencoder.measures import encode, pictures, with_noise
from reproduction.autoencoder.setup import (
    differences_from_gaussian_autoencoder,
    fresh_autoencoder,
    reconstruction_error,
)
from reproduction.frame import datasets, script
from reproduction.frame.experiment import Experiment, read_settings
from reproduction.frame.training import train

FLAGS = flags.FLAGS
script.define_flags("outputs/autoencoder", resume=True, full=True)
_SEEDS = flags.DEFINE_integer("seeds", None, "Repeats; default 5.", 2)
_EPOCHS = flags.DEFINE_integer("epochs", None, "Epochs; default 40.", 1)

DEFAULT = {
    "betas": [0.03, 0.1, 0.3, 1.0, 3.0, 10.0],
    "num_examples": 4000,
    "num_test": 2000,
    "width": 200,
    "num_units": 16,
    "batch_size": 100,
    "seeds": 5,
    "epochs": 40,
}
FULL = {"data": "mnist", "num_examples": 60_000, "num_test": 10_000, "width": 512}
FULL |= {"seeds": 10, "epochs": 100}
SMOKE = {"betas": [0.1, 1.0, 10.0], "num_examples": 200, "num_test": 200, "width": 24}
SMOKE |= {"num_units": 4, "seeds": 2, "epochs": 3}


def run() -> None:
    """Train what is missing, judge, draw."""
    settings = read_settings(DEFAULT, SMOKE, FULL, seeds=_SEEDS.value, epochs=_EPOCHS.value)
    images = datasets.load(settings["data"], FLAGS.data)
    x = flat(images.x_train[: settings["num_examples"]])
    x_test = flat(images.x_test[: settings["num_test"]])
    if len(x_test) <= settings["num_units"]:
        raise ValueError(
            "x_test must hold more images than the code has units, "
            f"{settings['num_units']}. Received: {len(x_test)} in {settings['data']}"
        )
    experiment = Experiment(FLAGS.output_dir, settings)
    records = []
    for repeat in range(settings["seeds"]):
        seed = FLAGS.seed + repeat
        cheapest = None
        for beta in settings["betas"]:
            name = f"beta_{beta:g}-{seed}"
            codes = os.path.join(FLAGS.output_dir, "records", f"{name}-means.npz")

            def compute(name=name, beta=beta, seed=seed, codes=codes, cheapest=cheapest):
                return one_run(
                    settings, x, x_test, beta, seed, experiment.checkpoint(name), codes, cheapest
                )

            records.append(experiment.run(name, compute))
            cheapest = cheapest or codes
    draw_total_correlation(records, os.path.join(FLAGS.output_dir, "autoencoder.png"))
    draw_pictures(records, images.x_train.shape[1:3], FLAGS.output_dir)
    experiment.conclude(CLAIMS, judge(records, settings), by_beta=summary(records))


def one_run(settings, x, x_test, beta, seed, checkpoint, codes, cheapest) -> dict:
    """Train at one price; measure the code of held-out images.

    The means of the code are left in the file `codes`, for the control of the dearer runs.
    """
    start = (x.shape[1], settings["width"], settings["num_units"], beta, seed)
    model = fresh_autoencoder(*start)
    record = {"beta": beta, "seed": seed}
    if beta == 1.0:
        record["before"] = differences_from_gaussian_autoencoder(model, x_test[:100])
        # The comparison drew noise: training starts from the same seeds all the same.
        model = fresh_autoencoder(*start)
    schedule = {"epochs": settings["epochs"], "batch_size": settings["batch_size"], "seed": seed}
    train(model, x, x, checkpoint=checkpoint, **schedule)
    if beta == 1.0:
        record["after"] = differences_from_gaussian_autoencoder(model, x_test[:100])
    means, log_z, nats = encode(model, x_test)
    np.savez(codes, means=means)
    # Of every unit's variance, as much is noise, which does not depend on the mean.
    noise, signal = np.var(log_z - means, axis=0), np.var(means, axis=0)
    noise_share = float(np.mean(noise / (noise + signal)))
    record |= {
        "error": float(tf.reduce_mean(reconstruction_error(x_test, model(x_test)))),
        "nats": float(nats.sum(axis=1).mean()),
        "noise_share": noise_share,
        "total_correlation": kib.estimators.total_correlation(log_z, seed=seed).to_dict(),
        "of_means": kib.estimators.total_correlation(means, seed=seed).to_dict(),
    }
    if cheapest:
        noisy = with_noise(np.load(cheapest)["means"], noise_share, seed)
        control = kib.estimators.total_correlation(noisy, seed=seed)
        record["of_noise_alone"] = control.to_dict()
    if seed == FLAGS.seed:
        record["pictures"] = pictures(model, x_test, means, nats, seed)
    return record


def flat(images) -> np.ndarray:
    """Grey images as rows of pixels."""
    return images.mean(axis=-1).reshape(len(images), -1)


if __name__ == "__main__":
    script.main(run)

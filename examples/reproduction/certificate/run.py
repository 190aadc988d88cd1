"""Certificates: the error of a network on new data, bounded from its training set alone.

Theorem 2.2 of Achille, Paolini & Soatto, "Where is the Information in a Deep Neural Network?"
(2019, arXiv 1905.12213): the loss on the training set and the information in the weights bound the
loss on new data. The bound is made tight as in "Tighter risk certificates for neural networks"
(Perez-Ortiz et al., 2021): with a prior trained on one half of the data, and a certificate on the
other half, N being the number of examples that the prior has not seen. No test set is needed.
Goals, written before the first full run: an error of at most 2.8 % for the perceptron
(784-600-600-600-10) and of at most 1.6 % for the convolutional network, on MNIST, on the 0-1 loss,
with probability 96.5 % (delta 0.025, and 0.01 for the Monte Carlo).

Steps: (1) train the network with dropout on the prior's share; (2) make it variational and anchor
the prior there; (3) train the posterior on everything, with the quadratic PAC-Bayes bound as its
objective; (4) certify on the rest. The certificate of step 2 is shown beside that of step 4, and
both beside the error on the test set, which nothing was fitted to.

Run time on one core: digits, the default, a minute; MNIST (`--data --shift=1`) 4 minutes for the
perceptron, 13 for the convolutional network. There is no `--full`: these are the published
networks. If killed and started again, it continues where it was; networks may be run separately, in
one --output_dir.
"""

import os
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where `reproduction` is found
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf
from absl import flags

import keras_infobottleneck as kib
from reproduction.certificate.claims import CLAIMS, judge
from reproduction.certificate.figure import draw
from reproduction.frame import datasets, experiment, script, training


class Plan(NamedTuple):
    """How one network is trained and certified."""

    goal: float  # of the certificate, on MNIST
    prior_epochs: int
    posterior_epochs: int
    dropout: float
    initial_scale: float  # of prior and posterior: noise that the network hardly feels
    num_samples: int  # draws for each example of the certificate


PLANS = {
    "fcn": Plan(0.028, 30, 4, 0.3, 0.02, 5),
    "cnn": Plan(0.016, 10, 1, 0.3, 0.01, 2),
}
PRIOR_RATE, POSTERIOR_RATE = 1e-3, 1e-4  # Adam; the prior's falls to zero by a cosine
DELTA, DELTA_MONTE_CARLO = 0.025, 0.01
BATCH_SIZE = 128
DEFAULT = {
    "smoke": False,
    "batch_size": BATCH_SIZE,
    "prior_rate": PRIOR_RATE,
    "posterior_rate": POSTERIOR_RATE,
}
SMOKE = {"smoke": True}
MIN_STEPS = 1000  # of the prior: small data sets need more epochs

FLAGS = flags.FLAGS
script.define_flags("outputs/certificate", resume=True)
flags.DEFINE_multi_enum("network", list(PLANS), list(PLANS), "What to certify; may be repeated.")
flags.DEFINE_float("prior_share", 0.5, "Share of the training set for the prior.", 0.1, 0.9)
flags.DEFINE_integer("shift", 0, "Pixels by which training images are moved at random.", 0)


def run():
    """Certify every network asked for, judge, draw."""
    settings = experiment.read_settings(
        DEFAULT, SMOKE, prior_share=FLAGS.prior_share, shift=FLAGS.shift
    )
    images = datasets.load(path=FLAGS.data)
    order = np.random.default_rng(FLAGS.seed).permutation(len(images.x_train))
    if FLAGS.smoke:
        order = order[:200]
    for_prior, for_certificate = np.split(order, [round(FLAGS.prior_share * len(order))])
    runs = experiment.Experiment(FLAGS.output_dir, settings)
    rows = {
        name: runs.run(name, certified, runs, name, images, for_prior, for_certificate)
        for name in FLAGS.network
    }
    draw(rows, runs.folder / "figure.png")
    runs.conclude(CLAIMS, judge(rows, settings), networks=rows)


def build(name, images, dropout) -> keras.Model:
    """One of the two networks, with logits at its end; the certificate tells layers by name."""
    x = inputs = keras.Input(images.x_train.shape[1:])
    if name == "cnn":
        x = keras.layers.Conv2D(32, 3, activation="relu", name="conv_1")(x)
        x = keras.layers.Conv2D(64, 3, activation="relu", name="conv_2")(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    for number, units in enumerate((600, 600, 600) if name == "fcn" else (128,), start=1):
        x = keras.layers.Dropout(dropout)(x)
        x = keras.layers.Dense(units, activation="relu", name=f"hidden_{number}")(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, keras.layers.Dense(images.num_classes, name="logits")(x))


def certified(runs, name, images, for_prior, for_certificate) -> dict:
    """Train prior and posterior of one network, and certify both."""
    steps_per_epoch = -(-len(for_prior) // BATCH_SIZE)
    plan = PLANS[name]
    plan = plan._replace(prior_epochs=max(plan.prior_epochs, MIN_STEPS // steps_per_epoch))
    if FLAGS.smoke:
        plan = plan._replace(prior_epochs=2, posterior_epochs=2, num_samples=1)
    x, y = images.x_train, images.y_train
    everything = np.concatenate([for_prior, for_certificate])

    keras.utils.set_random_seed(FLAGS.seed)
    prior = build(name, images, plan.dropout)
    num_steps = plan.prior_epochs * steps_per_epoch
    prior.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(PRIOR_RATE, num_steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = {}
    history["prior"] = train(
        prior, x[for_prior], y[for_prior], plan.prior_epochs, runs.checkpoint(f"{name}-prior")
    )

    without_dropout = build(name, images, 0.0)
    without_dropout.set_weights(prior.get_weights())
    model = kib.make_variational(
        without_dropout,
        num_examples=len(everything),
        weight_beta=len(everything) / len(for_certificate),  # what the certificate will charge
        objective="pac_bayes_quadratic",
        variational_bias=True,  # a weight without a distribution could not learn and be certified
        initial_scale=plan.initial_scale,
        seed=FLAGS.seed,
        verbose=0,
    )
    model.anchor_prior((x[for_prior], y[for_prior]))
    model.compile(
        keras.optimizers.Adam(POSTERIOR_RATE),
        kib.models.BoundedCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    rest = x[for_certificate], y[for_certificate]
    anchored = certify(f"{name} prior", model, rest, plan)
    history["posterior"] = train(
        model, x[everything], y[everything], plan.posterior_epochs, runs.checkpoint(name)
    )
    certificate = certify(f"{name} posterior", model, rest, plan)
    test = certify(f"{name} test set", model, (images.x_test, images.y_test), plan)
    return {
        "plan": plan._asdict(),
        "num_prior_examples": len(for_prior),
        "certificate": certificate.to_dict(),
        "certificate_of_the_prior": anchored.to_dict(),
        "randomized_error_on_the_test_set": test.randomized_error,
        "mean_error_on_the_test_set": test.mean_error,
        "history": history,
    }


def certify(title, model, data, plan) -> kib.estimators.Certificate:
    """Certify and say so."""
    certificate = kib.estimators.certify(
        model,
        data,
        delta=DELTA,
        delta_monte_carlo=DELTA_MONTE_CARLO,
        num_samples=plan.num_samples,
        seed=FLAGS.seed,
    )
    print(f"{title}: {certificate}", flush=True)
    return certificate


def train(model, x, y, epochs, checkpoint) -> dict[str, list[float]]:
    """Train with the settings of this run."""
    return training.train(
        model,
        x,
        y,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        seed=FLAGS.seed,
        checkpoint=checkpoint,
        augment=moved if FLAGS.shift else None,
    )


def moved(images, seed):
    """A batch of images, all moved by the same few pixels, round the edges."""
    pixels = tf.random.stateless_uniform([2], seed, -FLAGS.shift, FLAGS.shift + 1, dtype=tf.int32)
    return tf.roll(images, pixels, axis=[1, 2])


if __name__ == "__main__":
    script.main(run)

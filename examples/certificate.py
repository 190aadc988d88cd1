"""Guarantee the error rate of a network on new data, from its training set alone.

Half of the training images train a network, which becomes the prior. The posterior is trained on
all images; the information that it learns beyond the prior is its divergence, in nats. The
PAC-Bayes bound turns the error on the other half and this divergence into a guarantee: with
probability 96.5 % over the draw of that half, the error on new data is at most the bound.

Compare three numbers: the certified error; the error observed on the images of the certificate,
which the bound must exceed; and the error on the test set, which was used for nothing else. With
few images a guarantee is loose: even without errors, 600 images certify no less than 1.3 %.
Run time: half a minute. The published networks, on MNIST, are in ``reproduction/certificate``.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, script

FLAGS = flags.FLAGS
script.define_flags("outputs/certificate_small")
flags.DEFINE_integer("prior_epochs", 60, "Epochs of the prior, on its half.", 1)
flags.DEFINE_integer("posterior_epochs", 20, "Epochs of the posterior, on everything.", 1)
flags.DEFINE_float("delta", 0.025, "How likely the bound may fail.", 1e-6, 0.5)


def run():
    """Train the prior, anchor it, train the posterior, certify."""
    images = datasets.load(path=FLAGS.data)
    x, y = (part[:200] if FLAGS.smoke else part for part in (images.x_train, images.y_train))
    half = len(x) // 2
    for_prior, rest = (x[:half], y[:half]), (x[half:], y[half:])

    keras.utils.set_random_seed(FLAGS.seed)
    prior = perceptron(x.shape[1:], images.num_classes)
    prior.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    prior.fit(*for_prior, batch_size=50, epochs=2 if FLAGS.smoke else FLAGS.prior_epochs, verbose=0)

    model = kib.make_variational(
        prior,
        num_examples=len(x),
        weight_beta=len(x) / len(rest[0]),  # the certificate is taken on fewer examples
        objective="pac_bayes_quadratic",
        variational_bias=True,  # a weight without a distribution could learn and not pay
        initial_scale=0.02,  # noise that the network hardly feels
        seed=FLAGS.seed,
        verbose=0,
    )
    model.anchor_prior(for_prior)  # all that the prior has learned from; the divergence is now 0
    model.compile(keras.optimizers.Adam(1e-3), kib.models.BoundedCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=50, epochs=1 if FLAGS.smoke else FLAGS.posterior_epochs, verbose=0)

    certificate = kib.estimators.certify(model, rest, delta=FLAGS.delta, seed=FLAGS.seed)
    tested = kib.estimators.certify(
        model, (images.x_test, images.y_test), delta=FLAGS.delta, seed=FLAGS.seed
    )
    script.finish(
        f"error at most {certificate.error_bound:.1%} with probability "
        f"{certificate.confidence:.1%}; observed {certificate.randomized_error:.1%} on the "
        f"{certificate.num_examples} images of the certificate, {tested.randomized_error:.1%} on "
        f"the test set; {certificate.kl:.2g} nats paid",
        error_bound=certificate.error_bound,
        observed_error=certificate.randomized_error,
        test_error=tested.randomized_error,
        nats=certificate.kl,
        certificate=certificate.to_dict(),
    )


def perceptron(shape, num_classes) -> keras.Model:
    """Two hidden layers, logits at the end."""
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(num_classes),
        ]
    )


if __name__ == "__main__":
    script.main(run)

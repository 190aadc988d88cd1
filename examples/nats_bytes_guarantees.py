"""A nat is a byte is a guarantee: one network, read in three ways, and bounded in five.

A perceptron is trained on all images at several prices of a nat. Whatever its weights know is then
(a) part of a code of the labels, (b) the size of a file, (c) what a bound on the error on new data
pays for: nats are bytes times 8 log 2, and both are the divergence in the bound. The figure has all
of them over the price.

At the price of one the table has five bounds for this architecture, at one confidence, with what
each of them used: images that were held out, images held out from the prior, or none. Expected, on
few images: who holds none out pays for every nat, and on a thousand images that is much; with
60,000 (`--data`) it is little. A test set is tighter than either, and cannot train.

Run time: two minutes on the digits.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import math

import keras
import matplotlib
import numpy as np
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, script

FLAGS = flags.FLAGS
script.define_flags("outputs/nats_bytes_guarantees")
flags.DEFINE_integer("epochs", 60, "Epochs at a price; it rises in the first half.", 2)
flags.DEFINE_integer("prior_epochs", 60, "Epochs of the prior that half of the images train.", 1)
flags.DEFINE_integer("units", 32, "Hidden units.", 1)
flags.DEFINE_integer("batch_size", 50, "Examples in a batch.", 1)
flags.DEFINE_list("prices", ["0.1", "0.3", "1", "3"], "Prices of a nat; 1 is that of the table.")

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
DELTA, DELTA_DRAWS = 0.025, 0.01  # by which all bounds may fail: together those of `certify`


def run():
    """Train at every price, measure, and bound."""
    images = datasets.load(path=FLAGS.data)
    size = 200 if FLAGS.smoke else len(images.x_train)
    data = images.x_train[:size], images.y_train[:size]
    prices = sorted({1.0, *map(float, FLAGS.prices[:1] if FLAGS.smoke else FLAGS.prices)})
    rows = {price: at_price(images, data, price) for price in prices}
    for price, row in rows.items():
        print(
            f"price {price:5g}: {row['kbit']:6.2f} kbit for the labels, weights {row['nats']:7.0f} "
            f"nats, file {row['bytes']:6,} bytes, error at most {row['certificate']:6.1%} "
            f"(file {row['occam']:6.1%}), test {row['test_error']:5.1%}",
            flush=True,
        )
    table = [*rows[1.0].pop("bounds"), *anchored(images, data)]
    for row in rows.values():
        row.pop("bounds", None)
    print(f"{'bound':42s} {'at most':>8s} {'observed':>9s}  used")
    for bound in table:
        print(
            f"{bound['bound']:42s} {bound['at_most']:8.1%} {bound['error']:9.1%}  {bound['used']}"
        )
    draw(rows, data, images.num_classes)
    one = rows[1.0]
    script.finish(
        f"{one['nats']:.0f} nats are {one['nats'] / 8 / math.log(2):.0f} bytes, a file of "
        f"{one['bytes']:,}, and an error of at most {one['certificate']:.1%} from the training set "
        f"alone ({one['test_error']:.1%} on the test set)",
        num_examples=size,
        rows={f"{price:g}": row for price, row in rows.items()},
        table=table,
    )


def perceptron(images) -> keras.Model:
    """One hidden layer, without biases."""
    return keras.Sequential(
        [
            keras.Input(images.x_train.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(FLAGS.units, activation="relu", use_bias=False),
            keras.layers.Dense(images.num_classes, use_bias=False),
        ]
    )


def fit(model, data, epochs, **options):
    """Train without a word."""
    epochs = 1 if FLAGS.smoke else epochs
    model.fit(*data, batch_size=FLAGS.batch_size, epochs=epochs, verbose=0, **options)


def mistakes(model, images) -> int:
    """On the test set."""
    return int(np.sum(model.predict(images.x_test, verbose=0).argmax(-1) != images.y_test))


def at_price(images, data, price) -> dict:
    """The network that all images train: code, file, bounds."""
    keras.utils.set_random_seed(FLAGS.seed)
    model = kib.make_variational(
        perceptron(images),
        num_examples=len(data[0]),
        weight_beta=1e-3,
        prior_scale="grid",  # a scale that is fitted freely would have to be paid for
        seed=FLAGS.seed,
        verbose=0,
    )
    model.compile(keras.optimizers.Adam(0.005), LOSS)
    num_epochs = max(FLAGS.epochs // 2, 1)
    rising = kib.callbacks.BetaSchedule(model.weight_beta, stop=price, num_epochs=num_epochs)
    fit(model, data, FLAGS.epochs, callbacks=[rising])
    length = kib.estimators.description_length(model, data, seed=0)
    path = script.output_folder() / f"price_{price:g}.kib"
    delta = DELTA + DELTA_DRAWS
    file = kib.compress(model, path, seed=FLAGS.seed, data=data, delta=delta, verbose=0)
    draws = {"delta": DELTA, "delta_monte_carlo": DELTA_DRAWS, "seed": 0, "allow_repeats": True}
    certificate = kib.estimators.certify(model, data, **draws)
    errors, num_tested = mistakes(model, images), len(images.x_test)
    of_tests = float(kib.estimators.test_set_bound(errors, num_tested, delta))
    bounds = [
        ("test set", of_tests, errors / num_tested, f"{num_tested} images held out"),
        (
            "PAC-Bayes, no data held out",
            certificate.error_bound,
            certificate.randomized_error,
            f"the {len(data[0])} that trained it",
        ),
        (
            "Occam, of the file",
            file.occam_bound,
            file.num_errors / file.num_examples,
            f"the {len(data[0])} that trained it",
        ),
    ]
    return {
        "kbit": length.kbit,
        "code_nats": float(length.nats),
        "nats": length.weight_nats + length.scale_nats,
        "bytes": file.bytes,
        "certificate": certificate.error_bound,
        "occam": file.occam_bound,
        "test_error": errors / num_tested,
        "test_set_bound": of_tests,
        "bounds": [as_row(*bound) for bound in bounds],
    }


def as_row(bound, at_most, error, used) -> dict:
    """A line of the table."""
    return {"bound": bound, "at_most": float(at_most), "error": float(error), "used": used}


def anchored(images, data) -> list[dict]:
    """The bounds of a network whose prior half of the images trained."""
    half = len(data[0]) // 2
    for_prior, rest = (
        tuple(part[rows] for part in data) for rows in (slice(half), slice(half, None))
    )
    keras.utils.set_random_seed(FLAGS.seed)
    prior = perceptron(images)
    prior.compile(keras.optimizers.Adam(0.002), LOSS)
    fit(prior, for_prior, FLAGS.prior_epochs)
    model = kib.make_variational(
        prior,
        num_examples=len(data[0]),
        weight_beta=len(data[0]) / len(rest[0]),  # the bound is taken on fewer examples
        objective="pac_bayes_quadratic",
        initial_scale=0.02,  # noise that the network hardly feels
        seed=FLAGS.seed,
        verbose=0,
    )
    model.anchor_prior(for_prior)
    model.compile(keras.optimizers.Adam(1e-3), kib.models.BoundedCrossentropy(from_logits=True))
    fit(model, data, max(FLAGS.epochs // 3, 1))
    draws = {"delta": DELTA, "delta_monte_carlo": DELTA_DRAWS, "seed": 0, "allow_repeats": True}
    certificate = kib.estimators.certify(model, rest, **draws)
    used = f"{half} for the prior, {len(rest[0])} for the bound; all trained it"
    bounds = {
        "PAC-Bayes, learned prior": certificate.error_bound,
        "the same by the excess loss": certificate.excess_error_bound,
        "the same recursively": certificate.recursive_error_bound,
    }
    error = certificate.randomized_error
    return [as_row(name, bound, error, used) for name, bound in bounds.items() if bound is not None]


def draw(rows, data, num_classes):
    """Nats above, errors below, over the price."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    prices = np.array(list(rows))
    column = {name: np.array([row[name] for row in rows.values()]) for name in rows[1.0]}
    per_byte = 8 * math.log(2)
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(6, 7), layout="constrained")
    above.loglog(prices, column["code_nats"], "o-", color="black", label="labels and weights")
    above.loglog(prices, column["nats"], "s-", color="0.4", label="weights")
    above.loglog(
        prices, column["bytes"] * per_byte, "x--", color="0.4", label="file, 8 log 2 bytes"
    )
    told = len(data[0]) * math.log(num_classes)
    above.axhline(told, color="0.6", linestyle=":", label="labels without a network")
    above.set_ylabel("nats")
    right = above.secondary_yaxis(
        "right", functions=(lambda n: n / per_byte, lambda b: b * per_byte)
    )
    right.set_ylabel("bytes")
    above.legend(fontsize="small")
    below.plot(prices, 100 * column["certificate"], "s-", color="black", label="at most, certified")
    below.plot(prices, 100 * column["occam"], "x--", color="0.4", label="at most, by the file")
    below.plot(prices, 100 * column["test_set_bound"], ":", color="0.4", label="at most, test set")
    below.plot(prices, 100 * column["test_error"], "o-", color="0.4", label="test error")
    below.set(xscale="log", xlabel="price of a nat", ylabel="error on new data, %", ylim=(0, None))
    below.legend(fontsize="small")
    figure.savefig(script.output_folder() / "figure.png", dpi=120)


if __name__ == "__main__":
    script.main(run)

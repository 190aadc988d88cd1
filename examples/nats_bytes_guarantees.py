"""Compare the code length, file size and error bounds of networks over the price of a nat.

Networks are trained on all images at several prices of a nat. The information in their weights is
then (a) part of a code of the labels, (b) the size of a file, and (c) the divergence in a bound on
the error on new data; nats are bytes times 8 log 2. The figure shows all of them over the price,
with the usual small files for comparison: eight bits for each weight, pruned or not.

At the price of one the table has six bounds for the first network, at one confidence, with the
images that each of them used: images held out, images held out from the prior, or none. Expected:
without held-out images the bound contains every nat, which on a thousand images is much; with
60,000 (`--data`) it is little. A test set gives a tighter bound, but cannot be used for training.

Run time: four minutes on the digits. If it is killed and started again, it continues where it was.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import math

import keras
import matplotlib.ticker
import numpy as np
from absl import flags

import keras_infobottleneck as kib
from reproduction.frame import datasets, networks, script, small_files, training
from reproduction.frame.experiment import Experiment, read_settings

FLAGS = flags.FLAGS
script.define_flags("outputs/nats_bytes_guarantees", resume=True)
flags.DEFINE_integer("epochs", 120, "Epochs at a price; it rises in the first third.", 2)
flags.DEFINE_integer("prior_epochs", 60, "Epochs of the prior that half of the images train.", 1)
flags.DEFINE_integer("batch_size", 50, "Examples in a batch.", 1)
flags.DEFINE_float("rate", 0.01, "Learning rate, before it falls.", 0.0)
flags.DEFINE_enum("estimator", "sample", ["local", "flipout", "sample"], "How noise is drawn.")
flags.DEFINE_list("prices", ["0.1", "0.3", "1"], "Prices of a nat; 1 is that of the table.")
flags.DEFINE_list("networks", list(networks.NAMES), "Networks, in this order.")
flags.DEFINE_float("kept", 0.2, "Share of the weights that pruning by size keeps.", 0.0, 1.0)

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
DELTA, DELTA_DRAWS = 0.025, 0.01  # by which all bounds may fail: together those of `certify`


def run():
    """Train at every price, measure, and bound."""
    images = datasets.load(path=FLAGS.data)
    size = 200 if FLAGS.smoke else len(images.x_train)
    data = images.x_train[:size], images.y_train[:size]
    prices = sorted({1.0, *map(float, FLAGS.prices[:1] if FLAGS.smoke else FLAGS.prices)})
    names = FLAGS.networks[:1] if FLAGS.smoke else FLAGS.networks
    given = ("epochs", "prior_epochs", "batch_size", "rate", "estimator", "kept")
    settings = read_settings({name: getattr(FLAGS, name) for name in given}, {"size": size})
    records = Experiment(FLAGS.output_dir, settings)
    found = {}
    for name in names:
        rows = {
            price: records.run(f"{name}-{price:g}", at_price, images, data, name, price)
            for price in prices
        }
        usual = records.run(f"{name}-usual", usual_files, images, data, name)
        found[name] = {"prices": rows, "usual": usual}
        for price, row in rows.items():
            print(
                f"{name:12s} price {price:5g}: {row['kbit']:6.2f} kbit for the labels, weights "
                f"{row['nats']:7.0f} nats, file {row['bytes']:6,} bytes at {row['file_error']:5.1%}"
                f", error at most {row['certificate']:6.1%} (file {row['occam']:6.1%})"
            )
        for what, row in usual.items():
            print(f"{name:12s} {what}: {row['bytes']:,} bytes at {row['test_error']:.1%}")
    first = found[names[0]]["prices"][1.0]
    table = [*first["bounds"], *records.run(f"{names[0]}-anchored", anchored, images, data)["rows"]]
    print(f"{'bound':42s} {'at most':>8s} {'observed':>9s}  used")
    for row in table:
        print(f"{row['bound']:42s} {row['at_most']:8.1%} {row['error']:9.1%}  {row['used']}")
    draw(found, data, images.num_classes)
    script.finish(
        f"{names[0]}: {first['nats']:.0f} nats are {first['nats'] / 8 / math.log(2):.0f} bytes, a "
        f"file of {first['bytes']:,}, and an error of at most {first['certificate']:.1%} from the "
        f"training set alone ({first['test_error']:.1%} on the test set)",
        **records.minutes(),
        num_examples=size,
        networks={
            name: {**one, "prices": {f"{price:g}": row for price, row in one["prices"].items()}}
            for name, one in found.items()
        },
        table=table,
    )


def fit(model, data, epochs, **options):
    """Train without a word."""
    epochs = 1 if FLAGS.smoke else epochs
    model.fit(*data, batch_size=FLAGS.batch_size, epochs=epochs, verbose=0, **options)


def mistakes(model, images) -> int:
    """On the test set."""
    return int(np.sum(model.predict(images.x_test, verbose=0).argmax(-1) != images.y_test))


def at_price(images, data, name, price) -> dict:
    """The network that all images train: code, file, bounds."""
    keras.utils.set_random_seed(FLAGS.seed)
    model = kib.make_variational(
        networks.network_of(images, name),
        num_examples=len(data[0]),
        prior_scale="grid_per_unit",  # scales that are fitted freely would have to be paid for
        estimator=FLAGS.estimator,
        seed=FLAGS.seed,
        verbose=0,
    )
    model.compile(keras.optimizers.Adam(FLAGS.rate), LOSS)
    options = {"epochs": FLAGS.epochs, "price": price, "rate": FLAGS.rate}
    fit(model, data, FLAGS.epochs, callbacks=training.schedules(model, **options))
    length = kib.estimators.description_length(model, data, seed=0)
    path = script.output_folder() / f"{name}_{price:g}.kib"
    delta = DELTA + DELTA_DRAWS
    file = kib.compress(model, path, seed=FLAGS.seed, data=data, delta=delta, verbose=0)
    trials = {"num_samples": max(1, 12_000 // len(data[0])), "seed": 0, "allow_repeats": True}
    certificate = kib.estimators.certify(
        model, data, delta=DELTA, delta_monte_carlo=DELTA_DRAWS, **trials
    )
    errors, num_tested = mistakes(model, images), len(images.x_test)
    of_tests = float(kib.estimators.test_set_bound(errors, num_tested, delta))
    everything = f"the {len(data[0])} that trained it"
    file_error = file.num_errors / file.num_examples
    bounds = [
        as_row("test set", of_tests, errors / num_tested, f"{num_tested} images held out"),
        as_row(
            "PAC-Bayes, no data held out",
            certificate.error_bound,
            certificate.randomized_error,
            everything,
        ),
        as_row("Occam, of the file", file.occam_bound, file_error, everything),
    ]
    return {
        "kbit": length.kbit,
        "code_nats": float(length.nats),
        "nats": length.weight_nats + length.scale_nats,
        "bytes": file.bytes,
        "file_error": mistakes(kib.decompress(path), images) / num_tested,
        "certificate": certificate.error_bound,
        "occam": file.occam_bound,
        "test_error": errors / num_tested,
        "test_set_bound": of_tests,
        "bounds": bounds,
    }


def usual_files(images, data, name) -> dict:
    """The same network trained without noise: eight bits a weight, as it is and pruned."""
    keras.utils.set_random_seed(FLAGS.seed)
    network = networks.network_of(images, name)
    network.compile(keras.optimizers.Adam(2e-3), LOSS)
    fit(network, data, max(FLAGS.epochs // 2, 1))
    trained = network.get_weights()
    rows = {"int8": {"bytes": small_files.quantise(network)}}
    rows["int8"]["test_error"] = mistakes(network, images) / len(images.x_test)
    network.set_weights(trained)
    small_files.prune(network, FLAGS.kept)
    network.compile(keras.optimizers.Adam(2e-3), LOSS)
    fit(network, data, max(FLAGS.epochs // 2, 1))
    rows["pruned, int8"] = {"bytes": small_files.quantise(network)}
    rows["pruned, int8"]["test_error"] = mistakes(network, images) / len(images.x_test)
    return rows


def as_row(bound, at_most, error, used) -> dict:
    """A line of the table."""
    return {"bound": bound, "at_most": float(at_most), "error": float(error), "used": used}


def anchored(images, data) -> dict:
    """The bounds of a network whose prior half of the images trained."""
    half = len(data[0]) // 2
    for_prior, rest = (
        tuple(part[rows] for part in data) for rows in (slice(half), slice(half, None))
    )
    keras.utils.set_random_seed(FLAGS.seed)
    prior = networks.network_of(images, FLAGS.networks[0])
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
    fit(model, data, max(FLAGS.epochs // 4, 1))
    draws = {"delta": DELTA, "delta_monte_carlo": DELTA_DRAWS, "seed": 0, "allow_repeats": True}
    certificate = kib.estimators.certify(model, rest, **draws)
    used = f"{half} for the prior, {len(rest[0])} for the bound; all trained it"
    bounds = {
        "PAC-Bayes, learned prior": certificate.error_bound,
        "the same by the excess loss": certificate.excess_error_bound,
        "the same recursively": certificate.recursive_error_bound,
    }
    error = certificate.randomized_error
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"rows": [as_row(name, bound, error, used) for name, bound in given.items()]}


def draw(found, data, num_classes):
    """A column for each network: nats and errors over the price, errors over the bytes."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    per_byte = 8 * math.log(2)
    told = len(data[0]) * math.log(num_classes)
    size = (1.5 + 3.5 * len(found), 9)
    figure, axes = plt.subplots(
        3, len(found), sharey="row", squeeze=False, figsize=size, layout="constrained"
    )
    for (name, one), (above, middle, below) in zip(found.items(), axes.T, strict=True):
        rows = list(one["prices"].values())
        prices = list(one["prices"])
        column = {key: np.array([row[key] for row in rows]) for key in rows[0] if key != "bounds"}
        above.loglog(prices, column["code_nats"], "o-", color="black", label="labels and weights")
        above.loglog(prices, column["nats"], "s-", color="0.4", label="weights")
        bytes_in_nats = column["bytes"] * per_byte
        above.loglog(prices, bytes_in_nats, "x--", color="0.4", label="file, 8 log 2 bytes")
        above.axhline(told, color="0.6", linestyle=":", label="labels without a network")
        above.set(title=name, xlabel="price of a nat")
        middle.plot(prices, 100 * column["certificate"], "s-", color="black", label="certified")
        middle.plot(prices, 100 * column["occam"], "x--", color="0.4", label="by the file")
        middle.plot(prices, 100 * column["test_set_bound"], ":", color="0.4", label="by a test set")
        middle.plot(prices, 100 * column["test_error"], "o-", color="0.4", label="test error")
        middle.set(xscale="log", xlabel="price of a nat")
        below.loglog(
            column["bytes"], 100 * column["file_error"], "s-", color="black", label="coded"
        )
        for (what, row), marker in zip(one["usual"].items(), "x+", strict=True):
            below.loglog(row["bytes"], 100 * row["test_error"], marker, color="0.4", label=what)
        below.set(xlabel="bytes of the file")
        for axis in (above, middle):
            axis.set_xticks(prices, [f"{price:g}" for price in prices])
        for axis in (above, middle, below):
            axis.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes[1, 0].set_ylim(bottom=0)
    for axis, label in zip(
        axes[:, 0], ("nats", "error on new data at most, %", "test error, %"), strict=True
    ):
        axis.set_ylabel(label)
        axis.legend(fontsize="small")
    figure.savefig(script.output_folder() / "figure.png", dpi=120)


if __name__ == "__main__":
    script.main(run)

"""A network that comes with a guarantee: its error on new data, bounded from its training set.

Claim: a prior trained on one half of MNIST, and a posterior that pays for moving away from it,
give a certificate on the other half that is close to the true error ("Tighter risk certificates
for neural networks", Perez-Ortiz et al., 2021; no test set is needed). Goals, written before the
first full run: an error of at most 2.8 % for the perceptron (784-600-600-600-10) and of at most
1.6 % for the convolutional network, on the 0-1 loss, with probability 96.5 % (delta 0.025, and
0.01 for the Monte Carlo), N being the number of examples that the prior has not seen.

Steps: (1) train the network with dropout on the prior's share; (2) make it variational and anchor
the prior there; (3) train the posterior on everything, with the quadratic PAC-Bayes bound as its
objective; (4) certify on the rest. The certificate of step 2 is shown beside that of step 4, and
both beside the error on the test set, which nothing was fitted to.

Run time on one core: digits, the default, two minutes; MNIST (`--data --shift=1`) 4 minutes for
the perceptron, 13 for the convolutional network (docs/results/certificate_mnist.json). Killed and
started again, it goes on where it was; networks may be run apart, in one --output_dir.
"""

import json
import os
import shutil
import sys
from typing import NamedTuple

from absl import app, flags, logging

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


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
MIN_STEPS = 1000  # of the prior: small data sets need more epochs

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "An .npz file with x_train, y_train, x_test, y_test.")
flags.DEFINE_multi_enum("network", list(PLANS), list(PLANS), "What to certify; may be repeated.")
flags.DEFINE_float("prior_share", 0.5, "Share of the training set for the prior.", 0.1, 0.9)
flags.DEFINE_integer("shift", 0, "Pixels by which training images are moved at random.", 0)
flags.DEFINE_integer("seed", 0, "Seed of the split, the weights and the noise.", 0)
flags.DEFINE_string("output_dir", "outputs/certificate", "Where results are written.")
flags.DEFINE_bool("resume", True, "Go on with what output_dir holds; --noresume starts over.")
flags.DEFINE_bool("smoke", False, "A run of seconds, to see that everything works.")


def main(argv):
    """Certify every network asked for, write results."""
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        sys.exit(f"certificate.py: takes flags only. Received: {argv[1:]}")
    try:
        run()
    except ValueError as error:
        sys.exit(f"certificate.py: {error}")


def run():
    """The main job."""
    import datasets
    import numpy as np

    images = datasets.load("digits", FLAGS.data)
    order = np.random.default_rng(FLAGS.seed).permutation(len(images.x_train))
    if FLAGS.smoke:
        order = order[:200]
    num_prior = round(FLAGS.prior_share * len(order))
    _open_output_dir()
    rows = {}
    for name in FLAGS.network:
        if not os.path.exists(_path(f"{name}.json")):
            row = _certified(name, images, order[:num_prior], order[num_prior:])
            _write(f"{name}.json", json.dumps(row, indent=1))
        with open(_path(f"{name}.json")) as file:
            rows[name] = json.load(file)
    _report(rows)


def build(name, images, dropout):
    """One of the two networks, with logits at its end."""
    import keras

    x = inputs = keras.Input(images.x_train.shape[1:])
    if name == "cnn":
        x = keras.layers.Conv2D(32, 3, activation="relu")(x)
        x = keras.layers.Conv2D(64, 3, activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    for units in (600, 600, 600) if name == "fcn" else (128,):
        x = keras.layers.Dropout(dropout)(x)
        x = keras.layers.Dense(units, activation="relu")(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(inputs, keras.layers.Dense(images.num_classes)(x))


def _certified(name, images, for_prior, for_certificate):
    """Train prior and posterior of one network, and certify both."""
    import keras
    import numpy as np
    from certificate_training import Clock

    import keras_infobottleneck as kib

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
    history, seconds = {}, {}
    history["prior"], seconds["prior"] = _train(
        f"{name} prior", prior, x[for_prior], y[for_prior], plan.prior_epochs
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
    clock = Clock()
    anchored = _certificate(f"{name} prior", model, rest, plan)
    seconds["certificate of the prior"] = clock.seconds()
    history["posterior"], seconds["posterior"] = _train(
        f"{name} posterior", model, x[everything], y[everything], plan.posterior_epochs
    )
    clock = Clock()
    certificate = _certificate(f"{name} posterior", model, rest, plan)
    seconds["certificate"] = clock.seconds()
    test = _certificate(f"{name} test set", model, (images.x_test, images.y_test), plan)
    return {
        "plan": plan._asdict(),
        "num_prior_examples": len(for_prior),
        "certificate": certificate.to_dict(),
        "certificate_of_the_prior": anchored.to_dict(),
        "randomized_error_on_the_test_set": test.randomized_error,
        "mean_error_on_the_test_set": test.mean_error,
        "history": history,
        "minutes": {
            kind: {stage: both[kind] / 60.0 for stage, both in seconds.items()}
            for kind in ("process", "wall")
        },
    }


def _certificate(title, model, data, plan):
    """Certify and say so."""
    import keras_infobottleneck as kib

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


def _train(title, model, x, y, epochs):
    """Train with the settings of this run."""
    from certificate_training import train

    return train(
        model,
        x,
        y,
        epochs,
        title=title,
        filepath=_path(f"checkpoints/{title.replace(' ', '_')}.npz"),
        batch_size=BATCH_SIZE,
        shift=FLAGS.shift,
        seed=FLAGS.seed,
    )


def _path(name):
    return os.path.join(FLAGS.output_dir, name)


def _open_output_dir():
    """Make the folder, or make sure that what it holds is of the same run."""
    settings = {
        name: FLAGS[name].value for name in ("data", "prior_share", "shift", "seed", "smoke")
    }
    try:
        os.makedirs(FLAGS.output_dir, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--output_dir must be a folder. Received: {FLAGS.output_dir} ({error.strerror})"
        ) from None
    if not FLAGS.resume:
        shutil.rmtree(_path("checkpoints"), ignore_errors=True)
        for name in PLANS:
            if os.path.exists(_path(f"{name}.json")):
                os.remove(_path(f"{name}.json"))
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
    """The result, the figure, a line for each network."""
    flags_given = [f"--data={os.path.basename(FLAGS.data)}"] if FLAGS.data else []
    flags_given += [f"--{name}={FLAGS[name].value}" for name in ("prior_share", "shift", "seed")]
    result = {
        "command": " ".join(["python", "examples/certificate.py", *flags_given]),
        "minutes": {name: sum(row["minutes"]["process"].values()) for name, row in rows.items()},
        "settings": {
            "batch_size": BATCH_SIZE,
            "prior_rate": PRIOR_RATE,
            "posterior_rate": POSTERIOR_RATE,
        },
        "networks": rows,
    }
    _write("result.json", json.dumps(result, indent=1))
    _draw(rows)
    for name, row in rows.items():
        certificate, prior = row["certificate"], row["certificate_of_the_prior"]
        print(
            f"{name}: error at most {certificate['error_bound']:.2%} with probability "
            f"{certificate['confidence']:.1%}, N = {certificate['num_examples']:,} (prior alone "
            f"{prior['error_bound']:.2%}); on the test set "
            f"{row['randomized_error_on_the_test_set']:.2%}; "
            f"{result['minutes'][name]:.1f} minutes of one core."
        )
    print(f"Written to {FLAGS.output_dir}: result.json, figure.png.")


def _draw(rows):
    """For each network, what is seen and what is certified."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    bars = {
        "on the test set": lambda row: row["randomized_error_on_the_test_set"],
        "on the certificate's examples": lambda row: row["certificate"]["randomized_error"],
        "certified, posterior": lambda row: row["certificate"]["error_bound"],
        "certified, prior alone": lambda row: row["certificate_of_the_prior"]["error_bound"],
    }
    figure, axis = plt.subplots(figsize=(7.5, 1.2 + 1.3 * len(rows)))
    for index, (label, value) in enumerate(bars.items()):
        heights = [position + 0.2 * index for position in range(len(rows))]
        drawn = axis.barh(
            heights, [value(row) for row in rows.values()], 0.18, color=f"C{index}", label=label
        )
        axis.bar_label(drawn, fmt="{:.2%}", padding=3, fontsize=8)
    axis.set_yticks([position + 0.3 for position in range(len(rows))], list(rows))
    axis.invert_yaxis()
    axis.xaxis.set_major_formatter("{x:.1%}")
    axis.margins(x=0.12)
    axis.set_xlabel("error of the network that draws its weights")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    figure.savefig(_path("figure.png"), dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    app.run(main)

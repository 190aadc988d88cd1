"""What it costs to ask which example is remembered, harmful or wrong, in gradient passes.

Every time is a multiple of a gradient pass over the same examples with its loop over batches
compiled, on one thread, the best of several rounds in which the quantities take turns. The networks
are those of `fisher.py`, as initialised: what is found does not change what it costs.

  python benchmarks/whose_nats.py --data mnist.npz
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from absl import app, flags
from fisher import best_times, examples, gradient_loop, network, on_one_thread, report

import keras_infobottleneck as kib

FLAGS = flags.FLAGS
flags.DEFINE_integer("num_draws", 8, "Draws of the weights of a noisy network.", 3)
flags.DEFINE_integer("num_test", 250, "Test examples, of the training set.", 1)


def quantities(model, x, y):
    """Name to a function that answers one question."""
    e, train = kib.estimators, (x, y)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    test = x[: FLAGS.num_test], y[: FLAGS.num_test]
    noisy = kib.make_variational(model, num_examples=len(x), verbose=0)
    noisy.compile("adam", loss)
    tenth = len(x) // 10
    parts = (x[:tenth], y[:tenth]), (x[tenth:], y[tenth:])
    options = {"batch_size": FLAGS.batch_size}
    found = {"gradient pass": gradient_loop(model, x, y)}
    for structure in ("diagonal", "kronecker"):
        fisher = e.fisher_information(model, train, structure=structure, seed=0, **options)
        given = {"beta": 1 / len(x), "fisher": fisher, "prior_scale": 1.0, **options}
        found |= {
            f"unique_information, {structure}": (
                lambda given=given: e.unique_information(model, train, **given)
            ),
            f"posterior_influence on a test set, {structure}": (
                lambda given=given: e.posterior_influence(model, train, test, **given)
            ),
        }
    draws = {"num_draws": FLAGS.num_draws, "seed": 0, **options}
    # The gradient is far from zero here: a tolerance that lets it through.
    scrub = {"price": 1e-6, "tolerance": 1e9, "structure": "kronecker", "seed": 0, **options}
    return found | {
        "find_wrong_labels": lambda: e.find_wrong_labels(model, train, seed=0, **options),
        f"find_wrong_labels, noisy, {FLAGS.num_draws} draws": (
            lambda: e.find_wrong_labels(noisy, train, **draws)
        ),
        f"posterior_influence, noisy, {FLAGS.num_draws} draws": (
            lambda: e.posterior_influence(noisy, train, test, **draws)
        ),
        "forget a tenth, Fisher matrix included": lambda: kib.forget(model, *parts, **scrub),
        "mean_squared_jacobian, one probe": (
            lambda: e.mean_squared_jacobian(model, x, num_probes=1, seed=0, **options)
        ),
    }


def measured(name):
    """Ratios of one network."""
    x, y = examples()
    times = best_times(quantities(network(name), x, y), FLAGS.rounds)
    one = times.pop("gradient pass")
    return {"gradient pass, seconds": one, **{key: value / one for key, value in times.items()}}


def main(_):
    """Measures and prints."""
    on_one_thread()
    report({name: measured(name) for name in FLAGS.network})


if __name__ == "__main__":
    app.run(main)

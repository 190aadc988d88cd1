"""What influence, forgetting and information cost, in gradient passes.

Which example is remembered, harmful or wrong; what is left after forgetting; how singular the
minimum is; how much hidden units tell about the input. Every time is a multiple of a gradient pass
over the same examples with its loop over batches compiled, on one thread, the best of several
rounds in which the quantities take turns. The networks are those of `fisher.py`, as initialised:
what is found does not change what it costs.

  python benchmarks/whose_nats.py --data mnist.npz
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
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
    chains = {"num_chains": 2, "num_draws": 8, "num_warmup": 4, "num_steps": 2}
    hidden = keras.Model(model.inputs, model.layers[-2].output).predict(x, verbose=0)
    hidden, flat = hidden.reshape(len(x), -1)[:, :64], x.reshape(len(x), -1)
    critic = {"method": "infonce", "num_folds": 2, "epochs": 10, "seed": 0}
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
        "local_learning_coefficient, 48 gradients of all data": (
            lambda: e.local_learning_coefficient(
                model, train, sampler="hamiltonian", batch_size=len(x), seed=0, **chains
            )
        ),
        "mutual_information of 64 units and the input, 40 epochs": (
            lambda: e.mutual_information(hidden, flat, **critic)
        ),
        "training epoch": training_epoch(coded(model, keras.layers.Dense(64)), x, y),
        "training epoch with a code, GaussianBottleneck(64)": training_epoch(
            coded(model, kib.layers.GaussianBottleneck(64, beta=1e-3)), x, y
        ),
    }


def coded(model, code):
    """The network with a layer before its head."""
    network = keras.models.clone_model(model)
    outputs = keras.layers.Dense(10)(code(network.layers[-2].output))
    coded = keras.Model(network.inputs, outputs)
    coded.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return coded


def training_epoch(model, x, y):
    """A function that trains for one epoch, a compiled step for each batch."""
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(FLAGS.batch_size).cache()
    return lambda: model.fit(batches, shuffle=False, verbose=0)


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

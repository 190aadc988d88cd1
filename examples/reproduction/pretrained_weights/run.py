"""Structure of pretrained weights by bit plane, and whether it says how many bits they need.

Claims 5-f and 5-g (Bakhtiarifard et al., 2026, arXiv 2605.15551): the authors compare the bit
planes of pretrained networks with a random start. Here they are also compared with their own values
shuffled, shuffled within rows and columns, with shuffled positions of kernels, and with renumbered
units, which is noise. For files that hold a whole network (ONNX, or what Keras loads), the outputs
at one to eight bits are compared with those at all bits.

    python examples/reproduction/pretrained_weights/run.py --weights=a.h5,b.onnx,c.safetensors

Takes files .keras, .h5, .hdf5, .onnx, .npz (weights as Keras keeps them) and .safetensors; without
``--weights``, a perceptron trained on scikit-learn's digits. Takes a second for 10^5 weights.
If killed and started again, it continues with the file it was at.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where `reproduction` is found
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

import keras
import numpy as np
from absl import flags

from reproduction.frame import experiment, script
from reproduction.pretrained_weights.claims import CLAIMS, judge
from reproduction.pretrained_weights.figure import draw
from reproduction.pretrained_weights.measures import measure
from reproduction.pretrained_weights.outputs import error_at_bits
from reproduction.pretrained_weights.reading import read_weights

FLAGS = flags.FLAGS
script.define_flags("outputs/pretrained_weights", data=False, resume=True)
flags.DEFINE_list("weights", None, "Files of weights; else a perceptron is trained on digits.")


def run():
    """Measure every file, judge, draw."""
    files = [Path(name) for name in FLAGS.weights or ()]
    names = [path.stem for path in files]
    if len(set(names)) < len(names):
        raise ValueError(f"--weights must be files of different names. Received: {names}")
    networks = {path.stem: read_weights(path) for path in files} or {"digits": trained_on_digits()}
    runs = experiment.Experiment(FLAGS.output_dir, {"networks": list(networks)})
    records = [
        {"network": name, **runs.run(name, measure, weights, 0)}
        for name, weights in networks.items()
    ]
    for record, path in zip(records, files, strict=False):
        name = f"outputs-{record['network']}"
        record |= runs.run(name, lambda path=path: {"error_at_bits": error_at_bits(path, 0)})
    draw(records, runs.folder / "figure.png")
    runs.conclude(CLAIMS, judge(records), records=records)


def trained_on_digits() -> dict[str, np.ndarray]:
    """Kernels of a small perceptron, outputs first."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(128, activation="relu")
    model = keras.Sequential([keras.Input((64,)), hidden, keras.layers.Dense(10)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x / 16, y, epochs=2 if FLAGS.smoke else 20, verbose=0)
    return {w.path: keras.ops.convert_to_numpy(w).T for w in model.weights if len(w.shape) == 2}


if __name__ == "__main__":
    script.main(run)

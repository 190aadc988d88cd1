"""Fisher information and information in the weights while a network trains.

Claims 3-d to 3-h and figure 1 of Achille, Paolini & Soatto, "Where is the Information in a Deep
Neural Network?" (2019, arXiv 1905.12213). A small network learns points on spirals, and the log
determinant of its Fisher matrix is followed (their figure 1), with information in the weights and
effective information by layer. Then a classifier of images is trained with several batch sizes,
learning rates and numbers of classes (their figure 4), and with a price on noisy weights.

A Fisher matrix vanishes when predictions become certain, although neither the decision boundary nor
the features change. So each number has controls: the same with logits rescaled to one entropy of
the predictions; the derivatives of the logits alone; and the trace at equal training loss. For
numbers of classes, also an equal number of examples and outputs.

Found on MNIST (docs/results/information_during_training_mnist.json): every trend as published, at
equal loss too, although certain predictions cause most of the late fall. The Gaussian code is not
vacuous at beta = 1/N, where its noise costs a nat of loss; it is vacuous at a price at which the
network still fits.

Writes a verdict for each claim and one figure. About ten minutes on MNIST (``--data``, 2,000
images), four of one core on the digits of scikit-learn; ``--full`` is the paper's ResNet-18 on
CIFAR-10 for 30 epochs, on a GPU. If killed, it continues where it was.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where `reproduction` is found
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported

from absl import flags

from reproduction.frame import datasets, script
from reproduction.frame.experiment import Experiment, read_settings
from reproduction.information_during_training.claims import CLAIMS, judge
from reproduction.information_during_training.figure import draw
from reproduction.information_during_training.records import (
    run_code,
    run_hessian,
    run_images,
    run_paying,
    run_points,
)

FLAGS = flags.FLAGS
script.define_flags("outputs/information_during_training", resume=True, full=True)
_SEEDS = flags.DEFINE_integer("seeds", None, "Repeats; default 3.", 2)
_EPOCHS = flags.DEFINE_integer("epochs", None, "Epochs of the classifiers of images.", 1)

DEFAULT = {
    "network": "dense",
    "widths": [128, 64],
    "num_examples": 2000,
    "num_measured": 1000,
    "num_test": 2000,
    "epochs": 30,
    "every": 1,
    "batch_sizes": [20, 50, 100, 200, 500],
    "batch_size": 50,
    "learning_rates": [0.02, 0.05, 0.1, 0.2],
    "learning_rate": 0.05,
    "classes": [2, 4, 6, 8, 10],
    "paying_epochs": 200,
    "paying_warm_up": 150,  # epochs over which the price rises
    "weight_betas": [0.1, 1.0],
    "width_factors": [1, 4],
    "points": 240,
    "point_widths": [16, 16],
    "point_epochs": 400,
    "point_measurements": 40,
    "seeds": 3,
}
FULL = {
    "data": "cifar10",
    "network": "resnet",
    "width_factors": [1],
    "num_examples": 50_000,
    "num_test": 10_000,
    "every": 3,
    "batch_sizes": [32, 128, 512, 2048],
    "batch_size": 128,
    "learning_rates": [0.01, 0.03, 0.1, 0.3],
    "learning_rate": 0.1,
    "seeds": 5,
}
SMOKE = {
    "widths": [8, 8],
    "num_examples": 120,
    "num_measured": 60,
    "num_test": 60,
    "epochs": 3,
    "batch_sizes": [20, 60],
    "batch_size": 30,
    "learning_rates": [0.05, 0.2],
    "classes": [2, 4],
    "paying_epochs": 3,
    "paying_warm_up": 2,
    "weight_betas": [1.0],
    "width_factors": [1],
    "points": 30,
    "point_widths": [4, 4],
    "point_epochs": 4,
    "point_measurements": 2,
    "seeds": 2,
}


def run() -> None:
    """Train what is missing, judge, draw."""
    settings = read_settings(DEFAULT, SMOKE, FULL, seeds=_SEEDS.value, epochs=_EPOCHS.value)
    images = datasets.load(settings["data"], FLAGS.data)
    settings["classes"] = [k for k in settings["classes"] if k <= images.num_classes]
    settings["num_classes"] = images.num_classes
    experiment = Experiment(FLAGS.output_dir, settings)
    records = {}
    for name, (function, arguments) in planned(settings).items():

        def compute(name=name, function=function, arguments=arguments):
            return function(settings, images, experiment.checkpoint(name), **arguments)

        records[name] = arguments | experiment.run(name, compute)
    groups = {}
    for name, record in records.items():
        groups.setdefault(name.split("-")[0], []).append(record)
    draw(groups, settings, os.path.join(FLAGS.output_dir, "information_during_training.png"))
    experiment.conclude(CLAIMS, judge(groups, settings))


def planned(settings: dict) -> dict[str, tuple]:
    """Function and arguments of every run, by name; what stands before the dash is its group."""
    runs = {}
    batch_size, rate = settings["batch_size"], settings["learning_rate"]
    for seed in range(FLAGS.seed, FLAGS.seed + settings["seeds"]):
        given = {"seed": seed}
        runs[f"hessian-{seed}"] = (run_hessian, given)
        runs[f"points-{seed}"] = (run_points, given)
        for size in settings["batch_sizes"]:
            arguments = given | {"batch_size": size, "learning_rate": rate}
            runs[f"batch-{size}-{seed}"] = (run_images, arguments)
        for value in settings["learning_rates"]:
            arguments = given | {"batch_size": batch_size, "learning_rate": value}
            runs[f"rate-{value:g}-{seed}"] = (run_images, arguments)
        for equal in (False, True):
            for classes in settings["classes"]:
                arguments = given | {"batch_size": batch_size, "learning_rate": rate}
                arguments |= {"classes": classes, "equal": equal}
                group = "equal_classes" if equal else "classes"
                runs[f"{group}-{classes}-{seed}"] = (run_images, arguments)
        for factor in settings["width_factors"]:
            runs[f"code-{factor}-{seed}"] = (run_code, given | {"width_factor": factor})
        for beta in settings["weight_betas"]:
            runs[f"paying-{beta:g}-{seed}"] = (run_paying, given | {"weight_beta": beta})
    return runs


if __name__ == "__main__":
    script.main(run)

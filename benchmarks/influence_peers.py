"""The torch side of `benchmarks/influence.py`: run by it, in an environment of its own.

Needs torch and kronfluence (1.0).
"""

import sys
import tempfile
import time
import warnings

import numpy as np
import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from torch import nn

torch.set_num_threads(1)
warnings.simplefilter("ignore", FutureWarning)  # of names that kronfluence takes from torch
STRATEGIES = ("diagonal", "kfac", "ekfac")


class Classification(Task):
    """Cross-entropy, as the loss and as what is measured."""

    def compute_train_loss(self, batch, model, sample=False):
        """Sum over the batch, with the labels given or drawn."""
        x, y = batch
        logits = model(x)
        if sample:
            y = torch.multinomial(logits.detach().softmax(-1), 1).flatten()
        return nn.functional.cross_entropy(logits, y, reduction="sum")

    def compute_measurement(self, batch, model):
        """The test loss."""
        return self.compute_train_loss(batch, model)


def main(task, answer):
    """Every strategy with the damping of the task, and EK-FAC with its own."""
    with np.load(task, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    first, bias, second, last = (torch.tensor(arrays[f"weight_{i}"]) for i in range(4))
    model = nn.Sequential(nn.Linear(*first.shape), nn.ReLU(), nn.Linear(*second.shape))
    state = [first.T.contiguous(), bias.flatten(), second.T.contiguous(), last.flatten()]
    for parameter, value in zip(model.parameters(), state, strict=True):
        parameter.data = value
    sets = [
        torch.utils.data.TensorDataset(torch.tensor(arrays[x]), torch.tensor(arrays[y]))
        for x, y in (("x", "y"), ("x_test", "y_test"))
    ]
    found = {}
    runs = [(strategy, float(arrays["decay"])) for strategy in STRATEGIES] + [("ekfac", None)]
    for strategy, damping in runs:
        name = f"kronfluence, {strategy}" + ("" if damping else ", its own damping")
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            torch.manual_seed(0)
            kind = Classification()
            network = prepare_model(model, kind)
            analyzer = Analyzer(
                "influence", network, kind, cpu=True, output_dir=folder, disable_tqdm=True
            )
            analyzer.fit_all_factors(
                "factors",
                sets[0],
                per_device_batch_size=200,
                factor_args=FactorArguments(strategy=strategy),
            )
            analyzer.compute_pairwise_scores(
                "scores",
                "factors",
                query_dataset=sets[1],
                train_dataset=sets[0],
                per_device_query_batch_size=100,
                per_device_train_batch_size=200,
                score_args=ScoreArguments(damping_factor=damping),
            )
            scores = analyzer.load_pairwise_scores("scores")["all_modules"]
            found[f"seconds {name}"] = time.perf_counter() - start
        # Their score is the product with the inverse; influence has the other sign.
        found[name] = -scores.numpy() / len(sets[0])
    np.savez(answer, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])

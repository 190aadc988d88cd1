"""Figure of the experiment: test error against the width of the network."""

import matplotlib
import numpy as np

from reproduction.small_networks.claims import mean_errors

matplotlib.use("Agg")

import matplotlib.pyplot as plt


def draw(records, path):
    """Test error against width, a curve for each method."""
    figure, axis = plt.subplots(figsize=(6, 4))
    for shift, (method, errors) in enumerate(mean_errors(records).items()):
        widths = np.array(list(errors)) * 100 + shift  # so that bars do not hide each other
        mean = [100 * each["mean"] for each in errors.values()]
        bars = [100 * (each["standard_error"] or 0) for each in errors.values()]
        axis.errorbar(widths, mean, bars, marker=".", capsize=2, label=method.replace("_", "-"))
    axis.set(xlabel="filters, %", ylabel="test error, %")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)

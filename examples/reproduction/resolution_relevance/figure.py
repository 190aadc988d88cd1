"""Figure of the experiment: the plane, and rank against frequency."""

import matplotlib
import numpy as np

from keras_infobottleneck.plots import plot_rank_frequency, plot_resolution_relevance

matplotlib.use("Agg")

import matplotlib.pyplot as plt


def draw(record, curve, path):
    """Draw one network and one classifier."""
    layers = record["network"]["layers"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5))
    resolution = [each["resolution"] for each in layers]
    null = [each["null_relevance_at_equal_resolution"] for each in layers]
    groups = {
        "deep belief network": (layers, {"hull": curve.hull(), "null": (resolution, null)}),
        "classifier": (record["classifier"]["layers"], {}),
    }
    for name, (group, options) in groups.items():
        plot_resolution_relevance(
            [each["resolution"] for each in group],
            [each["relevance"] for each in group],
            labels=[str(each["units"]) for each in group],
            name=name,
            ax=left,
            **options,
        )
    for layer in layers:
        if "mu" in layer:
            counts = np.repeat(layer["frequencies"]["count"], layer["frequencies"]["states"])
            plot_rank_frequency(counts, name=f"{layer['units']} units", ax=right)
    figure.tight_layout()
    figure.savefig(path, dpi=75)
    plt.close(figure)
